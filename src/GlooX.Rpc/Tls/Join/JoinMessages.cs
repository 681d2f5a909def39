using System.Buffers;
using System.Buffers.Binary;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Tls.Join;

/// <summary>The agent's first message: its authority, which the joiner compares with its token before it sends anything.</summary>
internal sealed record JoinOffer(int Version, byte[] Authority);

/// <summary>The joiner's request: certificates for its keys. Without a token: new certificates in place of the shown ones.</summary>
internal sealed record JoinRequest(int Version, byte[] Token, byte[] Secret, byte[][] Requests);

/// <summary>The agent's reply: certificates, or the failure. An empty certificate means that the role has none of that kind.</summary>
internal sealed record JoinReply(JoinFailure Failure, string Message, byte[][] Certificates, string[] Withheld)
{
    public static JoinReply Failed(JoinException e) => new(e.Failure, e.Message, [], []);
}

/// <summary>Messages on a connection of <c>gloox-join/1</c>: four bytes of length, little-endian, and one MessagePack value.</summary>
internal static class JoinMessages
{
    public const int Version = 1;
    private const int MaxLength = 64 * 1024;

    public static async Task WriteAsync<T>(Stream stream, T message, CancellationToken ct)
    {
        var buffer = new ArrayBufferWriter<byte>();
        buffer.GetSpan(4)[..4].Clear();
        buffer.Advance(4);
        var writer = new MessagePackWriter(buffer);
        RpcSerializer.Default.Write(ref writer, message);
        writer.Flush();
        byte[] bytes = buffer.WrittenSpan.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length - 4);
        await stream.WriteAsync(bytes, ct).ConfigureAwait(false);
    }

    /// <exception cref="JoinException"><see cref="JoinFailure.Protocol"/>.</exception>
    /// <exception cref="IOException">The other side is gone.</exception>
    public static async Task<T> ReadAsync<T>(Stream stream, CancellationToken ct)
        where T : class
    {
        byte[] head = new byte[4];
        await stream.ReadExactlyAsync(head, ct).ConfigureAwait(false);
        int length = BinaryPrimitives.ReadInt32LittleEndian(head);
        if (length is <= 0 or > MaxLength)
        {
            throw new JoinException(JoinFailure.Protocol, $"received a message of {length} bytes; the limit is {MaxLength}");
        }

        byte[] body = new byte[length];
        await stream.ReadExactlyAsync(body, ct).ConfigureAwait(false);
        try
        {
            var reader = new MessagePackReader(body.AsMemory());
            return RpcSerializer.Default.Read<T>(ref reader) ?? throw new JoinException(JoinFailure.Protocol, "received an empty message");
        }
        catch (Exception e) when (e is MessagePackSerializationException or EndOfStreamException or RpcException or OverflowException)
        {
            throw new JoinException(JoinFailure.Protocol, $"received a malformed message: {e.Message}", e);
        }
    }
}
