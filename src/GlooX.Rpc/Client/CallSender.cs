using GlooX.Interceptors;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using GlooX.Streams;
using GlooX.Tls;
using Nerdbank.MessagePack;

namespace GlooX.Client;

/// <summary>
/// Sends the calls of one method of one service: chooses a connection or waits for one, writes the request, and makes the call of an
/// idempotent method again when its connection breaks. Remembers the method's id on each connection, so that a call costs one comparison.
/// Thread-safe.
/// </summary>
internal sealed class CallSender<TResult>
{
    // So many connections in a row that close before a call could be sent are no coincidence.
    private const int MaxRefusals = 3;

    private readonly IConnectionSource _source;
    private readonly RpcMethod<TResult> _method;
    private readonly RpcRole _serverRole;
    private readonly string _name;
    private readonly int _timeout;
    private readonly int _streamTimeout; // a stream may last as long as it must, unless its contract says otherwise
    private readonly RemoteReference? _reference;
    private readonly Binding?[] _bindings;

    public CallSender(RpcInvoker invoker, RpcMethod<TResult> method)
    {
        _source = invoker.Source;
        _reference = invoker.RemoteReference;
        _serverRole = invoker.ServerRole;
        _method = method;
        _bindings = new Binding?[_source.SlotCount];
        _name = invoker.Service.Length == 0 ? method.Name : $"{invoker.Service}/{method.Name}";
        _streamTimeout = Math.Max(0, method.TimeoutMilliseconds);
        double standard = _source.CallTimeout.TotalMilliseconds;
        _timeout = method.TimeoutMilliseconds switch
        {
            0 => standard <= 0 || standard > int.MaxValue ? 0 : (int)standard,
            < 0 => 0,
            int own => own,
        };
    }

    public bool IsOneWay => _method.IsOneWay;

    public bool IsIdempotent => _method.IsIdempotent;

    /// <summary>A connection that takes a call at once; null: wait for one.</summary>
    public RpcConnection? ReadyConnection => _source.Current is { IsCongested: false } ready ? ready : null;

    /// <summary>When a call that begins now times out, as <see cref="Environment.TickCount64"/>.</summary>
    public long Deadline() => Deadline(_timeout);

    public RpcClientCall Observe(CancellationToken ct) => new(_name, _source.Url, ct);

    /// <summary>Sends the call. Null: the connection takes no more calls.</summary>
    public PendingCall<TResult>? TryStart<TArgs>(RpcConnection connection, in TArgs args, long deadline, CancellationToken ct)
        where TArgs : struct, IRpcArguments => Start(connection, args, null, deadline, _timeout, null, ct);

    /// <summary>Calls as soon as a connection takes the call.</summary>
    public async ValueTask<TResult> CallAsync<TArgs>(TArgs args, long deadline, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        (PendingCall<TResult> call, RpcConnection connection) = await StartSoonAsync(c => Start(c, args, null, deadline, Remaining(deadline), observed, ct), deadline, ct).ConfigureAwait(false);
        return _method.IsIdempotent
            ? await RepeatAsync(call, connection, args, deadline, observed, ct).ConfigureAwait(false)
            : await call.Task.ConfigureAwait(false);
    }

