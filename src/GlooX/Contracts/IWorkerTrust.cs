namespace GlooX.Contracts;

/// <summary>What a spawned process answers to the agents of its own node alone; the service named <c>gloox.trust</c>.</summary>
[RpcService]
internal interface IWorkerTrust
{
    public const string ServiceName = "gloox.trust";

    /// <summary>Which certificates are revoked, or allowed again: lines of <see cref="Revocation.ToString"/>.</summary>
    [Rpc("revoked", Idempotent = true)]
    ValueTask RevokedAsync(string[] said, CancellationToken ct = default);
}
