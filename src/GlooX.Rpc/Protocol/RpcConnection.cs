using System.Collections.Concurrent;
using System.Text;
using GlooX.Client;
using GlooX.Interceptors;
using GlooX.RpcRuntime;
using GlooX.Server;
using GlooX.Streams;
using GlooX.Tls;
using GlooX.Transport.Linux;
using Microsoft.Extensions.Logging;
using Nerdbank.MessagePack;

namespace GlooX.Protocol;

/// <summary>
/// A connection on which either side may call the other: the calls it makes, the calls it serves, and the streams of both. When it closes,
/// every call made fails with the reason; handlers that can be cancelled are.
/// </summary>
internal abstract partial class RpcConnection : WireConnection, IConnectionSource, IDeadlineOwner
{
    private const int MaxDefinitions = 4096;

    // Smaller requests are bounded by their number.
    private const int LargeRequest = 4 * 1024;

    // Calls made.
    private readonly CallTable _calls = new();
    private int _made;
    private readonly Dictionary<string, uint> _named = new(StringComparer.Ordinal);
    private int _hasDeadlineTimer;

    // Calls served.
    private readonly List<Definition> _defined = [];
    private readonly ServedCalls _served;
    private readonly ConcurrentDictionary<uint, RpcRequest> _cancellable = new();
    private readonly ConcurrentDictionary<RpcRequest, bool> _oneWay = new(); // those that can be cancelled; their ids mean nothing
    private int _finishing;

    // Streams: what this side reads from the calls that it serves, and all that it writes.

    // Made when there is a stream: in a process that has just started, the compiler would take longer over them than the rest of a call takes.
    private ConcurrentDictionary<(uint Call, uint Number), IncomingStream>? _incoming;
    private ConcurrentDictionary<(bool IsResult, uint Call, uint Number), OutgoingStream>? _outgoing;
    private readonly ExportedObjects _exports = new();

    protected RpcConnection(TlsConnection connection, int maxFrame, int highWater, int maxInFlight, long maxInFlightBytes, Pipeline pipeline)
        : base(connection, maxFrame, highWater)
    {
        Pipeline = pipeline;
        Peer = connection.Peer;
        _served = new ServedCalls(maxInFlight, maxInFlightBytes, highWater);
        Inbound = new RpcInbound(this);
    }

    /// <summary>Whether a new call may begin here.</summary>
    public bool IsUsable => !_calls.IsClosed && !IsClosed;

    /// <summary>Which of its client's connections it is.</summary>
    public virtual int SlotIndex => 0;

    RpcConnection? IConnectionSource.Current => IsUsable ? this : null;

    string IConnectionSource.Url => Remote;

    TimeSpan IConnectionSource.CallTimeout => TimeSpan.FromSeconds(30);

    public ExportedObjects Exports => _exports;

    /// <summary>Who the other side is.</summary>
    public Peer Peer { get; }

    /// <summary>Who sees the calls in both directions.</summary>
    public Pipeline Pipeline { get; }

    /// <summary>Where this side listens, as <c>host:port</c>; null: it does not.</summary>
    public virtual string? ServedAt => null;

    /// <summary>Bytes that the other side lets each stream have under way.</summary>
    public int PeerWindow { get; protected set; } = Hello.LeastWindow;

    protected abstract ILogger Logger { get; }

    /// <summary>Bounds the lines about one-way calls that have failed.</summary>
    protected abstract LogThrottle OneWayFailures { get; }

    /// <summary>Whether stacks of handlers' exceptions are sent.</summary>
    protected virtual bool SendsStacks => false;

    /// <summary>Most calls that this side makes at once.</summary>
    protected int MaxMade { get; set; } = int.MaxValue;

    protected override bool IsFull => _served.IsFull;

    // Those served first: one that ends may have made others, which must not be missed.
    protected override int InFlight => _served.Count + Volatile.Read(ref _made);

    private RpcInbound Inbound { get; }

