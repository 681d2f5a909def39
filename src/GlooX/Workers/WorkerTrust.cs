using GlooX.Contracts;

namespace GlooX.Workers;

/// <summary>
/// Hears what is revoked from an agent that has no private line to this process: one that took it over. The agent shows its role and the node that
/// this process is of.
/// </summary>
internal sealed class WorkerTrust(Identity identity) : IWorkerTrust
{
    private const string Unknown = "unknown"; // of an authority that names no nodes

    public static RpcAccess Access { get; } = new() { Roles = RpcRole.Agent };

    public ValueTask RevokedAsync(string[] said, CancellationToken ct)
    {
        if ((RpcCall.Current.CallerNode ?? Unknown) != (identity.Node ?? Unknown))
        {
            throw new RpcException(RpcError.Forbidden, "a spawned process believes the agents of its own node alone");
        }

        identity.Record(said.Select(Revocation.Parse));
        return default;
    }
}
