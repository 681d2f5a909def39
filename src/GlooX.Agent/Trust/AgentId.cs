using System.Globalization;
using System.Security.Cryptography;
using GlooX.Channels.Replication;

namespace GlooX.Trust;

/// <summary>
/// The id of one start of an agent: the node in its certificate, a dot, and random digits. So whoever is told of an agent can compare it with
/// the certificate of who tells. Agents whose certificates name no node, as those of an own authority may, are not told apart.
/// </summary>
internal static class AgentId
{
    public static string New(string? node) => $"{node}.{RandomNumberGenerator.GetHexString(8, lowercase: true)}";

    /// <summary>Whether the holder of a certificate with this node may bear the id.</summary>
    public static bool IsOf(string id, string? node) => id.LastIndexOf('.') is >= 0 and var dot && id.AsSpan(0, dot).SequenceEqual(node ?? "");

    /// <summary>The id as the origin of changes: the node's hash above, the random digits below.</summary>
    public static ulong Number(string id)
    {
        int dot = id.LastIndexOf('.');
        bool isWellFormed = uint.TryParse(id.AsSpan(dot + 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint start);
        return ((ulong)Upper(id[..Math.Max(dot, 0)]) << 32) | (isWellFormed ? start : (uint)Hash.OfKey(id));
    }

    /// <summary>Whether the holder of a certificate with this node may be the origin.</summary>
    public static bool IsOf(ulong number, string? node) => number >> 32 == Upper(node ?? "");

    private static uint Upper(string node) => (uint)(Hash.OfKey(node) >> 32);
}
