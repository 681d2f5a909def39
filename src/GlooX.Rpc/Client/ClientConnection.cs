using System.Text;
using GlooX.Tls;
using GlooX.Wire;

namespace GlooX.Client;

/// <summary>
/// The caller's end of a connection. When it closes, every call in flight fails with the reason. When the server says that it shuts down,
/// the calls in flight go on, new ones are refused, and the connection closes when the last one has ended.
/// </summary>
internal sealed class ClientConnection : WireConnection
{
    private static readonly TimeSpan s_sweep = TimeSpan.FromMilliseconds(100);
    private readonly CallTable _calls = new();
    private readonly Dictionary<string, uint> _methods = new(StringComparer.Ordinal);
    private readonly TaskCompletionSource _greeted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Timer _sweeper;
    private readonly TimeSpan _keepAlive;
    private int _maxInFlight = int.MaxValue;

    private ClientConnection(TlsConnection connection, RpcClientOptions options, int lane)
        : base(connection, options.MaxFrameBytes, options.MaxBufferedBytes)
    {
        LocalAddress = connection.LocalAddress;
        Lane = lane;
        _keepAlive = options.KeepAliveInterval;
        _sweeper = new Timer(static s => ((ClientConnection)s!).Sweep(), this, s_sweep, s_sweep);
    }

    public System.Net.IPAddress? LocalAddress { get; }

    /// <summary>Which of the client's connections it is.</summary>
    public int Lane { get; }

    /// <summary>Whether a new call may begin here.</summary>
    public bool IsUsable => !_calls.IsClosed && !IsClosed;

    /// <summary>How many calls are in flight.</summary>
    public int Load => InFlight;

    /// <summary>Dials, proves both identities, and waits for the other side's greeting: only then is it known that the caller was let in.</summary>
    public static async Task<ClientConnection> OpenAsync(RpcEndpoint endpoint, Identity identity, RpcClientOptions options, int lane, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(options.ConnectTimeout);
        ClientConnection? connection = null;
        try
        {
            TlsConnection tls = await TlsConnection.DialAsync(endpoint, TlsConnection.Rpc, identity, limit.Token).ConfigureAwait(false);
            connection = new ClientConnection(tls, options, lane);
            FrameBuffer hello = FrameBuffer.Begin(FrameType.Hello, 0);
            Bodies.WriteHello(hello, new Hello(Hello.Version, Hello.Version, options.MaxFrameBytes, int.MaxValue, RpcServer.Software));
            connection.Send(hello);
            ThreadPool.UnsafeQueueUserWorkItem(static c => _ = c.ReadLoopAsync(), connection, preferLocal: false); // without the caller's context; ends with the connection, and reports through Closed
            await connection._greeted.Task.WaitAsync(limit.Token).ConfigureAwait(false);
            return connection;
        }
        catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
        {
            var timeout = new RpcException(RpcError.Timeout, $"cannot connect to {endpoint}: no answer within {options.ConnectTimeout.TotalSeconds:0.#} s", e) { Url = endpoint.ToString() };
            connection?.Close(timeout);
            throw timeout;
        }
        catch (Exception e)
        {
            connection?.Close(e);
            throw;
        }
    }

    /// <summary>Gives the call an id. False: no call may begin here any more.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Overloaded"/>.</exception>
    public bool TryRegister(PendingCall call)
    {
        if (_calls.Add(call, _maxInFlight))
        {
            CallStarted();
            return true;
        }

        return _calls.IsClosed
            ? false
            : throw new RpcException(RpcError.Overloaded, $"{_maxInFlight} calls are in flight on this connection, more {Remote} does not accept") { Url = Remote, Method = call.Method };
    }

    /// <summary>Takes back a call that was never sent.</summary>
    public void Unregister(PendingCall call)
    {
        if (_calls.Take(call.Id, out _))
        {
            CallEnded();
            CloseIfDraining();
        }
    }

    /// <summary>Gives up a call that was sent, and tells the server. True: it is the caller's to complete.</summary>
    public bool Abandon(PendingCall call)
    {
        if (!_calls.Abandon(call))
        {
            return false;
        }

        FrameBuffer cancel = FrameBuffer.Begin(FrameType.Cancel, call.Id);
        Send(cancel);
        return true;
    }

    /// <summary>The id of a method on this connection; defines it on first use.</summary>
    public uint Define(string name)
    {
        lock (_methods)
        {
            if (!_methods.TryGetValue(name, out uint id))
            {
                id = (uint)_methods.Count;
                _methods[name] = id;

                // Sent under the lock: nobody can send a request with this id before.
                FrameBuffer define = FrameBuffer.Begin(FrameType.Define, id);
                define.Append(Encoding.UTF8.GetBytes(name));
                Send(define);
            }

            return id;
        }
    }

    protected override void OnFrame(FrameType type, uint id, ReadOnlyMemory<byte> body)
    {
        switch (type)
        {
            case FrameType.Response:
                if (!_calls.Take(id, out PendingCall? call))
                {
                    throw new RpcException(RpcError.Protocol, $"an answer to call {id}, which nobody made");
                }

                CallEnded();
                if (call is not null)
                {
                    call.Read(body);
                    Ready(call);
                }

                CloseIfDraining();
                break;
            case FrameType.Error:
                if (!_calls.Take(id, out PendingCall? failed))
                {
                    throw new RpcException(RpcError.Protocol, $"an error for call {id}, which nobody made");
                }

                CallEnded();
                (RpcError code, string message, string? remoteType, string? stack) = Bodies.ReadError(body);
                if (failed is not null)
                {
                    failed.Fail(new RpcException(code, message) { Url = Remote, Method = failed.Method, RemoteType = remoteType, RemoteStack = stack });
                    Ready(failed);
                }

                CloseIfDraining();
                break;
            case FrameType.HelloAck:
                Hello hello = Bodies.ReadHello(body);
                PeerMaxFrame = hello.MaxFrame;
                _maxInFlight = hello.MaxInFlight;
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
            case FrameType.Ping:
                FrameBuffer pong = FrameBuffer.Begin(FrameType.Pong, id);
                Send(pong);
                break;
            case FrameType.Pong:
                break;
            default:
                throw new RpcException(RpcError.Protocol, $"unexpected frame of type {(byte)type}");
        }
    }

    protected override void OnClosed(Exception reason)
    {
        _sweeper.Dispose();
        _greeted.TrySetException(reason);
        foreach (PendingCall call in _calls.Close())
        {
            call.FailSoon(reason is RpcException rpc
                ? new RpcException(rpc.Code, $"{call.Method}: {rpc.Message}", rpc) { Url = Remote, Method = call.Method }
                : reason);
        }
    }

    private void CloseIfDraining()
    {
        if (_calls.IsClosed)
        {
            Drain();
        }
    }

    // The server waits for the end of the connection: until then a call may be on the way to it.
    private void Drain()
    {
        if (_calls.Drain())
        {
            Close(new RpcException(RpcError.ShuttingDown, $"{Remote} is shutting down") { Url = Remote });
        }
    }

    private void Sweep()
    {
        long now = Environment.TickCount64;
        CheckPeer(now, _keepAlive);
        foreach (PendingCall call in _calls.TakeExpired(now) ?? [])
        {
            FrameBuffer cancel = FrameBuffer.Begin(FrameType.Cancel, call.Id);
            Send(cancel);
            call.FailSoon(new RpcException(RpcError.Timeout, $"{call.Method}: no answer from {Remote} within the deadline") { Url = Remote, Method = call.Method });
        }
    }
}
