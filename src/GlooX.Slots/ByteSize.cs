using System.Globalization;

namespace GlooX.Slots;

/// <summary>
/// Reads and writes sizes as people do: <c>1GB</c>, <c>1.5 GB</c>, <c>512MiB</c>, <c>4096</c>.
/// Stateless; safe from any thread.
/// </summary>
/// <remarks>
/// Decimal units (IEC 80000-13): B, kB, MB, GB, TB, each 1000 of the one before. Binary units: KiB, MiB, GiB, TiB, each 1024 of
/// the one before. A number without a unit counts bytes. Case does not matter, a space before the unit is allowed.
/// </remarks>
public static class ByteSize
{
    private const string Examples = "1GB, 1.5 GB, 512MiB, 1048576 (bytes)";

    private static readonly (string Name, long Bytes)[] Decimal =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("B", 1)];

    // "B" last: every other name ends with it.
    private static readonly (string Name, long Bytes)[] Units =
        [("TiB", 1L << 40), ("GiB", 1L << 30), ("MiB", 1L << 20), ("KiB", 1L << 10), .. Decimal];

    /// <summary>Reads a size.</summary>
    /// <param name="text">A number, optionally with a fraction (point, not comma) and a unit.</param>
    /// <returns>Bytes, 0 or more. A fraction of a byte is rounded up, so that a need is never taken for less than it is.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="text"/> is null.</exception>
    /// <exception cref="FormatException">
    /// The text is no size, is negative, or is more than <see cref="long.MaxValue"/> bytes. The message names it and shows valid ones.
    /// </exception>
    public static long Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Read(text, out var bytes) is { } complaint
            ? throw new FormatException($"'{text}' {complaint}. Valid sizes are, for example: {Examples}.")
            : bytes;
    }

    /// <summary>Reads a size without throwing.</summary>
    /// <param name="text">As in <see cref="Parse"/>; null is no size.</param>
    /// <param name="bytes">The size in bytes, or 0 when the text is no valid size.</param>
    /// <returns>Whether the text is a valid size.</returns>
    public static bool TryParse(string? text, out long bytes)
    {
        bytes = 0;
        return text is not null && Read(text, out bytes) is null;
    }

    /// <summary>Writes a size in the largest decimal unit that leaves a whole part, with at most one decimal place.</summary>
    /// <param name="bytes">Bytes; may be negative.</param>
    /// <returns>
    /// For example <c>1.5 GB</c>. Cut off, not rounded: what is shown as free is never more than what there is.
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

    /// <summary>Null if the text is a size, else what is wrong with it.</summary>
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
            return "is more than can be counted in bytes";

        bytes = (long)Math.Ceiling(count * unit);
        return null;
    }
}
