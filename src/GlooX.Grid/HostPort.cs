using System.Buffers;
using System.Globalization;
using System.Net;

namespace GlooX.Grid;

/// <summary>
/// "host:port" in one spelling: lower case, IPv6 addresses shortened and in brackets. Addresses are compared as this text everywhere.
/// </summary>
internal readonly record struct HostPort(string Host, int Port)
{
    private static readonly SearchValues<char> Forbidden = SearchValues.Create("/@[]# ");

    public static HostPort Parse(string text) => TryParse(text, out HostPort address)
        ? address
        : throw new ArgumentException($"'{text}' is not of the form host:port", nameof(text));

    public static bool TryParse(string? text, out HostPort address)
    {
        address = default;
        int colon = text?.LastIndexOf(':') ?? -1;
        if (colon <= 0
            || !int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port)
            || port is 0 or > 65535)
        {
            return false;
        }

        string host = text![..colon];
        bool bracketed = host is ['[', .., ']'];
        if (bracketed)
        {
            host = host[1..^1];
        }

        // An IPv6 address without brackets cannot be told from its port.
        if (host.Length == 0 || host.Contains(':') != bracketed || host.AsSpan().ContainsAny(Forbidden))
        {
            return false;
        }

        address = Of(host, port);
        return true;
    }

    public static HostPort Of(string host, int port) =>
        new(host.Contains(':') && IPAddress.TryParse(host, out IPAddress? ip) ? ip.ToString() : host.ToLowerInvariant(), port);

    public override string ToString() => Host.Contains(':') ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
