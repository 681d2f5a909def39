using System.Globalization;

namespace GlooX;

/// <summary>That certificates are revoked, or allowed again: what one revoker said last of one target. Immutable.</summary>
/// <param name="Target">
/// <c>node/ID</c>: all certificates of a node, those of its spawned processes too. Else a serial number in hexadecimal: the one certificate with this
/// number that no node issued to a process of its own.
/// </param>
/// <param name="IsRevoked">Whether the target is revoked; false: it is allowed again.</param>
/// <param name="At">When the revoker said so, by the revoker's clock. Of two words of one revoker the later counts.</param>
/// <param name="By">The node of the revoker; empty: this process.</param>
/// <param name="ByAdmin">Whether the revoker has the role admin: then its later word overrides that of others.</param>
public sealed record Revocation(string Target, bool IsRevoked, DateTimeOffset At, string By, bool ByAdmin)
{
    private const string NodePrefix = "node/";
    private const int MaxNode = 64;
    private const int NodeDigits = 12;

    /// <summary>The node's id; null: the target is one certificate.</summary>
    public string? Node => Target.StartsWith(NodePrefix, StringComparison.Ordinal) ? Target[NodePrefix.Length..] : null;

    /// <summary>
    /// Reads what people write: <c>node/ID</c> or the 12 hexadecimal digits of a node's id; else a serial number in hexadecimal, as <c>gloox certs</c>,
    /// <c>openssl x509 -serial</c> and <c>-text</c> print it. <c>serial=…</c> is never a node.
    /// </summary>
    /// <param name="text">A node or a serial number.</param>
    /// <returns>The target, as in <see cref="Target"/>.</returns>
    /// <exception cref="ArgumentException">The text is neither.</exception>
    public static string TargetOf(string text)
    {
        string trimmed = (text ?? "").Trim();
        if (trimmed.StartsWith(NodePrefix, StringComparison.Ordinal))
        {
            return IsNode(trimmed[NodePrefix.Length..]) ? trimmed : throw new ArgumentException($"'{text}' names no node", nameof(text));
        }

        return trimmed.Length == NodeDigits && trimmed.All(char.IsAsciiHexDigit) ? OfNode(trimmed.ToLowerInvariant()) : SerialOf(trimmed);
    }

    /// <summary>The inverse of <see cref="ToString"/>.</summary>
    /// <param name="line">One line of text.</param>
    /// <returns>The revocation.</returns>
    /// <exception cref="ArgumentException">The text is no such line.</exception>
    public static Revocation Parse(string line)
    {
        string[] parts = (line ?? "").Split('\t');
        return parts switch
        {
            [{ } target, "revoked" or "allowed", { } at, { Length: <= MaxNode } by, "admin" or "-"]
                when long.TryParse(at, NumberStyles.None, CultureInfo.InvariantCulture, out long time) && time <= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds() =>
                new(TargetOf(target), parts[1] == "revoked", DateTimeOffset.FromUnixTimeMilliseconds(time), by, parts[4] == "admin"),
            [{ } serial] => new(TargetOf(serial), true, DateTimeOffset.UnixEpoch, "", ByAdmin: false), // as earlier versions wrote it
            _ => throw new ArgumentException($"'{line}' is no revocation", nameof(line)),
        };
    }

    /// <summary>One line of text, for <see cref="Parse"/>.</summary>
    /// <returns>The line, without its end.</returns>
    public override string ToString() => string.Join(
        '\t', Target, IsRevoked ? "revoked" : "allowed", At.ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture), By, ByAdmin ? "admin" : "-");

    internal static string OfNode(string node) => NodePrefix + node;

    internal static string Describe(string target) => target.StartsWith(NodePrefix, StringComparison.Ordinal)
        ? $"the node {target[NodePrefix.Length..]}"
        : $"the serial number {target}";

    /// <summary>One spelling: hexadecimal digits in upper case without leading zeros.</summary>
    /// <exception cref="ArgumentException">The text is no serial number.</exception>
    internal static string SerialOf(string serial)
    {
        string digits = serial.Replace("serial=", "", StringComparison.Ordinal).Replace(":", "", StringComparison.Ordinal).Trim().TrimStart('0').ToUpperInvariant();
        return digits.Length is > 0 and <= 40 && digits.All(char.IsAsciiHexDigit)
            ? digits
            : throw new ArgumentException(
                $"'{serial}' is no serial number of a certificate and no node: write hexadecimal digits, as gloox certs shows them", nameof(serial));
    }

    private static bool IsNode(string id) => id.Length is > 0 and <= MaxNode && id.All(static c => c is > ' ' and < (char)127);
}
