using System.Collections.Frozen;

namespace GlooX.Tls;

/// <summary>Serial numbers of revoked certificates, which are refused although they are valid. Only grows. Thread-safe.</summary>
internal sealed class RevokedSerials
{
    private FrozenSet<string> _serials = FrozenSet<string>.Empty;

    /// <summary>All, in the spelling of <see cref="Normal"/>.</summary>
    public IReadOnlyCollection<string> Serials => Volatile.Read(ref _serials);

    /// <summary>One spelling: hexadecimal digits in upper case without leading zeros. Accepts what <c>openssl x509 -serial</c> and <c>-text</c> print.</summary>
    /// <exception cref="ArgumentException">The text is no serial number.</exception>
    public static string Normal(string serial)
    {
        string digits = (serial ?? "").Replace("serial=", "", StringComparison.Ordinal).Replace(":", "", StringComparison.Ordinal).Trim().TrimStart('0').ToUpperInvariant();
        return digits.Length is > 0 and <= 40 && digits.All(char.IsAsciiHexDigit)
            ? digits
            : throw new ArgumentException($"'{serial}' is no serial number of a certificate: write hexadecimal digits, as gloox certs shows them", nameof(serial));
    }

    /// <summary>Adds serial numbers; returns those that were not revoked before.</summary>
    public IReadOnlyList<string> Add(IEnumerable<string> serials)
    {
        string[] asked = [.. serials.Select(Normal).Distinct(StringComparer.Ordinal)];
        while (true)
        {
            FrozenSet<string> before = Volatile.Read(ref _serials);
            string[] added = [.. asked.Where(s => !before.Contains(s))];
            if (added.Length == 0 || Interlocked.CompareExchange(ref _serials, before.Concat(added).ToFrozenSet(StringComparer.Ordinal), before) == before)
            {
                return added;
            }
        }
    }

    public bool Contains(string serial) => Volatile.Read(ref _serials).Contains(serial);

    public string? Refusal(Peer peer)
    {
        FrozenSet<string> revoked = Volatile.Read(ref _serials);
        return peer.Serials.FirstOrDefault(revoked.Contains) is { } serial
            ? $"the certificate '{peer.Subject}' is not accepted: the serial number {serial} was revoked"
            : null;
    }
}
