using System.Security.Cryptography.X509Certificates;
using GlooX.Tls;
using GlooX.Tls.Join;

namespace GlooX;

/// <summary>A certificate, for display: see <see cref="Identity.Certificates"/>. Immutable.</summary>
public sealed class CertificateInfo
{
    private CertificateInfo(string kind, string serial, string node, RpcRole role, DateTime validUntil, IReadOnlyList<string> names, bool revoked, bool own) =>
        (Kind, Serial, Node, Role, ValidUntil, Names, Revoked, Own) = (kind, serial, node, role, validUntil, names, revoked, own);

    /// <summary><c>server</c>: shown to callers; <c>client</c>: shown when calling; <c>children</c>: signs those of spawned processes.</summary>
    public string Kind { get; }

    /// <summary>The serial number, for <see cref="Identity.Revoke"/>.</summary>
    public string Serial { get; }

    /// <summary>The node that the certificate is for.</summary>
    public string Node { get; }

    /// <summary>The roles of the holder.</summary>
    public RpcRole Role { get; }

    /// <summary>When the certificate ends (UTC).</summary>
    public DateTime ValidUntil { get; }

    /// <summary>The host names and addresses that the certificate is made for.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Whether the certificate is revoked.</summary>
    public bool Revoked { get; }

    /// <summary>Whether the certificate is this machine's own; false: it was issued here for another machine.</summary>
    public bool Own { get; }

    internal static CertificateInfo Of(string kind, X509Certificate2 certificate, RevocationList revoked)
    {
        string serial = Revocation.SerialOf(certificate.SerialNumber);
        return new CertificateInfo(
            kind,
            serial,
            CertificateNames.Node(certificate) ?? "",
            CertificateNames.Roles(certificate) ?? RpcRole.Any,
            certificate.NotAfter.ToUniversalTime(),
            CertificateNames.Hosts(certificate),
            revoked.Contains(serial, CertificateNames.Node(certificate) ?? ""),
            own: true);
    }

    internal static CertificateInfo Of(IssuedCertificate issued, RevocationList revoked) => new(
        issued.Kind,
        issued.Serial,
        issued.Node,
        issued.Role,
        issued.Until.ToDateTime(TimeOnly.MaxValue, DateTimeKind.Utc),
        issued.Hosts,
        revoked.Contains(issued.Serial, issued.Node),
        own: false);
}