    /// <summary>As above, for a call with streams or callbacks: they belong to one connection and may be used up, so the call is never repeated.</summary>
    public async ValueTask<TResult> CallAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        long deadline = Deadline(_streamTimeout);
        (PendingCall<TResult> call, _) = await StartSoonAsync(
            connection =>
            {
                var outgoing = new RpcOutgoing(connection);
                return Start(connection, attach(outgoing), outgoing, deadline, Remaining(deadline), observed, ct);
            },
            deadline,
            ct).ConfigureAwait(false);
        return await call.Task.ConfigureAwait(false);
    }

    public async ValueTask SendOneWayAsync<TArgs>(TArgs args, long deadline, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments => await StartSoonAsync(c => TrySendOneWay(c, args, observed, ct) ? this : null, deadline, ct).ConfigureAwait(false);

    /// <summary>A stream of results; each enumeration is a call.</summary>
    public ResultStream<TResult> Enumerate<TArgs>(Func<RpcOutgoing, TArgs> attach, RpcClientCall? observed, CancellationToken declared)
        where TArgs : struct, IRpcArguments =>
        new(
            async ct =>
            {
                long deadline = Deadline(_streamTimeout);
                (PendingStream<TResult> call, _) = await StartSoonAsync(
                    connection =>
                    {
                        var outgoing = new RpcOutgoing(connection);
                        var begun = new PendingStream<TResult>(connection, _name, _method, deadline);
                        return Begin(connection, begun, attach(outgoing), outgoing, Remaining(deadline), observed, ct) ? begun : null;
                    },
                    deadline,
                    ct).ConfigureAwait(false);
                return call;
            },
            declared);

    private static long Deadline(int timeout) => timeout == 0 ? long.MaxValue : Environment.TickCount64 + timeout;

    private static int Remaining(long deadline) => deadline == long.MaxValue ? 0 : (int)Math.Max(1, deadline - Environment.TickCount64);

    /// <summary>Starts the call as soon as a connection takes it.</summary>
    private async ValueTask<(TCall Call, RpcConnection Connection)> StartSoonAsync<TCall>(Func<RpcConnection, TCall?> start, long deadline, CancellationToken ct)
        where TCall : class
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        if (deadline != long.MaxValue)
        {
            limit.CancelAfter(TimeSpan.FromMilliseconds(Math.Max(0, deadline - Environment.TickCount64)));
        }
        else if (_timeout > 0)
        {
            limit.CancelAfter(_timeout); // a stream may last, but not the wait for its beginning
        }

        for (int refusals = 0; refusals < MaxRefusals || _method.IsIdempotent; refusals++)
        {
            RpcConnection connection = await ReadyConnectionAsync(deadline, limit.Token, ct).ConfigureAwait(false);
            try
            {
                if (start(connection) is { } call)
                {
                    return (call, connection);
                }
            }
            catch (RpcException e)
            {
                OfOwnCall(e);
                throw;
            }
        }

        throw new RpcException(RpcError.Connection, $"{_name}: {_source.Url} closed {MaxRefusals} connections in a row before a call could be made") { Url = _source.Url };
    }

    /// <summary>Marks the failure of a call that this process made: when it leaks from a handler, the handler's caller must not take it for a failure of its own connection.</summary>
    public static Exception OfOwnCall(Exception e)
    {
        (e as RpcException)?.IsOfOwnCall = true;
        return e;
    }

    private async ValueTask<RpcConnection> ReadyConnectionAsync(long deadline, CancellationToken limit, CancellationToken ct)
    {
        bool isConnected = false;
        try
        {
            RpcConnection connection = await _source.ConnectionAsync(limit, _method.IsIdempotent && _source.WasConnected ? deadline : 0).ConfigureAwait(false);
            isConnected = true;
            await connection.DrainAsync(limit).ConfigureAwait(false);
            return connection;
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw isConnected
                ? new RpcException(RpcError.Timeout, $"{_name}: {_source.Url} reads too slowly, the call could not be sent within {_timeout} ms") { Url = _source.Url }
                : new RpcException(RpcError.Timeout, $"{_name}: no connection within {_timeout} ms: {_source.ConnectFailure?.Message ?? $"{_source.Url} does not answer"}", _source.ConnectFailure) { Url = _source.Url };
        }
    }

    /// <summary>Waits for the answer; repeats the call while its connection breaks.</summary>
    public async ValueTask<TResult> RepeatAsync<TArgs>(PendingCall<TResult> call, RpcConnection connection, TArgs args, long deadline, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        while (true)
        {
            try
            {
                return await call.Task.ConfigureAwait(false);
            }
            catch (RpcException e) when (e.Code == RpcError.Connection && connection.IsClosed && !_source.IsDisposed)
            {
                // also when the handler failed over a connection of its own: this connection is closed all the same
            }

            (call, connection) = await StartSoonAsync(c => Start(c, args, null, deadline, Remaining(deadline), observed, ct), deadline, ct).ConfigureAwait(false);
        }
    }

    /// <summary>Starts the call. Null: it was not sent, because the connection takes no more calls.</summary>
    private PendingCall<TResult>? Start<TArgs>(RpcConnection connection, in TArgs args, RpcOutgoing? outgoing, long deadline, int timeout, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        PendingCall<TResult> call = PendingCall<TResult>.Rent(connection, _method, _name, deadline);
        if (!Begin(connection, call, args, outgoing, timeout, observed, ct))
        {
            return null;
        }

        if (ct.CanBeCanceled)
        {
            call.CancelWith(ct);
        }

        return call;
    }

    /// <summary>Sends the call. False: it was not sent, because the connection takes no more calls.</summary>
    private bool Begin<TArgs>(RpcConnection connection, PendingCall call, in TArgs args, RpcOutgoing? outgoing, int timeout, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        ct.ThrowIfCancellationRequested();
        uint method = MethodOn(connection);
        call.Outgoing = outgoing;
        if (!connection.TryRegister(call))
        {
            return false;
        }

        try
        {
            if (!connection.Send(Write(call.Id, method, args, timeout, 0, observed?.Sent)))
            {
                connection.Unregister(call); // or the close has taken the call and fails it; no caller waits for that
                return false;
            }
        }
        catch
        {
            connection.Unregister(call);
            outgoing?.Abort();
            throw;
        }

        outgoing?.Start(call.Id);
        GC.KeepAlive(_reference); // the called object is not released before the call was sent
        return true;
    }

    /// <summary>Sends a one-way call. False: it was not sent, because the connection takes no more calls.</summary>
    public bool TrySendOneWay<TArgs>(RpcConnection connection, in TArgs args, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        ct.ThrowIfCancellationRequested();
        uint method = MethodOn(connection);
        bool isSent = connection.Send(Write(0, method, args, 0, RequestFlags.OneWay, observed?.Sent), isUrgent: false);
        GC.KeepAlive(_reference); // the called object is not released before the call was sent
        return isSent;
    }

    private uint MethodOn(RpcConnection connection)
    {
        ref Binding? place = ref _bindings[connection.SlotIndex];
        Binding? binding = place;
        if (binding is null || binding.Connection != connection)
        {
            if ((connection.Peer.Roles & _serverRole) != _serverRole)
            {
                throw new RpcException(
                    RpcError.Tls, $"{_name}: {_source.Url} has the role {CertificateNames.Describe(connection.Peer.Roles)}, not {CertificateNames.Describe(_serverRole)}: its certificate is '{connection.Peer.Subject}'") { Url = _source.Url };
            }

            binding = new Binding(connection, connection.Define(_name));
            place = binding;
        }

        return binding.Id;
    }

    private static FrameBuffer Write<TArgs>(uint call, uint method, in TArgs args, int timeout, uint flags, Dictionary<string, string>? metadata)
        where TArgs : struct, IRpcArguments
    {
        FrameBuffer frame = FrameBuffer.Begin(FrameType.Request, call);
        frame.WriteVarint(method);
        flags |= metadata is null ? 0 : RequestFlags.Metadata;
        frame.WriteVarint(timeout == 0 ? flags : flags | RequestFlags.Deadline);
        if (timeout != 0)
        {
            frame.WriteVarint((uint)timeout);
        }

        var writer = new MessagePackWriter(frame);
        if (metadata is not null)
        {
            Metadata.Write(ref writer, metadata);
        }

        args.Write(ref writer, RpcSerializer.Default);
        writer.Flush();
        return frame;
    }

    private sealed record Binding(RpcConnection Connection, uint Id);
}
