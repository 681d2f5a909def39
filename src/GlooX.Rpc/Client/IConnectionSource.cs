using GlooX.Interceptors;
using GlooX.Protocol;

namespace GlooX.Client;

/// <summary>Where calls go: a client, which connects when it must, or one connection, for what the other side lent.</summary>
internal interface IConnectionSource
{
    /// <summary>The connection for a new call; null when there is none.</summary>
    RpcConnection? Current { get; }

    /// <summary>Whom it calls, for messages.</summary>
    string Url { get; }

    TimeSpan CallTimeout { get; }

    /// <summary>Who sees the calls.</summary>
    Pipeline Pipeline { get; }

    /// <summary>How many connections it may have at once.</summary>
    int SlotCount => 1;

    bool IsDisposed => false;

    /// <summary>Whether there ever was a connection: then the server is one that comes back.</summary>
    bool WasConnected => false;

    /// <summary>Why connecting failed the last time; null when it did not.</summary>
    Exception? ConnectFailure => null;

    /// <summary>A connection for new calls.</summary>
    /// <param name="ct">Cancels the wait.</param>
    /// <param name="until">How long to try again when connecting fails, in <see cref="Environment.TickCount64"/>.</param>
    /// <exception cref="RpcException">There is none to be had.</exception>
    ValueTask<RpcConnection> ConnectionAsync(CancellationToken ct, long until = 0);
}