    ValueTask<RpcConnection> IConnectionSource.ConnectionAsync(CancellationToken ct, long until) => IsUsable
        ? new ValueTask<RpcConnection>(this)
        : ValueTask.FromException<RpcConnection>(new RpcException(RpcError.Connection, $"{Remote} is gone, and so is whatever it lent to this process", CloseReason) { Url = Remote });

    /// <summary>Gives the call an id. False: no call may begin here any more.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Overloaded"/>.</exception>
    public bool TryRegister(PendingCall call)
    {
        if (!_calls.Add(call, MaxMade))
        {
            return _calls.IsClosed
                ? false
                : throw new RpcException(RpcError.Overloaded, $"{MaxMade} calls are in flight on this connection, more {Remote} does not accept") { Url = Remote, Method = call.Method };
        }

        Interlocked.Increment(ref _made);
        if (Volatile.Read(ref _hasDeadlineTimer) == 0)
        {
            StartDeadlineTimer();
        }

        DeadlineTimer.Shared.Expect(call.Deadline);
        return true;
    }

    /// <summary>Takes back a call that was never sent.</summary>
    public void Unregister(PendingCall call)
    {
        if (_calls.Take(call.Id, out _))
        {
            Interlocked.Decrement(ref _made);
            FinishIfDrained();
        }
    }

