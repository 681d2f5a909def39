using System.Globalization;
using System.Text;

namespace GlooX.Grid;

/// <summary>Identifies one engine: its address and its incarnation.</summary>
internal readonly record struct NodeKey(string Address, string Incarnation);

/// <summary>
/// Gives each engine an address that was never used before: the incarnation is the last label of its host, <c>10.0.0.3.i1a2b</c>.
/// So an earlier engine at the same host and port need not be removed first, downing an address removes exactly one engine, and Akka's
/// quarantine of an earlier engine does not affect a later one.
/// </summary>
internal static class Incarnation
{
    /// <summary>A unique incarnation. Later ones compare greater as long as the clock does not go back.</summary>
    public static string New(TimeProvider time) =>
        $"i{time.GetUtcNow().ToUnixTimeMilliseconds():x12}{Random.Shared.Next(0x10000):x4}";

    /// <summary>
    /// The engine's host. Characters that a host name may not contain (colons, underscores) are written <c>_hex</c>, after an <c>x</c>.
    /// </summary>
    public static string ToEngineHost(string host, string incarnation)
    {
        bool plain = host.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '.' or '-');
        if (plain)
        {
            return $"{host}.{incarnation}";
        }

        var text = new StringBuilder("x");
        foreach (byte b in Encoding.UTF8.GetBytes(host))
        {
            char c = (char)b;
            if (char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '.' or '-')
            {
                text.Append(c);
            }
            else
            {
                text.Append(CultureInfo.InvariantCulture, $"_{b:x2}");
            }
        }

        return text.Append('.').Append(incarnation).ToString();
    }

    /// <summary>The real host and the incarnation, which is empty when the host is not that of an engine.</summary>
    public static (string Host, string Incarnation) FromEngineHost(string engineHost)
    {
        int dot = engineHost.LastIndexOf(".i", StringComparison.Ordinal);
        if (dot < 0)
        {
            return (engineHost, "");
        }

        string host = engineHost[..dot];
        string incarnation = engineHost[(dot + 1)..];
        if (!host.Contains('_'))
        {
            return (host, incarnation);
        }

        var bytes = new List<byte>(host.Length);
        for (int i = 1; i < host.Length; i++)
        {
            if (host[i] == '_'
                && i + 2 < host.Length
                && byte.TryParse(host.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte b))
            {
                bytes.Add(b);
                i += 2;
            }
            else
            {
                bytes.Add((byte)host[i]);
            }
        }

        return (Encoding.UTF8.GetString([.. bytes]), incarnation);
    }
}
