using System.Collections;
using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace GlooX.Slots;

/// <summary>
/// Amounts of named resources, whole or fractional: <c>[new("gpu", 1), new("licence.matlab", 0.5m)]</c>. What is not named is 0.
/// Immutable, equal by value, in the order of the names.
/// </summary>
/// <remarks>
/// Names have 1 to 60 letters, digits, dots, dashes and underscores; case matters. Amounts are 0 to 1,000,000,000 with at most four
/// decimal places, and exact: ten times 0.1 is 1. <c>memory</c> and <c>disk</c> are no names, for they are counted in bytes.
/// </remarks>
[CollectionBuilder(typeof(ResourceAmounts), nameof(Create))]
public sealed class ResourceAmounts : IEnumerable<KeyValuePair<string, decimal>>, IEquatable<ResourceAmounts>
{
    /// <summary>The name of the resource that <see cref="Provision.Cores"/> counts: processor cores.</summary>
    public const string Cores = "cores";

    private const int MaxName = 60;
    private const decimal MaxAmount = 1_000_000_000;
    private const int MaxPlaces = 4;
    private static readonly ImmutableSortedDictionary<string, decimal> Empty = ImmutableSortedDictionary.Create<string, decimal>(StringComparer.Ordinal);

    private readonly ImmutableSortedDictionary<string, decimal> _amounts;

    private ResourceAmounts(ImmutableSortedDictionary<string, decimal> amounts) => _amounts = amounts;

    /// <summary>Nothing.</summary>
    public static ResourceAmounts None { get; } = new(Empty);

    /// <summary>How many resources are named.</summary>
    public int Count => _amounts.Count;

    /// <summary>How much of a resource.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>0 if it is not named.</returns>
    public decimal this[string name] => _amounts.GetValueOrDefault(name);

    /// <summary>Names resources; amounts of 0 are left out.</summary>
    /// <param name="amounts">Name and amount of each.</param>
    /// <returns>Them.</returns>
    /// <exception cref="ArgumentException">A name or an amount is invalid, or a name comes twice; the message names it.</exception>
    public static ResourceAmounts From(IEnumerable<KeyValuePair<string, decimal>> amounts)
    {
        ArgumentNullException.ThrowIfNull(amounts);
        var result = Empty.ToBuilder();
        foreach (var (name, amount) in amounts)
        {
            if (Complaint(name, amount) is { } complaint)
                throw new ArgumentException(complaint, nameof(amounts));
            if (!result.TryAdd(name, amount))
                throw new ArgumentException($"The resource '{name}' is named twice. Name it once, with the sum.", nameof(amounts));
        }

        result.RemoveRange([.. result.Where(r => r.Value == 0).Select(r => r.Key)]);
        return new(result.ToImmutable());
    }

    /// <summary>For collection expressions; as <see cref="From"/>.</summary>
    /// <param name="amounts">Name and amount of each.</param>
    /// <returns>Them.</returns>
    /// <exception cref="ArgumentException">A name or an amount is invalid, or a name comes twice.</exception>
    public static ResourceAmounts Create(ReadOnlySpan<KeyValuePair<string, decimal>> amounts) => From(amounts.ToArray());

    /// <summary>Reads <c>gpu=1, licence.matlab=0.5</c>.</summary>
    /// <param name="text">Names and amounts (with a point, not a comma); empty for none.</param>
    /// <returns>Them.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="text"/> is null.</exception>
    /// <exception cref="FormatException">It says something else; the message names the part.</exception>
    public static ResourceAmounts Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var amounts = new List<KeyValuePair<string, decimal>>();
        foreach (var part in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var sides = part.Split('=', StringSplitOptions.TrimEntries);
            const NumberStyles style = NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign;
            if (sides.Length != 2 || !decimal.TryParse(sides[1], style, CultureInfo.InvariantCulture, out var amount))
                throw new FormatException($"'{part}' is not a resource with its amount. Valid are, for example: gpu=1, licence.matlab=0.5.");
            amounts.Add(new(sides[0], amount));
        }

        try
        {
            return From(amounts);
        }
        catch (ArgumentException e)
        {
            throw new FormatException(e.Message, e);
        }
    }

    /// <summary>These, with those that <paramref name="others"/> names in their place.</summary>
    /// <param name="others">What has precedence.</param>
    /// <returns>Both together.</returns>
    public ResourceAmounts With(ResourceAmounts others)
    {
        ArgumentNullException.ThrowIfNull(others);
        return Count == 0 ? others : new(_amounts.SetItems(others));
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, decimal>> GetEnumerator() => _amounts.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <inheritdoc/>
    public bool Equals(ResourceAmounts? other) => other is not null && _amounts.SequenceEqual(other._amounts);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as ResourceAmounts);

    /// <inheritdoc/>
    public override int GetHashCode() => _amounts.Aggregate(0, (hash, amount) => HashCode.Combine(hash, amount.Key, amount.Value));

    /// <summary>As <see cref="Parse"/> reads it.</summary>
    /// <returns>For example <c>gpu=1, licence.matlab=0.5</c>.</returns>
    public override string ToString() => string.Join(", ", _amounts.Select(a => $"{a.Key}={Format(a.Value)}"));

    internal static string Format(decimal amount) => amount.ToString("0.####", CultureInfo.InvariantCulture);

    /// <summary>Sums and differences, which may be more than one amount may be.</summary>
    internal static ResourceAmounts Unchecked(IEnumerable<KeyValuePair<string, decimal>> amounts) => new(Empty.AddRange(amounts));

    /// <summary>What is wrong with an amount; null if nothing is.</summary>
    internal static string? Complaint(string name, decimal amount)
    {
        if (string.IsNullOrEmpty(name) || name.Length > MaxName || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_'))
            return $"'{name}' is no name of a resource. Valid are 1 to {MaxName} letters, digits, dots, dashes and underscores, for example: gpu.";
        if (name is "memory" or "disk")
            return $"'{name}' is counted in bytes, not among the named resources. Set {char.ToUpperInvariant(name[0])}{name[1..]} instead.";
        return amount is < 0 or > MaxAmount || amount != decimal.Round(amount, MaxPlaces)
            ? $"{amount.ToString(CultureInfo.InvariantCulture)} is no amount of '{name}'. Valid are 0 to 1000000000 with at most {MaxPlaces} decimal places, for example: 2, 0.5."
            : null;
    }
}
