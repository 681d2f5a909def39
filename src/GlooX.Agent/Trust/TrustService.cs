namespace GlooX.Trust;

internal sealed class TrustService(GridRevocations revocations) : ITrustService
{
    public static RpcAccess Access { get; } = new() { Roles = RpcRole.Agent };

    public ValueTask RevokedAsync(string[] said, CancellationToken ct)
    {
        RpcCall call = RpcCall.Current;
        revocations.Hear(said, call.CallerNode ?? call.CallerSerial, call.CallerRoles.HasFlag(RpcRole.Admin));
        return default;
    }

    public ValueTask<string[]> SaidAsync(CancellationToken ct) => new(revocations.Said());

    public ValueTask<RevokedReply> RevokeIssuedAsync(string[] targets, CancellationToken ct) => new(revocations.TryRevokeIssued(targets));
}
