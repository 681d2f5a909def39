using GlooX.Interceptors;
using GlooX.Protocol;
using GlooX.Streams;
using GlooX.Tls;
using GlooX.Transport;

namespace GlooX.Client;

/// <summary>
/// The end that dialled. When the server says that it shuts down, the calls in flight go on, new ones are refused, and the connection closes
/// when the last one has ended.
/// </summary>
internal sealed class ClientConnection : RpcConnection
{
    private const int MaxCallbacksInFlight = 16_384;
    private readonly TaskCompletionSource _greeted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TimeSpan _keepAlive;

    private ClientConnection(TlsConnection connection, RpcClientOptions options, int lane)
        : base(connection, options.MaxFrameBytes, options.MaxBufferedBytes, MaxCallbacksInFlight, RpcServerOptions.StandardInFlightBytes, new Pipeline(options.Interceptors))
    {
        LocalAddress = connection.LocalAddress;
        Lane = lane;
        _keepAlive = options.KeepAliveInterval;
        StartSweeping();
    }

    public System.Net.IPAddress? LocalAddress { get; }

    public override int Lane { get; }

    /// <summary>How many calls are in flight.</summary>
    public int Load => InFlight;

    /// <summary>Dials, proves both identities, and waits for the other side's greeting: only then is it known that the caller was let in.</summary>
    public static async Task<ClientConnection> OpenAsync(RpcEndpoint endpoint, Identity identity, RpcClientOptions options, int lane, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        TimeSpan patience = options.ConnectTimeout;
        limit.CancelAfter(patience);
        var how = new DialOptions { Resolve = options.Resolve, OnConnected = options.GreetTimeout > TimeSpan.Zero ? () => limit.CancelAfter(patience = options.GreetTimeout) : null };
        ClientConnection? connection = null;
        try
        {
            TlsConnection tls = await TlsConnection.DialAsync(endpoint, TlsConnection.Rpc, identity, options.ServerName, options.ServerRole, limit.Token, how).ConfigureAwait(false);
            connection = new ClientConnection(tls, options, lane);
            FrameBuffer hello = FrameBuffer.Begin(FrameType.Hello, 0);
            Bodies.WriteHello(hello, new Hello(Hello.Version, Hello.Version, options.MaxFrameBytes, MaxCallbacksInFlight, RpcServer.Software, Streams.IncomingStream.Window) { Tokens = options.Tokens });
            connection.Send(hello);
            ThreadPool.UnsafeQueueUserWorkItem(static c => _ = c.ReadLoopAsync(), connection, preferLocal: false); // without the caller's context; ends with the connection, and reports through Closed
            await connection._greeted.Task.WaitAsync(limit.Token).ConfigureAwait(false);
            return connection;
        }
        catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
        {
            var timeout = new RpcException(RpcError.Timeout, $"cannot connect to {endpoint}: no answer within {patience.TotalSeconds:0.#} s", e) { Url = endpoint.ToString() };
            connection?.Close(timeout);
            throw timeout;
        }
        catch (Exception e)
        {
            connection?.Close(e);
            throw;
        }
    }

    protected override bool AlwaysReads => true;

    public override long Sweep(long now)
    {
        if (_greeted.Task.IsCompleted)
        {
            CheckPeer(now, _keepAlive);
        }

        Trim(now);

        // A silence is seen by no more than a quarter of its length too late.
        long next = base.Sweep(now);
        return _keepAlive > TimeSpan.Zero ? Math.Min(next, now + (long)(_keepAlive.TotalMilliseconds / 4)) : next;
    }

    protected override Definition Resolve(string name) => throw new RpcException(RpcError.ServiceNotFound, "the caller offers nothing but what it has lent");

    protected override void OnControl(FrameType type, ReadOnlyMemory<byte> body)
    {
        switch (type)
        {
            case FrameType.HelloAck:
                Hello hello = Bodies.ReadHello(body);
                PeerMaxFrame = hello.MaxFrame;
                MaxMade = hello.MaxInFlight;
                PeerWindow = hello.Window;
                _greeted.TrySetResult();
                break;
            case FrameType.GoAway:
                (RpcError why, string said, _, _) = Bodies.ReadError(body);
                if (why != RpcError.ShuttingDown)
                {
                    Close(new RpcException(why, why == RpcError.Unauthorized ? $"{Remote} refused this process: {said}" : $"{Remote} ended the connection: {said}") { Url = Remote });
                }

                Drain();
                break;
            default:
                throw new RpcException(RpcError.Protocol, $"unexpected frame of type {(byte)type}");
        }
    }

    protected override void OnClosed(Exception reason)
    {
        _greeted.TrySetException(reason);
        base.OnClosed(reason);
    }
}
