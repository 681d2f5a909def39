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

    /// <summary>As <see cref="CallAsync"/>, with 10 KB there and back.</summary>
    Task EchoAsync(Load load, int caller);

    /// <summary>As <see cref="CallAsync"/>, with results that come as a stream; each item counts.</summary>
    Task StreamAsync(Load load, int caller);

    /// <summary>One call.</summary>
    Task CallOnceAsync();
}

/// <summary>The caller's loop, generic in the reply so that no peer pays for an adapter on each call.</summary>
internal abstract class EchoClient<TReply> : IEchoClient
{
    private const int ItemsPerCall = 100_000;
    private readonly byte[] _payload = new byte[10_000];

    public async Task CallAsync(Load load, int caller)
    {
        for (int id = 0; !load.IsOver; id++)
        {
            long start = load.Now;
            TReply reply = await SendAsync(id, Peer.Text).ConfigureAwait(false);
            load.Answered(caller, start);
            if (TextOf(reply) != Peer.Text)
            {
                throw new InvalidDataException("the answer is not the echo of the question");
            }
        }
    }

    public async Task EchoAsync(Load load, int caller)
    {
        while (!load.IsOver)
        {
            long start = load.Now;
            int length = await EchoAsync(_payload).ConfigureAwait(false);
            load.Answered(caller, start);
            if (length != _payload.Length)
            {
                throw new InvalidDataException("the answer is not the echo of the question");
            }
        }
    }

    public async Task StreamAsync(Load load, int caller)
    {
        while (!load.IsOver)
        {
            await foreach (TReply item in Count(ItemsPerCall).ConfigureAwait(false))
            {
                load.Answered(caller, 0);
                if (load.IsOver)
                {
                    break;
                }

                if (TextOf(item) != Peer.Text)
                {
                    throw new InvalidDataException("the item is not what the server sent");
                }
            }
        }
    }

    public async Task CallOnceAsync()
    {
        if (TextOf(await SendAsync(0, Peer.Text)) != Peer.Text)
        {
            throw new InvalidDataException("the answer is not the echo of the question");
        }
    }

    public abstract ValueTask DisposeAsync();

    protected abstract ValueTask<TReply> SendAsync(int id, string text);

    protected abstract string TextOf(TReply reply);

    /// <summary>Sends bytes there and back; returns how many came.</summary>
    protected virtual ValueTask<int> EchoAsync(byte[] payload) => throw new NotSupportedException();

    /// <summary>A call whose results come as a stream of <see cref="Peer.Text"/>.</summary>
    protected virtual IAsyncEnumerable<TReply> Count(int count) => throw new NotSupportedException();
}

internal static class Peer
{
    public const string Text = "hello, agent 0042";

    /// <summary>GlooX first; the others are what it is compared with.</summary>
    public static readonly IPeer[] All = [new GlooXPeer(), new GrpcPeer(), new SignalRPeer(), new StreamJsonRpcPeer(), new LimitPeer()];
}
