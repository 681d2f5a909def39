using GlooX.Interception;
using GlooX.Wire;

namespace GlooX.Client;

/// <summary>Where calls go: a client, which connects when it must, or one connection, for what the other side lent.</summary>
internal interface ICallSource
{
    /// <summary>The connection for a new call; null when there is none.</summary>
    RpcConnection? Current { get; }

    /// <summary>Whom it calls, for messages.</summary>
    string Url { get; }

    TimeSpan CallTimeout { get; }

    /// <summary>Who sees the calls.</summary>
    Pipeline Pipeline { get; }

    /// <exception cref="RpcException">There is none to be had.</exception>
    ValueTask<RpcConnection> ConnectionAsync(CancellationToken ct);
}
