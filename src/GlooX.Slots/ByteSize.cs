using System.Globalization;

namespace GlooX;

/// <summary>
/// Parses and formats sizes in text, such as <c>1GB</c>, <c>1.5 GB</c>, <c>512MiB</c> and <c>4096</c>. Thread-safe.
/// </summary>
/// <remarks>
/// Decimal units (IEC 80000-13) are B, kB, MB, GB and TB, each 1000 times the one before. Binary units are KiB, MiB, GiB and TiB, each 1024
/// times the one before. A number without a unit is a number of bytes. Case does not matter; a space before the unit is allowed.
/// </remarks>
public static class ByteSize
{
    private const string Examples = "1GB, 1.5 GB, 512MiB, 1048576 (bytes)";

    private static readonly (string Name, long Bytes)[] Decimal =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("B", 1)];

    // "B" comes last: all other names end with it.
    private static readonly (string Name, long Bytes)[] Units =
        [("TiB", 1L << 40), ("GiB", 1L << 30), ("MiB", 1L << 20), ("KiB", 1L << 10), .. Decimal];

    /// <summary>Parses a size.</summary>
    /// <param name="text">A number, optionally with a decimal point and a unit.</param>
    /// <returns>The size in bytes, 0 or more. A fraction of a byte is rounded up.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="text"/> is null.</exception>
    /// <exception cref="FormatException">
    /// The text is not a size, is negative, or exceeds <see cref="long.MaxValue"/> bytes. The message contains the text and valid examples.
    /// </exception>
    public static long Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Read(text, out var bytes) is { } complaint
            ? throw new FormatException($"'{text}' {complaint}. Valid sizes are, for example: {Examples}.")
            : bytes;
    }

    /// <summary>Parses a size without throwing.</summary>
    /// <param name="text">As in <see cref="Parse"/>; null is not a size.</param>
    /// <param name="bytes">The size in bytes; 0 when the text is not a valid size.</param>
    /// <returns>Whether the text is a valid size.</returns>
    public static bool TryParse(string? text, out long bytes)
    {
        bytes = 0;
        return text is not null && Read(text, out bytes) is null;
    }

    /// <summary>Formats a size in the largest decimal unit that leaves a whole part, with at most one decimal place.</summary>
    /// <param name="bytes">Bytes; may be negative.</param>
    /// <returns>
    /// For example <c>1.5 GB</c>. Truncated, not rounded: a free size is never shown larger than it is.
    /// </returns>
    public static string Format(long bytes)
    {
        var size = Math.Abs((decimal)bytes);
        var (name, unit) = Array.Find(Decimal, u => size >= u.Bytes);
        if (name is null)
            return "0 B";

        var shown = decimal.Truncate(size * 10 / unit) / 10 * Math.Sign(bytes);
        return string.Create(CultureInfo.InvariantCulture, $"{shown:0.#} {name}");
    }

    /// <summary>Why the text is not a size; null when it is one.</summary>
    private static string? Read(string text, out long bytes)
    {
        bytes = 0;
        var number = text.AsSpan().Trim();
        var unit = 1L;
        foreach (var (name, size) in Units)
        {
            if (!number.EndsWith(name, StringComparison.OrdinalIgnoreCase))
                continue;
            number = number[..^name.Length].TrimEnd();
            unit = size;
            break;
        }

        const NumberStyles style = NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign;
        if (number.IsEmpty || number[0] == '+' || !decimal.TryParse(number, style, CultureInfo.InvariantCulture, out var count))
            return "is not a size";
        if (number[0] == '-')
            return "is negative";
        if (count > (decimal)long.MaxValue / unit)
            return "is too large to be counted in bytes";

        bytes = (long)Math.Ceiling(count * unit);
        return null;
    }
}
