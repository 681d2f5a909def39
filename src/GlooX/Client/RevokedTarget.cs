namespace GlooX;

/// <summary>What <see cref="GlooXClient.RevokeAsync"/> revoked, or <see cref="GlooXClient.AllowAsync"/> allowed again. Immutable.</summary>
/// <param name="Target">The node or the serial number, as in <see cref="Revocation.Target"/>.</param>
/// <param name="Node">The node whose certificates these are; empty: not known.</param>
/// <param name="Certificates">How many valid certificates these are; null: not known, since no agent of the node with the authority's key could be reached.</param>
public sealed record RevokedTarget(string Target, string Node, int? Certificates);
