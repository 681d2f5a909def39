using GlooX.Contracts;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// Makes the identity of a spawned process: a certificate and key of its own, with the role child, for this machine's names. Where nothing came
/// with the agent's certificates that may sign (GLOOX_TLS_CHILDREN_*), no class is spawned, unless the agent shares its own certificates and keys with
/// its processes (<see cref="AgentOptions.ShareIdentity"/>); never with those of another user.
/// </summary>
internal sealed partial class ChildIdentity(Identity identity, bool shares, ILogger logger)
{
    private int _isLogged;

    /// <summary>What is revoked now.</summary>
    public IReadOnlyList<Revocation> Revocations => identity.Revocations;

    /// <summary>Why this node can make no identity for a process; null: it can.</summary>
    public string? Fault(SpawnRequest request) =>
        request.Command.Length > 0 || identity.IssuesChildren ? null
        : !shares ? "spawns no classes: it has nothing to issue their certificates with. Set GLOOX_TLS_CHILDREN_CERTIFICATE and GLOOX_TLS_CHILDREN_PRIVATE_KEY, "
            + "or, if all that is spawned may act as the agent, start it with --share-identity (AgentOptions.ShareIdentity)"
        : request.User.Length > 0 ? $"does not share its certificates with processes of the user '{request.User}'. Set GLOOX_TLS_CHILDREN_CERTIFICATE and GLOOX_TLS_CHILDREN_PRIVATE_KEY"
        : null;

    /// <exception cref="IOException">This node can make none.</exception>
    public Identity Make(SpawnRequest request, string process)
    {
        if (Fault(request) is { } fault)
        {
            throw new IOException($"the node {fault}");
        }

        if (identity.TryCreateChild(RpcRole.Child | (request.AllowSpawn ? RpcRole.Client : RpcRole.None), process, request.Options.Url) is { } child)
        {
            return child;
        }

        if (Interlocked.Exchange(ref _isLogged, 1) == 0)
        {
            LogShared(logger);
        }

        return identity;
    }

    [LoggerMessage(3002, LogLevel.Warning,
        "Spawned processes are given this agent's own certificates and keys, as ShareIdentity says: each can act as the agent. "
        + "Set GLOOX_TLS_CHILDREN_CERTIFICATE and GLOOX_TLS_CHILDREN_PRIVATE_KEY instead")]
    private static partial void LogShared(ILogger logger);
}
