using System.Net;
using System.Net.Sockets;

namespace GlooX.Tls;

/// <summary>Where a caller comes from, as the unit by which room for strangers is shared out: an IPv4 address, or the IPv6 network of one owner.</summary>
internal static class SourceAddress
{
    private const int NetworkBytes = 8; // what one owner is given: a /64

    /// <summary>Of a caller as <c>host:port</c>; of anything else, such as a UNIX-domain socket, the text itself.</summary>
    public static string Of(string remote) => IPEndPoint.TryParse(remote, out IPEndPoint? end) ? Of(end) : remote;

    /// <summary>Of a caller's address; without one, all callers are of one source.</summary>
    public static string Of(EndPoint? remote)
    {
        if (remote is not IPEndPoint end)
        {
            return "";
        }

        IPAddress address = end.Address.IsIPv4MappedToIPv6 ? end.Address.MapToIPv4() : end.Address;
        return address.AddressFamily == AddressFamily.InterNetworkV6 && !address.IsIPv6LinkLocal
            ? Convert.ToHexString(address.GetAddressBytes()[..NetworkBytes])
            : address.ToString();
    }
}
