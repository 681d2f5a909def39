using System.Collections;
using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace GlooX;

/// <summary>
/// Amounts of named resources, whole or fractional: <c>[new("gpu", 1), new("licence.matlab", 0.5m)]</c>. A resource that is not named has
/// the amount 0. Immutable, equal by value, enumerated in the order of the names.
/// </summary>
/// <remarks>
/// Names have 1 to 60 letters, digits, dots, dashes and underscores; case matters. Amounts are 0 to 1,000,000,000 with at most four
/// decimal places, and exact: ten times 0.1 is 1. <c>memory</c> and <c>disk</c> are not allowed as names: they are counted in bytes.
/// </remarks>
[CollectionBuilder(typeof(ResourceAmounts), nameof(Create))]
public sealed class ResourceAmounts : IEnumerable<KeyValuePair<string, decimal>>, IEquatable<ResourceAmounts>
{
    /// <summary>The name of processor cores, which <see cref="Provision.Cores"/> counts.</summary>
    public const string Cores = "cores";

    private const int MaxName = 60;
    private const decimal MaxAmount = 1_000_000_000;
    private const int MaxPlaces = 4;
    private static readonly ImmutableSortedDictionary<string, decimal> Empty =
        ImmutableSortedDictionary.Create<string, decimal>(StringComparer.Ordinal);

    private readonly ImmutableSortedDictionary<string, decimal> _amounts;

    private ResourceAmounts(ImmutableSortedDictionary<string, decimal> amounts) => _amounts = amounts;

    /// <summary>No resources.</summary>
    public static ResourceAmounts None { get; } = new(Empty);

    /// <summary>Number of resources with an amount other than 0.</summary>
    public int Count => _amounts.Count;

    /// <summary>The amount of a resource.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The amount; 0 when the resource is not named.</returns>
    public decimal this[string name] => _amounts.GetValueOrDefault(name);

    /// <summary>Creates amounts; amounts of 0 are left out.</summary>
    /// <param name="amounts">Name and amount of each.</param>
    /// <returns>The amounts.</returns>
    /// <exception cref="ArgumentException">A name or an amount is invalid, or a name occurs twice; the message names it.</exception>
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

    /// <summary><see cref="From"/> for collection expressions.</summary>
    /// <param name="amounts">Name and amount of each.</param>
    /// <returns>The amounts.</returns>
    /// <exception cref="ArgumentException">A name or an amount is invalid, or a name occurs twice.</exception>
    public static ResourceAmounts Create(ReadOnlySpan<KeyValuePair<string, decimal>> amounts) => From(amounts.ToArray());

    /// <summary>Parses text such as <c>gpu=1, licence.matlab=0.5</c>.</summary>
    /// <param name="text">Names and amounts, with a decimal point; empty for none.</param>
    /// <returns>The amounts.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="text"/> is null.</exception>
    /// <exception cref="FormatException">The text has another form; the message names the invalid part.</exception>
    public static ResourceAmounts Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var amounts = new List<KeyValuePair<string, decimal>>();
        foreach (var part in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var sides = part.Split('=', StringSplitOptions.TrimEntries);
            const NumberStyles style = NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign;
            if (sides.Length != 2 || !decimal.TryParse(sides[1], style, CultureInfo.InvariantCulture, out var amount))
                throw new FormatException($"'{part}' is not a resource with an amount. Valid are, for example: gpu=1, licence.matlab=0.5.");
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

    /// <summary>Combines amounts.</summary>
    /// <param name="others">Amounts that take precedence for the names that occur in both.</param>
    /// <returns>The combined amounts.</returns>
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

    /// <summary>The text that <see cref="Parse"/> reads.</summary>
    /// <returns>For example <c>gpu=1, licence.matlab=0.5</c>.</returns>
    public override string ToString() => string.Join(", ", _amounts.Select(a => $"{a.Key}={Format(a.Value)}"));

    internal static string Format(decimal amount) => amount.ToString("0.####", CultureInfo.InvariantCulture);

    /// <summary>Amounts without checks: sums may exceed the limit of a single amount.</summary>
    internal static ResourceAmounts Unchecked(IEnumerable<KeyValuePair<string, decimal>> amounts) => new(Empty.AddRange(amounts));

    /// <summary>Why an amount is invalid; null when it is valid.</summary>
    internal static string? Complaint(string name, decimal amount)
    {
        if (string.IsNullOrEmpty(name) || name.Length > MaxName || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_'))
            return $"'{name}' is not a resource name. Valid are 1 to {MaxName} letters, digits, dots, dashes and underscores, such as gpu.";
        if (name is "memory" or "disk")
            return $"'{name}' is not a named resource but counted in bytes. Set {char.ToUpperInvariant(name[0])}{name[1..]} instead.";
        return amount is < 0 or > MaxAmount || amount != decimal.Round(amount, MaxPlaces)
            ? $"{amount.ToString(CultureInfo.InvariantCulture)} is not an amount of '{name}'. Valid are 0 to 1000000000 with at most "
                + $"{MaxPlaces} decimal places, for example: 2, 0.5."
            : null;
    }
}
