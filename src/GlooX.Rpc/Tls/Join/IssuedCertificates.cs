using System.Globalization;

namespace GlooX.Tls.Join;

/// <summary>A certificate that this store's authority issued for another machine.</summary>
/// <param name="Serial">In the spelling of <see cref="RevokedSerials.Normal"/>.</param>
/// <param name="Node">The machine's identity.</param>
/// <param name="Kind">Named like the files of a store: server, client or children.</param>
/// <param name="Role">The role in which the machine joined.</param>
/// <param name="Until">The last day of validity.</param>
/// <param name="Hosts">The host names and addresses in the certificate.</param>
internal sealed record IssuedCertificate(string Serial, string Node, string Kind, RpcRole Role, DateOnly Until, IReadOnlyList<string> Hosts);

/// <summary>The certificates that the authority issued for other machines: one line each, only appended to, under the store's lock.</summary>
internal sealed class IssuedCertificates(string path, TimeProvider time)
{
    /// <exception cref="IdentityException">The file is damaged.</exception>
    public IReadOnlyList<IssuedCertificate> Read()
    {
        if (!File.Exists(path))
        {
            return [];
        }

        try
        {
            return [.. File.ReadLines(path).Select(l => l.Split('\t')).Where(p => p.Length == 6).Select(p => new IssuedCertificate(
                RevokedSerials.Normal(p[0]), p[1], p[2], CertificateNames.Parse(p[3]) ?? RpcRole.None, DateOnly.ParseExact(p[4], "yyyy-MM-dd", CultureInfo.InvariantCulture), p[5].Split(',', StringSplitOptions.RemoveEmptyEntries)))];
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            throw new IdentityException(path, $"a line is damaged: {e.Message}", e);
        }
    }

    public void Add(IEnumerable<IssuedCertificate> made) => File.AppendAllLines(path, made.Select(m => string.Join(
        '\t', m.Serial, m.Node, m.Kind, CertificateNames.Describe(m.Role), m.Until.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture), string.Join(',', m.Hosts))));

    /// <summary>The record of the certificate by which a machine identifies itself here: the one for answering, else the one for calling. Null: none was issued.</summary>
    /// <remarks>The last certificate issued for a machine decides its role. An agent's certificates for its user and its children do not identify the machine.</remarks>
    public IssuedCertificate? Find(string serial) =>
        Read().LastOrDefault(i => i.Serial == serial && i.Kind == (i.Role is RpcRole.Agent or RpcRole.Client ? "server" : "client"));

    /// <summary>The names in valid certificates of other machines.</summary>
    public HashSet<string> TakenFrom(string node, RevokedSerials revoked)
    {
        var today = DateOnly.FromDateTime(time.GetUtcNow().UtcDateTime);
        return Read().Where(i => i.Node != node && i.Until >= today && !revoked.Contains(i.Serial)).SelectMany(i => i.Hosts).ToHashSet(StringComparer.Ordinal);
    }
}
