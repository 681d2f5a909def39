using System.Net;
using GlooX.Contracts;
using GlooX.Hosts;
using GlooX.Tls;
using GlooX.Transport;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// Makes what a spawned process is to others: a certificate and key of its own, with the role child, for this machine's names. Where the
/// agent's certificates are somebody else's and nothing came with them that may sign (GLOOX_TLS_CHILDREN_*), the process is given those of
/// the agent, as their owner's other processes are; that is logged.
/// </summary>
internal sealed partial class ChildIdentity(Identity identity, ILogger logger)
{
    private int _said;

    public IdentityParts Make(SpawnRequest request)
    {
        IdentityParts mine = identity.For(OwnAddress(request.Options.Url));
        if (mine.Children is not null)
        {
            return mine.ForChild(RpcRole.Child | (request.AllowSpawn ? RpcRole.Client : RpcRole.None), DateTimeOffset.UtcNow);
        }

        if (Interlocked.Exchange(ref _said, 1) == 0)
        {
            LogShared(logger);
        }

        return mine;
    }

    // The address that the process is told to listen on, if it is one of this machine's: nobody gets another's into a certificate by a spawn.
    private static IPAddress? OwnAddress(string url)
    {
        try
        {
            return IPAddress.TryParse(RpcEndpoint.Parse(url).Host, out IPAddress? address)
                && (IPAddress.IsLoopback(address) || CertificateNames.OfThisMachine().Contains(CertificateNames.Normal(address.ToString()), StringComparer.Ordinal))
                ? address
                : null;
        }
        catch (ArgumentException)
        {
            return null; // the process says so, with the reason
        }
    }

    [LoggerMessage(3002, LogLevel.Warning, "Spawned processes are given this agent's own certificates and keys: there is nothing to make others with. Set GLOOX_TLS_CHILDREN_CERTIFICATE and GLOOX_TLS_CHILDREN_PRIVATE_KEY")]
    private static partial void LogShared(ILogger logger);
}
