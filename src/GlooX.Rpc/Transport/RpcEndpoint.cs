using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace GlooX;

/// <summary>
/// Where a process listens or is dialled: <c>host:port</c>, <c>[ipv6]:port</c>, a bare port (127.0.0.1), <c>:port</c> (all addresses of this
/// machine, as 0.0.0.0), or <c>unix:/path</c>.
/// </summary>
public sealed class RpcEndpoint
{
    private const string Unix = "unix:";

    // sun_path with its final zero: 108 bytes on Linux and Windows, 104 on macOS.
    private static readonly int s_maxPath = OperatingSystem.IsMacOS() ? 103 : 107;

    internal RpcEndpoint(string host, int port, string? path = null) => (Host, Port, Path) = (host, port, path);

    /// <summary>Name or address, without brackets; <c>localhost</c> for a UNIX-domain socket.</summary>
    public string Host { get; }

    /// <summary>0 to 65535; 0 means that the system chooses, for listening only.</summary>
    public int Port { get; }

    /// <summary>The file of a UNIX-domain socket; null for TCP.</summary>
    public string? Path { get; }

    /// <summary>Whether it can be dialled: TCP needs a port.</summary>
    internal bool IsDialable => Path is not null || Port != 0;

    /// <summary>Whether the host means all addresses of this machine, such as 0.0.0.0.</summary>
    public bool IsAny => Host is "0.0.0.0" or "::" or "*";

    /// <summary>The endpoint to dial: an "any" address means this machine.</summary>
    public RpcEndpoint Dialable => Host == "::" ? new("::1", Port) : IsAny ? new("127.0.0.1", Port) : this;

    /// <summary>The same host with another port.</summary>
    /// <param name="port">0 to 65535.</param>
    /// <returns>The endpoint.</returns>
    public RpcEndpoint WithPort(int port) => new(Host, port, Path);

    /// <summary>The same port with another host.</summary>
    /// <param name="host">Name or address, without brackets.</param>
    /// <returns>The endpoint.</returns>
    public RpcEndpoint WithHost(string host) => new(host, Port);

    /// <summary>Parses a URL.</summary>
    /// <param name="url">The text.</param>
    /// <returns>The endpoint.</returns>
    /// <exception cref="ArgumentException">The text is no URL; the message says what one looks like.</exception>
    public static RpcEndpoint Parse(string url)
    {
        ArgumentException Bad(string why) => new($"'{url}' is no URL of an agent: {why}. Write host:port, for example 127.0.0.1:9999 or 0.0.0.0:9999, or unix:/path", nameof(url));
        string text = (url ?? "").Trim();
        if (text.Length == 0)
        {
            throw Bad("it is empty");
        }

        if (text.StartsWith(Unix, StringComparison.Ordinal))
        {
            string path = text[Unix.Length..];
            return !System.IO.Path.IsPathFullyQualified(path) ? throw Bad("the path of the socket must begin at the root, as in unix:/run/my.sock")
                : Encoding.UTF8.GetByteCount(path) > s_maxPath ? throw Bad($"a socket's path may take {s_maxPath} bytes")
                : new RpcEndpoint("localhost", 0, path);
        }

        int colon = text.LastIndexOf(':');
        string host = colon < 0 ? "" : text[..colon];
        string port = text[(colon + 1)..];
        if (host.StartsWith('[') && host.EndsWith(']'))
        {
            host = host[1..^1];
            if (!IPAddress.TryParse(host, out IPAddress? six) || six.AddressFamily != AddressFamily.InterNetworkV6)
            {
                throw Bad("the brackets hold no IPv6 address");
            }
        }
        else if (host.Contains(':', StringComparison.Ordinal))
        {
            throw Bad(host.Contains("//", StringComparison.Ordinal) ? "leave out the scheme" : "an IPv6 address needs brackets");
        }

        if (!int.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number > 65535)
        {
            throw Bad("the port must be a number from 0 to 65535");
        }

        if (host.Length == 0)
        {
            host = colon < 0 ? "127.0.0.1" : "0.0.0.0";
        }

        if (Uri.CheckHostName(host == "*" ? "0.0.0.0" : host) == UriHostNameType.Unknown)
        {
            throw Bad($"'{host}' is no host name or address");
        }

        return new RpcEndpoint(host == "*" ? "0.0.0.0" : host, number);
    }

    /// <summary>The URL.</summary>
    /// <returns>As <see cref="Parse"/> takes it.</returns>
    public override string ToString() => Path is not null ? Unix + Path : Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";

    /// <summary>The address to bind.</summary>
    internal async Task<IPEndPoint> ResolveForBindAsync(CancellationToken ct)
    {
        if (IPAddress.TryParse(Host, out IPAddress? address))
        {
            return new IPEndPoint(address, Port);
        }

        IPAddress[] found = await Dns.GetHostAddressesAsync(Host, ct).ConfigureAwait(false);
        return new IPEndPoint(found[0], Port);
    }
}