    /// <summary>Gives up a call that was sent, and tells the other side. True: it is the caller's to complete.</summary>
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
        lock (_named)
        {
            if (!_named.TryGetValue(name, out uint id))
            {
                if (_named.Count == MaxDefinitions)
                {
                    throw new RpcException(RpcError.Overloaded, $"{MaxDefinitions} methods are called over one connection already, those of lent objects counted each") { Url = Remote, Method = name };
                }

                byte[] bytes = Encoding.UTF8.GetBytes(name);
                if (bytes.Length > FrameBodies.MaxName)
                {
                    throw new RpcException(RpcError.MethodNotFound, $"a name is at most {FrameBodies.MaxName} bytes long, this one has {bytes.Length}") { Url = Remote };
                }

                id = (uint)_named.Count;
                _named[name] = id;

                // Sent under the lock: nobody can send a request with this id before.
                FrameBuffer define = FrameBuffer.Begin(FrameType.Define, id);
                define.Append(bytes);
                Send(define);
            }

            return id;
        }
    }

    /// <summary>Keeps the request so that it can be cancelled, until <see cref="Unwatch"/>.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Protocol"/>: a request with its id is there already.</exception>
    public void Watch(RpcRequest request)
    {
        if (request.IsOneWay)
        {
            _oneWay[request] = true;
        }
        else if (!_cancellable.TryAdd(request.Id, request))
        {
            throw MadeTwice(request.Id);
        }

        if (IsClosed)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static r => r.Cancel(), request, preferLocal: false); // OnClosed may have missed it
        }
    }

    /// <summary>To be called before the answer is sent: once it has it, the other side may use the id again.</summary>
    public void Unwatch(RpcRequest request) => _ = request.IsOneWay ? _oneWay.TryRemove(request, out _) : _cancellable.TryRemove(KeyValuePair.Create(request.Id, request));

    public void RequestEnded(bool isOneWay, int largeBytes)
    {
        _served.End(isOneWay, largeBytes);
        ServeWaiting();
        FinishIfDrained();
    }

    /// <summary>A stream that the caller of <paramref name="call"/> sends.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Protocol"/>: one of a call with that id is there already.</exception>
    public void Expect(IncomingStream stream, uint call)
    {
        if (!LazyInitializer.EnsureInitialized(ref _incoming, static () => new()).TryAdd((call, stream.Number), stream))
        {
            throw MadeTwice(call);
        }

        if (CloseReason is { } reason)
        {
            stream.Fail(reason); // OnClosed may have missed it
        }
    }

    public void Forget(IncomingStream stream, uint call) => _incoming?.TryRemove(KeyValuePair.Create((call, stream.Number), stream));

    /// <summary>A stream that this side sends: the result of a call that it serves, or an argument of one that it makes.</summary>
    public void ServiceTarget(OutgoingStream stream)
    {
        LazyInitializer.EnsureInitialized(ref _outgoing, static () => new())[(stream.Number == 0, stream.Call, stream.Number)] = stream;
        if (IsClosed)
        {
            stream.Stop();
        }
    }

    public void Withdraw(OutgoingStream stream) =>
        _outgoing?.TryRemove(KeyValuePair.Create((stream.Number == 0, stream.Call, stream.Number), stream));

    public void SendError(uint id, Exception e)
    {
        FrameBuffer frame = FrameBuffer.Begin(FrameType.Error, id);
        WriteError(frame, e);
        try
        {
            Send(frame);
        }
        catch (RpcException tooLarge) when (tooLarge.Code == RpcError.TooLarge)
        {
            // The other side takes small frames only; each one takes this.
            FrameBuffer brief = FrameBuffer.Begin(FrameType.Error, id);
            RpcError code = e is RpcException { IsRefusal: true } refusal ? refusal.Code : RpcError.Remote;
            FrameBodies.WriteError(brief, code, "the call failed; the message is larger than the caller accepts", null, null);
            Send(brief);
        }
    }

    /// <summary>What a failure looks like to the other side.</summary>
    public void WriteError(FrameBuffer frame, Exception e)
    {
        var rpc = e as RpcException;
        if (rpc is { IsRefusal: true })
        {
            FrameBodies.WriteError(frame, rpc.Code, Bounded(rpc.Message, FrameBodies.MaxMessage), null, null);
        }
        else
        {
            string? stack = SendsStacks ? ExceptionText.Full(e) : null;
            string message = rpc?.Message ?? $"{e.GetType().FullName}: {ExceptionText.Message(e)}";
            RpcFaultDetail? detail = null;
            try
            {
                detail = rpc?.DetailToSend();
            }
            catch (Exception unfit)
            {
                message += $" (its detail cannot be sent: {ExceptionText.Message(Innermost(unfit))})"; // the failure itself must arrive
            }

            RpcError? inner = rpc is { Code: not RpcError.Remote } ? rpc.Code : rpc?.InnerCode;
            stack = stack is null ? null : Bounded(stack, FrameBodies.MaxStack);
            FrameBodies.WriteError(frame, RpcError.Remote, Bounded(message, FrameBodies.MaxMessage), rpc?.RemoteType ?? e.GetType().FullName, stack, detail, inner);
        }
    }

    /// <summary>
    /// Makes no more calls here. Those in flight go on, in both directions; with the last of them the connection closes, for the other side
    /// waits for that: until then a call may be on the way to it.
    /// </summary>
    protected void Drain()
    {
        _calls.Drain();
        FinishIfDrained();
    }

    /// <inheritdoc/>
    public virtual long CheckDeadlines(long now)
    {
        List<PendingCall>? expired = _calls.TakeExpired(now, out long next);
        foreach (PendingCall call in expired ?? [])
        {
            FrameBuffer cancel = FrameBuffer.Begin(FrameType.Cancel, call.Id);
            Send(cancel);
            call.FailSoon(new RpcException(RpcError.Timeout, $"{call.Method}: no answer from {Remote} within the deadline") { Url = Remote, Method = call.Method });
        }

        return next;
    }

    protected void StartDeadlineTimer()
    {
        if (Interlocked.Exchange(ref _hasDeadlineTimer, 1) != 0)
        {
            return;
        }

        DeadlineTimer.Shared.Add(this);
        if (IsClosed)
        {
            DeadlineTimer.Shared.Remove(this); // OnClosed may have missed it
        }
    }

    /// <summary>What a name means on this side.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.ServiceNotFound"/> or <see cref="RpcError.MethodNotFound"/>.</exception>
    protected abstract Definition Resolve(string name);

    /// <summary>A frame that is no call's: greetings and farewells.</summary>
    protected abstract void OnControl(FrameType type, ReadOnlyMemory<byte> body);

    protected override void OnFrame(FrameType type, uint id, ReadOnlyMemory<byte> body)
    {
        switch (type)
        {
            case FrameType.Response:
                if (TakeCall(id) is { } call)
                {
                    call.Read(body);
                    Ready(call);
                }

                FinishIfDrained();
                break;
            case FrameType.Error:
                Failure failure = FrameBodies.ReadFailure(body); // before the call is taken: if it throws, the call ends with the connection
                if (TakeCall(id) is { } failed)
                {
                    failed.Fail(failure.ToException(Remote, failed.Method, failed.Faults));
                    Ready(failed);
                }

                FinishIfDrained();
                break;
            case FrameType.Request:
                OnRequest(id, body);
                break;
            case FrameType.Define:
                OnDefine(id, body);
                break;
            case FrameType.Cancel:
                if (_cancellable.TryRemove(id, out RpcRequest? request))
                {
                    // Callbacks of the token are user code: never on the reader loop.
                    ThreadPool.UnsafeQueueUserWorkItem(static r => r.Cancel(), request, preferLocal: false);
                }

                break;
            case FrameType.StreamItem:
            case FrameType.StreamEnd:
            case FrameType.Credit:
                OnStream(type, id, body);
                break;
            case FrameType.Ping when IsCongested:
                break; // it does not read, and what it has read already shows it that somebody is here
            case FrameType.Ping:
                FrameBuffer pong = FrameBuffer.Begin(FrameType.Pong, id);
                Send(pong);
                break;
            case FrameType.Pong:
                break;
            default:
                OnControl(type, body);
                break;
        }
    }

    protected override void OnClosed(Exception reason)
    {
        DeadlineTimer.Shared.Remove(this);
        foreach (RpcRequest request in _cancellable.Values.Concat(_oneWay.Keys))
        {
            ThreadPool.UnsafeQueueUserWorkItem(static r => r.Cancel(), request, preferLocal: false);
        }

        foreach (IncomingStream stream in Volatile.Read(ref _incoming)?.Values ?? [])
        {
            stream.Fail(reason);
        }

        foreach (OutgoingStream stream in Volatile.Read(ref _outgoing)?.Values ?? [])
        {
            stream.Stop();
        }

        foreach (PendingCall call in _calls.Close())
        {
            call.FailSoon(reason is RpcException rpc
                ? new RpcException(rpc.Code, $"{call.Method}: {rpc.Message}", rpc) { Url = Remote, Method = call.Method }
                : reason);
        }
    }

    private void FinishIfDrained()
    {
        if (_calls.IsClosed && !IsClosed && InFlight == 0 && _served.IsIdle && _calls.Drain() && Interlocked.Exchange(ref _finishing, 1) == 0)
        {
            _ = FinishAsync(new RpcException(RpcError.ShuttingDown, $"{Remote} is shutting down") { Url = Remote }, TimeSpan.FromSeconds(1)); // ends within its own limit
        }
    }

    private PendingCall? TakeCall(uint id)
    {
        if (!_calls.Take(id, out PendingCall? call))
        {
            throw new RpcException(RpcError.Protocol, $"an answer to call {id}, which nobody made");
        }

        Interlocked.Decrement(ref _made);
        return call;
    }

    private void OnStream(FrameType type, uint id, ReadOnlyMemory<byte> body)
    {
        ReadOnlySpan<byte> rest = body.Span;
        uint number = Frame.ReadVarint(ref rest);
        ReadOnlyMemory<byte> content = body[^rest.Length..];
        switch (type)
        {
            // What comes late, after the call's end, is for nobody.
            case FrameType.Credit when _outgoing is { } all && all.TryGetValue((number == 0, id, number), out OutgoingStream? outgoing):
                outgoing.Grant(Frame.ReadVarint(ref rest));
                break;
            case FrameType.StreamItem when number == 0:
                _calls.Find(id)?.Item(content);
                break;
            case FrameType.StreamItem when _incoming is { } all && all.TryGetValue((id, number), out IncomingStream? incoming):
                incoming.Item(content);
                break;
            case FrameType.StreamEnd when _incoming is { } all && all.TryGetValue((id, number), out IncomingStream? ended):
                if (content.IsEmpty)
                {
                    ended.Complete();
                }
                else
                {
                    ended.Fail(FrameBodies.ReadFailure(content).ToException(Remote, null, null));
                }

                break;
            default:
                break;
        }
    }

    private void OnDefine(uint id, ReadOnlyMemory<byte> body)
    {
        if (id != _defined.Count || _defined.Count >= MaxDefinitions)
        {
            throw new RpcException(RpcError.Protocol, $"a connection defines methods 0, 1, 2, … and at most {MaxDefinitions}");
        }

        _defined.Add(new Definition(FrameBodies.ReadName(body)));
    }

    private void OnRequest(uint id, ReadOnlyMemory<byte> body)
    {
        ReadOnlySpan<byte> rest = body.Span;
        uint method = Frame.ReadVarint(ref rest);
        uint flags = Frame.ReadVarint(ref rest);
        uint timeout = (flags & RequestFlags.Deadline) != 0 ? Frame.ReadVarint(ref rest) : 0;
        bool isOneWay = (flags & RequestFlags.OneWay) != 0;
        if (method >= _defined.Count)
        {
            throw new RpcException(RpcError.Protocol, $"method {method} was not defined");
        }

        EventLoop.Watch(); // interceptors and converters are users' code too
        int large = body.Length < LargeRequest ? 0 : body.Length;
        _served.Begin(isOneWay, large);
        Definition definition = _defined[(int)method];
        try
        {
            // At the first call: what is named in vain must cost nothing, and may be offered later. And when it was taken back.
            (RpcDispatcher Dispatcher, object Target)? callee = definition.Callee;
            if (callee is null)
            {
                string name = definition.Name;
                if (name == ExportedObjects.ReleaseMethod)
                {
                    OnRelease(body[^rest.Length..]);
                    RequestEnded(isOneWay, large);
                    return;
                }

                _defined[(int)method] = definition = name.StartsWith('#') ? _exports.Resolve(name, (int)method) : Resolve(name);
                callee = definition.Callee ?? throw new RpcException(RpcError.ServiceNotFound, $"{name} was taken back this moment");
            }

            if (_served.Refusal(isOneWay, large) is { } refusal)
            {
                throw new RpcException(RpcError.Overloaded, refusal);
            }

            var reader = new MessagePackReader(body[^rest.Length..]);
            RpcCall? call = null;
            bool isWatched = !Pipeline.IsIdle;
            if ((flags & RequestFlags.Metadata) != 0 || isWatched)
            {
                IReadOnlyDictionary<string, string> metadata = (flags & RequestFlags.Metadata) != 0 ? Metadata.Read(ref reader) : Metadata.None;
                call = new RpcCall(this, definition.Name, timeout == 0 ? 0 : Environment.TickCount64 + timeout, metadata);
                Pipeline.Admit(call);
            }

            Inbound.Begin(id);
            RpcRequest request = callee.Value.Dispatcher.Read(definition.Index, callee.Value.Target, ref reader, RpcSerializer.Default, Inbound);
            request.Attach(this, id, definition.Name, callee.Value.Dispatcher.TrustOf(definition.Index), timeout, isOneWay, large, Inbound.End());
            if (call is not null)
            {
                request.Attach(call, isWatched ? Pipeline : null);
            }

            if (_served.TryWait(request, isOneWay, large, body.Length))
            {
                ServeWaiting();
            }
            else
            {
                Ready(request);
            }
        }
        catch (RpcException e) when (e.Code == RpcError.Protocol)
        {
            Refuse(id, definition, isOneWay, large, e, isLast: true);
            throw;
        }
        catch (RpcException e)
        {
            Refuse(id, definition, isOneWay, large, e.Code is RpcError.BadArguments or RpcError.BadResult ? new RpcException(RpcError.BadArguments, $"{definition.Name}: {e.Message}") : e);
        }
        catch (Exception e)
        {
            // Whatever a converter throws over hostile or unfit bytes concerns this call only.
            Refuse(id, definition, isOneWay, large, new RpcException(RpcError.BadArguments, $"{definition.Name}: the arguments do not fit: {ExceptionText.Message(Innermost(e))}", e));
        }
    }

    private void ServeWaiting()
    {
        while (_served.Next() is { } request)
        {
            ReadySoon(request);
        }
    }

    private void OnRelease(ReadOnlyMemory<byte> arguments)
    {
        var reader = new MessagePackReader(arguments);
        foreach (int method in _exports.Release(ReleaseArguments.Read(ref reader)))
        {
            _defined[method] = new Definition(_defined[method].Name); // the number may come to mean another object
        }
    }

    private void Refuse(uint id, Definition definition, bool isOneWay, int large, RpcException e, bool isLast = false)
    {
        RpcTelemetry.Refused(definition.Callee is null ? null : definition.Name, ServedAt, e);
        Inbound.Abandon();
        bool isTold = !isOneWay && !isLast;
        if (isTold && AlwaysReads && IsFlooded)
        {
            throw new RpcException(RpcError.Overloaded, $"{Remote} makes calls and does not read what becomes of them") { Url = Remote };
        }

        if (isTold)
        {
            SendError(id, e);
        }
        else if (isOneWay)
        {
            LogOneWayFailed(definition.Name, e);
        }

        RequestEnded(isOneWay, large);
    }

    private static RpcException MadeTwice(uint id) => new(RpcError.Protocol, $"call {id} was made again before it was answered");

    private static Exception Innermost(Exception e) => e.InnerException is { } inner ? Innermost(inner) : e;

    /// <summary>Tells the other side that one lending of an object of its own has come to an end here.</summary>
    public void Release(uint number)
    {
        try
        {
            uint method = Define(ExportedObjects.ReleaseMethod); // sends a frame of its own
            FrameBuffer frame = FrameBuffer.Begin(FrameType.Request, 0);
            frame.WriteVarint(method);
            frame.WriteVarint(RequestFlags.OneWay);
            var writer = new MessagePackWriter(frame);
            new ReleaseArguments(number).Write(ref writer, RpcSerializer.Default);
            writer.Flush();
            Send(frame, isUrgent: false);
        }
        catch (RpcException)
        {
            // Nothing more can be defined on this connection: then the object is lent for its life, as is promised anyway.
        }
    }

    /// <summary>A one-way call has failed: no caller hears of it.</summary>
    public void LogOneWayFailed(string method, Exception e)
    {
        if (OneWayFailures.MayWrite())
        {
            LogOneWayFailed(Logger, ForeignText.Of(method), Remote, ForeignText.Of(ExceptionText.Message(e)), e);
        }
    }

    [LoggerMessage(1006, LogLevel.Warning, "The one-way call of {Method} by {Remote} failed: {Reason}")]
    private static partial void LogOneWayFailed(ILogger logger, string method, string remote, string reason, Exception exception);

    protected static string Bounded(string text, int length) => text.Length <= length ? text : text[..length] + "…";
}

/// <summary>Bits in a request's flags.</summary>
internal static class RequestFlags
{
    public const uint Deadline = 1;
    public const uint OneWay = 2;
    public const uint Metadata = 4;
}

/// <summary>What a method id means on a connection: a method of a service, or of an object that was lent.</summary>
internal sealed record Definition(string Name, RpcDispatcher? Dispatcher = null, object? Target = null, int Index = 0, Service? Service = null)
{
    /// <summary>Whom to call. Null: not looked up yet, in vain, or taken back.</summary>
    public (RpcDispatcher Dispatcher, object Target)? Callee => Service is not null
        ? Service.Current is { Dispatcher: { } dispatcher } target ? (dispatcher, target.Target) : null
        : Dispatcher is not null && Target is not null ? (Dispatcher, Target) : null;
}
