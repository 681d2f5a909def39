using GlooX.Interceptors;
using GlooX.Protocol;
using GlooX.Server;
using GlooX.Streams;
using GlooX.Tls;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Client;

/// <summary>
/// The end that dialled. When the server says that it shuts down, the calls in flight go on, new ones are refused, and the connection closes
/// when the last one has ended.
/// </summary>
internal sealed class ClientConnection : RpcConnection
{
    private const int MaxCallbacksInFlight = 16_384;
    private static readonly HandlerThreads s_threads = new(RpcServerOptions.StandardHandlerThreads); // for what is called back, over all connections
    private readonly TaskCompletionSource _greeted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TimeSpan _keepAlive;

    private ClientConnection(TlsConnection connection, RpcClientOptions options, int slotIndex)
        : base(connection, options.MaxFrameBytes, options.MaxBufferedBytes, MaxCallbacksInFlight, RpcServerOptions.StandardInFlightBytes, new Pipeline(options.Interceptors))
    {
        Logger = (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Rpc");
        OneWayFailures = new LogThrottle(Logger, LogLevel.Warning, "one-way calls that failed");
        SlotIndex = slotIndex;
        _keepAlive = options.KeepAliveInterval;
        StartDeadlineTimer();
    }

    public override int SlotIndex { get; }

    /// <summary>How many calls are in flight.</summary>
    public int Load => InFlight;

    /// <summary>Dials, proves both identities, and waits for the other side's greeting: only then is it known that the caller was let in.</summary>
    public static async Task<ClientConnection> OpenAsync(RpcEndpoint endpoint, Identity identity, RpcClientOptions options, int slotIndex, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(options.ConnectTimeout);
        long began = Environment.TickCount64;
        ClientConnection? connection = null;
        try
        {
            TlsConnection tls = await TlsConnection.DialAsync(endpoint, TlsConnection.Rpc, identity, options.ServerName, options.ServerRole, limit.Token, options.DialOptions(limit)).ConfigureAwait(false);
            connection = new ClientConnection(tls, options, slotIndex);
            FrameBuffer hello = FrameBuffer.Begin(FrameType.Hello, 0);
            FrameBodies.WriteHello(hello, new Hello(Hello.Version, Hello.Version, options.MaxFrameBytes, MaxCallbacksInFlight, RpcServer.Software, Streams.IncomingStream.Window) { Tokens = (tls.Peer.Roles & options.TokenRole) == options.TokenRole ? options.Tokens : Hello.NoTokens });
            connection.Send(hello);
            ThreadPool.UnsafeQueueUserWorkItem(static c => _ = c.ReadLoopAsync(), connection, preferLocal: false); // without the caller's context; ends with the connection, and reports through Closed
            await connection._greeted.Task.WaitAsync(limit.Token).ConfigureAwait(false);
            return connection;
        }
        catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
        {
            var timeout = new RpcException(RpcError.Timeout, $"cannot connect to {endpoint}: no answer within {(Environment.TickCount64 - began) / 1000.0:0.#} s", e) { Url = endpoint.ToString() };
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

    protected override ILogger Logger { get; }

    protected override LogThrottle OneWayFailures { get; }

    protected override HandlerThreads Threads => s_threads;

    public override long CheckDeadlines(long now)
    {
        if (_greeted.Task.IsCompleted)
        {
            CheckPeer(now, _keepAlive);
        }

        Trim(now);

        // A silence is seen by no more than a quarter of its length too late.
        long next = base.CheckDeadlines(now);
        return _keepAlive > TimeSpan.Zero ? Math.Min(next, now + (long)(_keepAlive.TotalMilliseconds / 4)) : next;
    }

    protected override Definition Resolve(string name) => throw new RpcException(RpcError.ServiceNotFound, "the caller offers nothing but what it has lent");

    protected override void OnControl(FrameType type, ReadOnlyMemory<byte> body)
    {
        switch (type)
        {
            case FrameType.HelloAck:
                Hello hello = FrameBodies.ReadHello(body);
                PeerMaxFrame = hello.MaxFrame;
                MaxMade = hello.MaxInFlight;
                PeerWindow = hello.Window;
                _greeted.TrySetResult();
                break;
            case FrameType.GoAway:
                (RpcError why, string said, _, _) = FrameBodies.ReadError(body);
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
