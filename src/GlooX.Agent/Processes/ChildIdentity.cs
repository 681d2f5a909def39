using System.Net;
using GlooX.Contracts;
using GlooX.Hosts;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// Makes the identity of a spawned process: a certificate and key of its own, with the role child, for this machine's names. Where the
/// agent's certificates come from outside without an authority for children (GLOOX_TLS_CHILDREN_*), the process gets the agent's own
/// certificates; that is logged.
/// </summary>
internal sealed partial class ChildIdentity(Identity identity, ILogger logger)
{
    private int _said;

    public Identity Make(SpawnRequest request, string process)
    {
        if (identity.TryCreateChild(RpcRole.Child | (request.AllowSpawn ? RpcRole.Client : RpcRole.None), process, request.Options.Url) is { } child)
        {
            return child;
        }

        if (Interlocked.Exchange(ref _said, 1) == 0)
        {
            LogShared(logger);
        }

        return identity;
    }

    [LoggerMessage(3002, LogLevel.Warning, "Spawned processes are given this agent's own certificates and keys: there is nothing to make others with. Set GLOOX_TLS_CHILDREN_CERTIFICATE and GLOOX_TLS_CHILDREN_PRIVATE_KEY")]
    private static partial void LogShared(ILogger logger);
}
