using System.Collections.Frozen;
using System.Collections.Immutable;

namespace GlooX.Tls;

/// <summary>
/// What is revoked, as each revoker said it last. A revocation is in force as long as no later word of a revoker with the role admin allows its
/// target again. Thread-safe.
/// </summary>
internal sealed class RevocationList
{
    private State _state = new(ImmutableDictionary<(string Target, string By), Revocation>.Empty, [], FrozenSet<string>.Empty);

    private sealed record State(ImmutableDictionary<(string Target, string By), Revocation> ByKey, IReadOnlyList<Revocation> All, FrozenSet<string> InForce);

    /// <summary>The last word of each revoker on each target; the same instance until something changes.</summary>
    public IReadOnlyList<Revocation> All => Volatile.Read(ref _state).All;

    /// <summary>The targets that are revoked now.</summary>
    public IReadOnlyCollection<string> InForce => Volatile.Read(ref _state).InForce;

    /// <summary>Adds what revokers said; returns what was news.</summary>
    public IReadOnlyList<Revocation> Add(IEnumerable<Revocation> said)
    {
        Revocation[] all = [.. said];
        while (true)
        {
            State before = Volatile.Read(ref _state);
            var news = new List<Revocation>();
            ImmutableDictionary<(string, string), Revocation>.Builder after = before.ByKey.ToBuilder();
            foreach (Revocation one in all)
            {
                if (!after.TryGetValue((one.Target, one.By), out Revocation? had) || one.At > had.At || (one.At == had.At && one.IsRevoked && !had.IsRevoked))
                {
                    after[(one.Target, one.By)] = one;
                    news.Add(one);
                }
            }

            if (news.Count == 0 || Interlocked.CompareExchange(ref _state, Of(after.ToImmutable()), before) == before)
            {
                return news;
            }
        }
    }

    public bool Contains(string target) => Volatile.Read(ref _state).InForce.Contains(target);

    /// <summary>Whether a certificate that the authority issued is revoked, by itself or with its node.</summary>
    public bool Contains(string serial, string node) => Contains(serial) || Contains(Revocation.OfNode(node));

    public string? Refusal(Peer peer)
    {
        FrozenSet<string> revoked = Volatile.Read(ref _state).InForce;
        return revoked.Count > 0 && peer.Targets.FirstOrDefault(revoked.Contains) is { } target
            ? $"the certificate '{peer.Subject}' is not accepted: {Revocation.Describe(target)} was revoked"
            : null;
    }

    private static State Of(ImmutableDictionary<(string Target, string By), Revocation> byKey)
    {
        Dictionary<string, DateTimeOffset> allowed = byKey.Values.Where(r => r is { IsRevoked: false, ByAdmin: true })
            .GroupBy(r => r.Target, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Max(r => r.At), StringComparer.Ordinal);
        FrozenSet<string> inForce = byKey.Values.Where(r => r.IsRevoked && !(allowed.TryGetValue(r.Target, out DateTimeOffset at) && at >= r.At))
            .Select(r => r.Target).ToFrozenSet(StringComparer.Ordinal);
        return new(byKey, [.. byKey.Values.OrderBy(r => r.At).ThenBy(r => r.Target, StringComparer.Ordinal)], inForce);
    }
}
