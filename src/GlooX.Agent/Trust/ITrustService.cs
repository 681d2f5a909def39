namespace GlooX.Trust;

/// <summary>What agents, and the authority's own process, tell each other of revoked certificates; the service named <c>trust</c>.</summary>
[RpcService]
internal interface ITrustService
{
    public const string ServiceName = "trust";

    /// <summary>The caller tells what it has revoked, or allowed again: lines of <see cref="Revocation.ToString"/>.</summary>
    [Rpc("revoked", Idempotent = true)]
    ValueTask RevokedAsync(string[] said, CancellationToken ct = default);

    /// <summary>What this side has revoked, or allowed again.</summary>
    [Rpc("said", Idempotent = true)]
    ValueTask<string[]> SaidAsync(CancellationToken ct = default);

    /// <summary>Revokes, if the book of the authority is here.</summary>
    [Rpc("revoke_issued", Idempotent = true)]
    ValueTask<RevokedReply> RevokeIssuedAsync(string[] targets, CancellationToken ct = default);
}

/// <summary>What came of revoking where the book of the authority is.</summary>
/// <param name="HasBook">Whether it is here; false: nothing was done.</param>
/// <param name="Fault">Why nothing was revoked; empty: it was.</param>
/// <param name="Targets">What was revoked.</param>
internal sealed record RevokedReply(bool HasBook, string Fault, RevokedTarget[] Targets);
