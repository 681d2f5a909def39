using System.Formats.Asn1;
using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace GlooX.Tls;

/// <summary>
/// What a certificate states about its holder, all in its subject alternative names (RFC 5280, 4.2.1.6): hosts and addresses, and as URIs the
/// node (<c>gloox://node/ID</c>) and the roles (<c>gloox://role/NAME</c>).
/// </summary>
internal static class CertificateNames
{
    public const string NodePrefix = "gloox://node/";
    private const string RolePrefix = "gloox://role/";
    private const string SubjectAlternativeNames = "2.5.29.17";
    private static readonly (RpcRole Role, string Name)[] s_roles =
        [(RpcRole.Agent, "agent"), (RpcRole.Client, "client"), (RpcRole.Child, "child"), (RpcRole.Observer, "observer")];

    // RFC 1035, 2.3.4, as text.
    private const int MaxHost = 253;
    private const int MaxLabel = 63;
    private static readonly IdnMapping s_idn = new();
    private static readonly Asn1Tag s_dns = new(TagClass.ContextSpecific, 2);
    private static readonly Asn1Tag s_uri = new(TagClass.ContextSpecific, 6);
    private static readonly Asn1Tag s_ip = new(TagClass.ContextSpecific, 7);

    public static X509Extension Extension(IEnumerable<string> hosts, string? node, RpcRole roles)
    {
        var names = new SubjectAlternativeNameBuilder();
        foreach (string host in hosts.Select(Normal))
        {
            if (IPAddress.TryParse(host, out IPAddress? address))
            {
                names.AddIpAddress(address);
            }
            else
            {
                names.AddDnsName(host);
            }
        }

        if (node is not null)
        {
            names.AddUri(new Uri(NodePrefix + node));
        }

        foreach ((RpcRole role, string name) in s_roles)
        {
            if (roles.HasFlag(role))
            {
                names.AddUri(new Uri(RolePrefix + name));
            }
        }

        return names.Build();
    }

    /// <summary>Host names in lower case and addresses, in the certificate's order.</summary>
    /// <exception cref="CryptographicException">The extension is malformed.</exception>
    public static IReadOnlyList<string> Hosts(X509Certificate2 certificate) => [.. Read(certificate.Extensions).Where(n => !n.IsUri).Select(n => n.Name)];

    /// <inheritdoc cref="Hosts(X509Certificate2)"/>
    public static IReadOnlyList<string> Hosts(IEnumerable<X509Extension> extensions) => [.. Read(extensions).Where(n => !n.IsUri).Select(n => n.Name)];

    /// <summary>The roles; null: the certificate states none.</summary>
    public static RpcRole? Roles(X509Certificate2 certificate)
    {
        string[] carried = [.. Read(certificate.Extensions).Where(n => n.IsUri && n.Name.StartsWith(RolePrefix, StringComparison.Ordinal)).Select(n => n.Name[RolePrefix.Length..])];
        return carried.Length == 0 ? null : carried.Aggregate(RpcRole.None, (all, name) => all | s_roles.FirstOrDefault(r => r.Name == name).Role);
    }

    /// <summary>The node's identity; null: the certificate states none.</summary>
    public static string? Node(X509Certificate2 certificate) =>
        Read(certificate.Extensions).FirstOrDefault(n => n.IsUri && n.Name.StartsWith(NodePrefix, StringComparison.Ordinal)).Name?[NodePrefix.Length..];

    /// <summary>Whether the certificate is made for a host, an address or a node (<c>gloox://node/ID</c>).</summary>
    public static bool Carries(X509Certificate2 certificate, string name)
    {
        if (name.StartsWith(NodePrefix, StringComparison.Ordinal))
        {
            return Read(certificate.Extensions).Any(n => n.IsUri && n.Name == name);
        }

        try
        {
            // The common name counts only without alternative names, as in old certificates of private authorities.
            string host = Normal(name);
            return (IPAddress.TryParse(host, out _) && Hosts(certificate).Contains(host, StringComparer.Ordinal))
                || certificate.MatchesHostname(host, allowWildcards: true, allowCommonName: true);
        }
        catch (ArgumentException)
        {
            return false; // not a DNS name, so no certificate carries it
        }
    }

