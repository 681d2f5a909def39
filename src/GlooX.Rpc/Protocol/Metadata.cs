using System.Text;
using Nerdbank.MessagePack;

namespace GlooX.Protocol;

/// <summary>The metadata of a request: a map from strings to strings, bounded on both sides.</summary>
internal static class Metadata
{
    public const int MaxEntries = 64;
    public const int MaxBytes = 16 * 1024;

    public static readonly IReadOnlyDictionary<string, string> None = new Dictionary<string, string>(StringComparer.Ordinal).AsReadOnly();

    /// <exception cref="RpcException"><see cref="RpcError.TooLarge"/>.</exception>
    public static void Write(ref MessagePackWriter writer, Dictionary<string, string> metadata)
    {
        if (metadata.Count > MaxEntries || metadata.Sum(static e => Encoding.UTF8.GetByteCount(e.Key) + Encoding.UTF8.GetByteCount(e.Value)) > MaxBytes)
        {
            throw new RpcException(RpcError.TooLarge, $"the metadata of a call may have {MaxEntries} entries with {MaxBytes} bytes in total; send larger data as arguments");
        }

        writer.WriteMapHeader(metadata.Count);
        foreach ((string key, string value) in metadata)
        {
            writer.Write(key);
            writer.Write(value);
        }
    }

    /// <exception cref="RpcException"><see cref="RpcError.BadArguments"/>: too large or malformed.</exception>
    public static IReadOnlyDictionary<string, string> Read(ref MessagePackReader reader)
    {
        int count = reader.ReadMapHeader();
        long start = reader.Consumed;
        if (count > MaxEntries)
        {
            throw TooMuch();
        }

        var metadata = new Dictionary<string, string>(count, StringComparer.Ordinal);
        for (int i = 0; i < count; i++)
        {
            string? key = reader.ReadString();
            string? value = reader.ReadString();
            if (key is null || value is null || !metadata.TryAdd(key, value))
            {
                throw new RpcException(RpcError.BadArguments, "the metadata contains null or a duplicate key");
            }

            // The writer does not count the headers of the strings.
            if (reader.Consumed - start > MaxBytes + (2 * MaxEntries * 5))
            {
                throw TooMuch();
            }
        }

        return metadata;
    }

    private static RpcException TooMuch() => new(RpcError.BadArguments, $"the metadata has more than {MaxEntries} entries or {MaxBytes} bytes");
}
