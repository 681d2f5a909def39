using System.Collections.Concurrent;
using GlooX.RpcRuntime;
using GlooX.Tls;
using GlooX.Wire;
using Nerdbank.MessagePack;

namespace GlooX.Server;

/// <summary>
/// The server's end of a connection. Requests beyond the limit are refused one by one; a caller that reads slower than it calls is read
/// no further until it has caught up. When the connection ends, handlers that can be cancelled are.
/// </summary>
internal sealed class ServerConnection : WireConnection
{
    private const int MaxDefinitions = 4096;

    private readonly RpcServer _server;
    private readonly RpcServerOptions _options;
    private readonly List<Definition> _methods = [];
    private readonly ConcurrentDictionary<uint, RpcRequest> _cancellable = new();
    private readonly long _opened = Environment.TickCount64;
    private bool _greeted;
    private int _requests;
    private int _requestsSeen;
    private long _idleSince = Environment.TickCount64;
    private bool _isTold;

    public ServerConnection(RpcServer server, TlsConnection connection, RpcServerOptions options)
        : base(connection, options.MaxFrameBytes, options.MaxBufferedBytes)
    {
        _server = server;
        _options = options;
    }

    public void Watch(uint id, RpcRequest request)
    {
        _cancellable[id] = request;
        if (IsClosed)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static r => r.Cancel(), request, preferLocal: false); // OnClosed may have missed it
        }
    }

    public void Unwatch(uint id) => _cancellable.TryRemove(id, out _);

    public void RequestEnded() => CallEnded();

    /// <summary>Looks at the clock: for a greeting that does not come, a caller that is gone, a connection that nobody uses. Called now and then.</summary>
    public void Sweep(long now)
    {
        CheckPeer(now, _options.KeepAliveInterval);
        if (!Volatile.Read(ref _greeted))
        {
            if (!_isTold && _options.HandshakeTimeout > TimeSpan.Zero && now - _opened >= _options.HandshakeTimeout.TotalMilliseconds)
            {
                _isTold = true;
                _ = SayGoAwayAsync(new RpcException(RpcError.Timeout, $"no greeting within {_options.HandshakeTimeout.TotalSeconds:0.###} s") { Url = Remote }); // ends within its own limit
            }

            return;
        }

        int requests = Volatile.Read(ref _requests);
        if (InFlight > 0 || requests != _requestsSeen)
        {
            (_requestsSeen, _idleSince) = (requests, now);
        }
        else if (_options.IdleTimeout > TimeSpan.Zero && now - _idleSince >= _options.IdleTimeout.TotalMilliseconds && !_isTold)
        {
            _isTold = true; // a call that is on the way is served all the same
            AnnounceShutdown("the connection was not used");
        }
    }

    /// <summary>
    /// Tells the caller to make no more calls here. Those in flight go on, and those on the way are served: the caller closes the connection
    /// when its last call has ended.
    /// </summary>
    public void AnnounceShutdown(string why)
    {
        FrameBuffer goAway = FrameBuffer.Begin(FrameType.GoAway, 0);
        Bodies.WriteGoAway(goAway, RpcError.ShuttingDown, why);
        Send(goAway);
    }

    public void SendError(uint id, Exception e)
    {
        FrameBuffer frame = FrameBuffer.Begin(FrameType.Error, id);
        if (e is RpcException { Code: not RpcError.Remote } rpc)
        {
            Bodies.WriteError(frame, rpc.Code, Bounded(rpc.Message, 8 * 1024), null, null);
        }
        else
        {
            string? stack = _options.SendStackTraces ? e.ToString() : null;
            string message = e is RpcException nested ? nested.Message : $"{e.GetType().FullName}: {e.Message}";
            Bodies.WriteError(frame, RpcError.Remote, Bounded(message, 8 * 1024), (e as RpcException)?.RemoteType ?? e.GetType().FullName, stack is null ? null : Bounded(stack, 32 * 1024));
        }

        try
        {
            Send(frame);
        }
        catch (RpcException tooLarge) when (tooLarge.Code == RpcError.TooLarge)
        {
            // The caller takes small frames only; each one takes this.
            FrameBuffer brief = FrameBuffer.Begin(FrameType.Error, id);
            Bodies.WriteError(brief, e is RpcException { Code: var code } ? code : RpcError.Remote, "the call failed; the message is larger than the caller accepts", null, null);
            Send(brief);
        }
    }

    protected override void OnFrame(FrameType type, uint id, ReadOnlyMemory<byte> body)
    {
        if (!_greeted)
        {
            Greet(type, body);
            return;
        }

        switch (type)
        {
            case FrameType.Request:
                OnRequest(id, body);
                break;
            case FrameType.Define:
                OnDefine(id, body);
                break;
            case FrameType.Cancel:
                if (_cancellable.TryGetValue(id, out RpcRequest? request))
                {
                    // Callbacks of the token are user code: never on the reader loop.
                    ThreadPool.UnsafeQueueUserWorkItem(static r => r.Cancel(), request, preferLocal: false);
                }

                break;
            case FrameType.Ping:
                FrameBuffer pong = FrameBuffer.Begin(FrameType.Pong, id);
                Send(pong);
                break;
            case FrameType.Pong:
            case FrameType.GoAway:
                break;
            default:
                throw new RpcException(RpcError.Protocol, $"unexpected frame of type {(byte)type}");
        }
    }

    /// <summary>A caller that does not read gets no further call begun, lest its answers pile up.</summary>
    protected override bool HoldsWork => IsCongested && !IsClosed;

    protected override void OnClosed(Exception reason)
    {
        foreach (RpcRequest request in _cancellable.Values)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static r => r.Cancel(), request, preferLocal: false);
        }
    }

    private void Greet(FrameType type, ReadOnlyMemory<byte> body)
    {
        if (type != FrameType.Hello)
        {
            throw new RpcException(RpcError.Protocol, "the first frame must be Hello");
        }

        Hello hello = Bodies.ReadHello(body);
        if (hello.MinVersion > Hello.Version || hello.MaxVersion < Hello.Version)
        {
            throw new RpcException(RpcError.Protocol, $"{hello.Software} speaks the protocol versions {hello.MinVersion} to {hello.MaxVersion}, this side speaks {Hello.Version}: update the older one");
        }

        PeerMaxFrame = hello.MaxFrame;
        FrameBuffer ack = FrameBuffer.Begin(FrameType.HelloAck, 0);
        Bodies.WriteHello(ack, new Hello(Hello.Version, Hello.Version, _options.MaxFrameBytes, _options.MaxInFlight, RpcServer.Software));
        Send(ack);
        Volatile.Write(ref _greeted, true);
    }

    private void OnDefine(uint id, ReadOnlyMemory<byte> body)
    {
        if (id != _methods.Count || _methods.Count >= MaxDefinitions)
        {
            throw new RpcException(RpcError.Protocol, $"a connection defines methods 0, 1, 2, … and at most {MaxDefinitions}");
        }

        _methods.Add(_server.Resolve(Bodies.ReadText(body)));
    }

    private void OnRequest(uint id, ReadOnlyMemory<byte> body)
    {
        ReadOnlySpan<byte> rest = body.Span;
        uint method = Frame.ReadVarint(ref rest);
        uint flags = Frame.ReadVarint(ref rest);
        uint timeout = (flags & RequestFlags.Deadline) != 0 ? Frame.ReadVarint(ref rest) : 0;
        if (method >= _methods.Count)
        {
            throw new RpcException(RpcError.Protocol, $"method {method} was not defined");
        }

        CallStarted();
        _requests++;
        Definition definition = _methods[(int)method];
        try
        {
            if (definition.Error is { } error)
            {
                throw new RpcException(error.Code, error.Message);
            }

            if (InFlight > _options.MaxInFlight)
            {
                throw new RpcException(RpcError.Overloaded, $"more than {_options.MaxInFlight} calls in flight on one connection");
            }

            var reader = new MessagePackReader(body[^rest.Length..]);
            RpcRequest request = definition.Dispatcher!.Read(definition.Index, definition.Target!, ref reader, RpcSerializer.Default);
            request.Attach(this, id, timeout);
            Ready(request);
        }
        catch (RpcException e)
        {
            SendError(id, e.Code == RpcError.BadArguments ? new RpcException(e.Code, $"{definition.Name}: {e.Message}") : e);
            CallEnded();
        }
        catch (Exception e)
        {
            // Whatever a converter throws over hostile or unfit bytes concerns this call only.
            SendError(id, new RpcException(RpcError.BadArguments, $"{definition.Name}: the arguments do not fit: {Innermost(e).Message}", e));
            CallEnded();
        }
    }

    private static Exception Innermost(Exception e) => e.InnerException is { } inner ? Innermost(inner) : e;

    private static string Bounded(string text, int length) => text.Length <= length ? text : text[..length] + "…";
}

/// <summary>Bits in a request's flags.</summary>
internal static class RequestFlags
{
    public const uint Deadline = 1;
}

/// <summary>What a method id means on a connection: whom to call, or why nobody can be.</summary>
internal sealed record Definition(string Name, RpcDispatcher? Dispatcher, object? Target, int Index, (RpcError Code, string Message)? Error);
