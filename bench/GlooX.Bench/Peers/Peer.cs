namespace GlooX.Bench.Peers;

/// <summary>One of the things compared: how it serves and how it calls. All do mutual TLS 1.3 on 127.0.0.1 over one connection.</summary>
internal interface IPeer
{
    string Kind { get; }

    /// <summary>Serves until disposed; reports the port once it accepts.</summary>
    Task<IAsyncDisposable> ServeAsync(Identity identity, Action<int> listening, CancellationToken ct);

    Task<IEchoClient> ConnectAsync(int port, Identity identity, CancellationToken ct);
}

internal interface IEchoClient : IAsyncDisposable
{
    /// <summary>One caller: calls, waits for the answer, calls again, until the load ends.</summary>
    Task CallAsync(Load load, int caller);

    /// <summary>One call.</summary>
    Task CallOnceAsync();
}

/// <summary>The caller's loop, generic in the reply so that no peer pays for an adapter on each call.</summary>
internal abstract class EchoClient<TReply> : IEchoClient
{
    private const string Text = "hello, agent 0042";

    public async Task CallAsync(Load load, int caller)
    {
        for (int id = 0; !load.IsOver; id++)
        {
            long start = load.Now;
            TReply reply = await SendAsync(id, Text).ConfigureAwait(false);
            load.Answered(caller, start);
            if (TextOf(reply) != Text)
            {
                throw new InvalidDataException("the answer is not the echo of the question");
            }
        }
    }

    public async Task CallOnceAsync()
    {
        if (TextOf(await SendAsync(0, Text)) != Text)
        {
            throw new InvalidDataException("the answer is not the echo of the question");
        }
    }

    public abstract ValueTask DisposeAsync();

    protected abstract ValueTask<TReply> SendAsync(int id, string text);

    protected abstract string TextOf(TReply reply);
}

internal static class Peer
{
    /// <summary>GlooX first; the others are what it is compared with.</summary>
    public static readonly IPeer[] All = [new GlooXPeer(), new GrpcPeer(), new SignalRPeer()];
}
