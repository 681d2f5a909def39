using System.Diagnostics.CodeAnalysis;
using System.Text;
using Google.Protobuf;

namespace GlooX.Grid;

/// <summary>
/// Reads from the first message of a stream which address its engine claims. The message is Akka's AkkaProtocolMessage: instruction (2),
/// handshakeInfo (2), origin (1), hostname (2). Each must be there once: Protobuf would merge several.
/// </summary>
internal static class Handshake
{
    private static readonly int[] s_path = [2, 2, 1, 2];

    /// <exception cref="InvalidDataException">It is no handshake.</exception>
    public static string HostOf(ByteString message)
    {
        ByteString part = message;
        foreach (int field in s_path)
        {
            part = TryField(part, field, out ByteString? inner) ? inner : throw new InvalidDataException("The first message of a grid stream is no handshake.");
        }

        return Incarnation.FromEngineHost(Encoding.UTF8.GetString(part.Span)).Host;
    }

    private static bool TryField(ByteString message, int field, [NotNullWhen(true)] out ByteString? value)
    {
        value = null;
        try
        {
            using CodedInputStream input = message.CreateCodedInput();
            for (uint tag; (tag = input.ReadTag()) != 0;)
            {
                if (WireFormat.GetTagFieldNumber(tag) != field)
                {
                    input.SkipLastField();
                }
                else if (value is null && WireFormat.GetTagWireType(tag) == WireFormat.WireType.LengthDelimited)
                {
                    value = input.ReadBytes();
                }
                else
                {
                    return false;
                }
            }
        }
        catch (InvalidProtocolBufferException)
        {
            return false;
        }

        return value is not null;
    }
}
