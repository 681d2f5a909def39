using System.Text;

namespace GlooX.Grid;

/// <summary>
/// The first bytes of a grid stream: one byte of length, then the incarnation that is dialled, in ASCII. So a stream meant for an earlier
/// engine never reaches a later one at the same port.
/// </summary>
internal static class Preface
{
    private const int MaxLength = 64;

    public static async Task WriteAsync(Stream stream, string incarnation, CancellationToken ct)
    {
        int length = incarnation.Length is > 0 and <= MaxLength
            ? incarnation.Length
            : throw new ArgumentException($"'{incarnation}' is not an incarnation", nameof(incarnation));
        byte[] bytes = new byte[1 + length];
        bytes[0] = (byte)length;
        Encoding.ASCII.GetBytes(incarnation, bytes.AsSpan(1));
        await stream.WriteAsync(bytes, ct).ConfigureAwait(false);
        await stream.FlushAsync(ct).ConfigureAwait(false);
    }

    /// <exception cref="IOException">The stream ended, or does not begin with a preface.</exception>
    public static async Task<string> ReadAsync(Stream stream, CancellationToken ct)
    {
        byte[] bytes = new byte[MaxLength];
        await stream.ReadExactlyAsync(bytes.AsMemory(0, 1), ct).ConfigureAwait(false);
        int length = bytes[0];
        if (length is 0 or > MaxLength)
        {
            throw new InvalidDataException($"The preface of a grid stream has 1 to {MaxLength} bytes, not {length}.");
        }

        await stream.ReadExactlyAsync(bytes.AsMemory(0, length), ct).ConfigureAwait(false);
        return Encoding.ASCII.GetString(bytes, 0, length);
    }
}