    /// <summary>The roles as text for a message: <c>agent, client</c>.</summary>
    public static string Describe(RpcRole roles) =>
        roles == RpcRole.None ? "none" : string.Join(", ", s_roles.Where(r => roles.HasFlag(r.Role)).Select(r => r.Name));

    /// <summary>The inverse of <see cref="Describe"/>, for one role; null: no role of that name.</summary>
    public static RpcRole? Parse(string name) => s_roles.FirstOrDefault(r => r.Name == name) is { Role: not RpcRole.None and var role } ? role : null;

    /// <summary>The names of this machine: localhost, its host name, and its current addresses.</summary>
    public static IReadOnlyList<string> OfThisMachine() =>
    [
        .. new[] { "localhost", Normal(Environment.MachineName), "127.0.0.1", "::1" }
            .Concat(NetworkInterface.GetAllNetworkInterfaces()
                .SelectMany(i => i.GetIPProperties().UnicastAddresses)
                .Select(a => a.Address)
                .Where(IsStable)
                .Select(a => a.ToString()))
            .Where(IsHost)
            .Distinct(StringComparer.Ordinal),
    ];

    /// <summary>Whether other machines can use the address too. A link-local IPv6 address needs a scope, which certificates do not have.</summary>
    public static bool IsStable(IPAddress address) =>
        address.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6 && !address.IsIPv6LinkLocal;

    /// <summary>Whether a name is an address, or a host name that can be in a certificate: see <see cref="Normal"/>.</summary>
    public static bool IsHost(string name)
    {
        string host = Normal(name);
        return IPAddress.TryParse(host, out _)
            || (host.Length <= MaxHost && host.Split('.').All(static l => l.Length is > 0 and <= MaxLabel && l.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_')));
    }

    /// <summary>
    /// The one spelling of a host name or address, in which names are compared and issued: lower case, ASCII (punycode), without a final dot; an
    /// IPv4 address within IPv6 is an IPv4 address, and an IPv6 address has no scope. A text that is no name stays as it is.
    /// </summary>
    public static string Normal(string host)
    {
        string name = host;
        if (!Ascii.IsValid(host))
        {
            try
            {
                name = s_idn.GetAscii(host.ToLowerInvariant());
            }
            catch (ArgumentException)
            {
                return host; // no name: IsHost says so
            }
        }

        if (name.StartsWith('.') || name.Contains("..", StringComparison.Ordinal))
        {
            return host; // an empty label
        }

        name = name.EndsWith('.') ? name[..^1] : name;
        if (!IPAddress.TryParse(name, out IPAddress? address))
        {
            return name.ToLowerInvariant();
        }

        return (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : new IPAddress(address.GetAddressBytes())).ToString();
    }

    private static List<(string Name, bool IsUri)> Read(IEnumerable<X509Extension> extensions)
    {
        X509Extension? extension = extensions.FirstOrDefault(e => e.Oid?.Value == SubjectAlternativeNames);
        return extension is null ? [] : Read(extension.RawData);
    }

    private static List<(string Name, bool IsUri)> Read(byte[] der)
    {
        try
        {
            var names = new List<(string, bool)>();
            AsnReader all = new AsnReader(der, AsnEncodingRules.DER).ReadSequence();
            while (all.HasData)
            {
                Asn1Tag tag = all.PeekTag();
                if (tag.HasSameClassAndValue(s_dns))
                {
                    names.Add((Normal(all.ReadCharacterString(UniversalTagNumber.IA5String, s_dns)), false));
                }
                else if (tag.HasSameClassAndValue(s_uri))
                {
                    names.Add((all.ReadCharacterString(UniversalTagNumber.IA5String, s_uri), true));
                }
                else if (tag.HasSameClassAndValue(s_ip))
                {
                    names.Add((Normal(new IPAddress(all.ReadOctetString(s_ip)).ToString()), false));
                }
                else
                {
                    all.ReadEncodedValue();
                }
            }

            return names;
        }
        catch (Exception e) when (e is AsnContentException or ArgumentException)
        {
            throw new CryptographicException("the subject alternative names are malformed", e);
        }
    }
}
