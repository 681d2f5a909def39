using System.ComponentModel;
using System.Runtime.CompilerServices;
using GlooX.Client;
using GlooX.Interceptors;
using GlooX.Protocol;
using GlooX.Server;
using GlooX.Streams;
using Nerdbank.MessagePack;

namespace GlooX.RpcRuntime;

/// <summary>What a proxy calls through: a client and the name of a service. Thread-safe.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcInvoker
{
    internal RpcInvoker(ICallSource source, string service, Borrowed? borrowed = null)
    {
        Source = source;
        Service = service;
        Borrowed = borrowed;
    }

    /// <summary>To be held by whoever calls, if it calls what the other side lent.</summary>
    internal Borrowed? Borrowed { get; }

    internal ICallSource Source { get; }

    internal string Service { get; }

    /// <summary>Ties a method to this client and service.</summary>
    /// <typeparam name="TResult">What the method returns.</typeparam>
    /// <param name="method">The method.</param>
    /// <returns>The tied method; keep it.</returns>
    public RpcBoundMethod<TResult> Bind<TResult>(RpcMethod<TResult> method) => new(this, method);
}

/// <summary>
/// A method of a service of a client. Remembers its id on each connection at hand, so that a call costs one comparison. Thread-safe.
/// </summary>
/// <typeparam name="TResult">What it returns.</typeparam>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcBoundMethod<TResult>
{
    // Connections on end that close before a call is made: more are no coincidence.
    private const int MaxRefusals = 3;

    private readonly ICallSource _source;
    private readonly RpcMethod<TResult> _method;
    private readonly Pipeline _pipeline;
    private readonly string _name;
    private readonly int _timeout;
    private readonly int _streamTimeout; // a stream lives as long as it must, unless its contract says otherwise
    private readonly Borrowed? _borrowed;
    private readonly Binding?[] _bindings;

    internal RpcBoundMethod(RpcInvoker invoker, RpcMethod<TResult> method)
    {
        _source = invoker.Source;
        _pipeline = _source.Pipeline;
        _borrowed = invoker.Borrowed;
        _method = method;
        _bindings = new Binding?[_source.Lanes];
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

    /// <summary>Calls.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="args">The arguments.</param>
    /// <param name="ct">Cancels the call, here and there.</param>
    /// <returns>The result.</returns>
    /// <exception cref="RpcException">The call failed.</exception>
    public ValueTask<TResult> InvokeAsync<TArgs>(in TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        if (!_pipeline.IsIdle)
        {
            return InterceptAsync(args, ct);
        }

        try
        {
            long deadline = Deadline(_timeout);
            if (_source.Current is not { IsCongested: false } connection || Start(connection, args, null, deadline, _timeout, null, ct) is not { } call)
            {
                return InvokeSoonAsync(args, deadline, null, ct);
            }

            return _method.IsIdempotent ? RepeatAsync(call, connection, args, deadline, null, ct) : call.Task;
        }
        catch (Exception e)
        {
            return ValueTask.FromException<TResult>(e);
        }
    }

    /// <summary>Calls a method that returns nothing.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="args">The arguments.</param>
    /// <param name="ct">Cancels the call, here and there.</param>
    /// <returns>Completes when the method has; one-way: when the call waits to be sent.</returns>
    /// <exception cref="RpcException">The call failed.</exception>
    public ValueTask InvokeVoidAsync<TArgs>(in TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        if (!_pipeline.IsIdle)
        {
            return InterceptVoidAsync(args, ct);
        }

        try
        {
            long deadline = Deadline(_timeout);
            RpcConnection? connection = _source.Current is { IsCongested: false } ready ? ready : null;
            if (_method.IsOneWay)
            {
                return connection is not null && SendOneWay(connection, args, null, ct) ? default : SendSoonAsync(args, deadline, null, ct);
            }

            if (connection is null || Start(connection, args, null, deadline, _timeout, null, ct) is not { } call)
            {
                return new ValueTask(InvokeSoonAsync(args, deadline, null, ct).AsTask());
            }

            return _method.IsIdempotent ? new ValueTask(RepeatAsync(call, connection, args, deadline, null, ct).AsTask()) : call.VoidTask;
        }
        catch (Exception e)
        {
            return ValueTask.FromException(e);
        }
    }

    /// <summary>
    /// Calls a one-way method from where nobody can await: returns when the call waits to be sent, and blocks while the other side reads too slowly.
    /// </summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="args">The arguments.</param>
    /// <param name="ct">Gives up.</param>
    /// <exception cref="RpcException">The connection has ended, or the call could not be sent in time.</exception>
    public void Post<TArgs>(in TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        ValueTask sent = InvokeVoidAsync(args, ct);
        if (sent.IsCompleted)
        {
            sent.GetAwaiter().GetResult();
        }
        else
        {
            sent.AsTask().GetAwaiter().GetResult();
        }
    }

    /// <summary>Calls a method whose arguments are not all values.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="attach">Numbers the streams and objects among the arguments.</param>
    /// <param name="ct">Cancels the call, here and there.</param>
    /// <returns>The result.</returns>
    /// <exception cref="RpcException">The call failed.</exception>
    public ValueTask<TResult> InvokeAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments => _pipeline.IsIdle ? InvokeSoonAsync(attach, null, ct) : InterceptAsync(attach, ct);

    /// <inheritdoc cref="InvokeAsync{TArgs}(Func{RpcOutgoing, TArgs}, CancellationToken)"/>
    public async ValueTask InvokeVoidAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments => await InvokeAsync(attach, ct).ConfigureAwait(false);

    /// <summary>Calls a method that returns a stream of <typeparamref name="TResult"/>; each enumeration is a call.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="attach">Numbers the streams and objects among the arguments.</param>
    /// <param name="ct">Cancels the calls, here and there.</param>
    /// <returns>The stream.</returns>
    public IAsyncEnumerable<TResult> Stream<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments => _pipeline.IsIdle ? Enumerate(attach, null, ct) : InterceptStream(attach, ct);

    private RpcClientCall Observe(CancellationToken ct) => new(_name, _source.Url, ct);

    private ValueTask<TResult> InterceptAsync<TArgs>(TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        RpcClientCall call = Observe(ct);
        return _pipeline.CallAsync(call, () => InvokeSoonAsync(args, Deadline(_timeout), call, ct));
    }

    private ValueTask<TResult> InterceptAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        RpcClientCall call = Observe(ct);
        return _pipeline.CallAsync(call, () => InvokeSoonAsync(attach, call, ct));
    }

    private async ValueTask InterceptVoidAsync<TArgs>(TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        RpcClientCall call = Observe(ct);
        await _pipeline.CallAsync(
            call,
            async () =>
            {
                if (!_method.IsOneWay)
                {
                    return await InvokeSoonAsync(args, Deadline(_timeout), call, ct).ConfigureAwait(false);
                }

                await SendSoonAsync(args, Deadline(_timeout), call, ct).ConfigureAwait(false);
                return default!;
            }).ConfigureAwait(false);
    }

    /// <summary>For the interceptors a stream is one call: what they await last ends when the stream does, however that comes about.</summary>
    private async IAsyncEnumerable<TResult> InterceptStream<TArgs>(
        Func<RpcOutgoing, TArgs> attach, CancellationToken declared, [EnumeratorCancellation] CancellationToken ct = default)
        where TArgs : struct, IRpcArguments
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(declared, ct);
        RpcClientCall call = Observe(both.Token);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var ended = new TaskCompletionSource<RpcVoid>(TaskCreationOptions.RunContinuationsAsynchronously);
        Task intercepted = _pipeline.CallAsync(
            call,
            () => begun.TrySetResult()
                ? new ValueTask<RpcVoid>(ended.Task)
                : throw new InvalidOperationException($"{_name} returns a stream: an interceptor cannot call it twice")).AsTask();
        await Task.WhenAny(begun.Task, intercepted).ConfigureAwait(false);
        if (!begun.Task.IsCompleted)
        {
            await intercepted.ConfigureAwait(false);
            yield break;
        }

        Exception? failure = null;
        IAsyncEnumerator<TResult> items = Enumerate(attach, call, both.Token).GetAsyncEnumerator(CancellationToken.None);
        try
        {
            while (true)
            {
                try
                {
                    if (!await items.MoveNextAsync().ConfigureAwait(false))
                    {
                        break;
                    }
                }
                catch (Exception e)
                {
                    failure = e; // the interceptors decide what becomes of it
                    break;
                }

                yield return items.Current;
            }
        }
        finally
        {
            await items.DisposeAsync().ConfigureAwait(false);
            if (failure is null)
            {
                ended.TrySetResult(default);
            }
            else
            {
                ended.TrySetException(failure);
            }

            await intercepted.ConfigureAwait(false);
        }
    }

    private ResultStream<TResult> Enumerate<TArgs>(Func<RpcOutgoing, TArgs> attach, RpcClientCall? observed, CancellationToken declared)
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

    private async ValueTask<TResult> InvokeSoonAsync<TArgs>(TArgs args, long deadline, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        (PendingCall<TResult> call, RpcConnection connection) = await StartSoonAsync(c => Start(c, args, null, deadline, Remaining(deadline), observed, ct), deadline, ct).ConfigureAwait(false);
        return _method.IsIdempotent
            ? await RepeatAsync(call, connection, args, deadline, observed, ct).ConfigureAwait(false)
            : await call.Task.ConfigureAwait(false);
    }

    /// <summary>What it carries besides values was made for one connection, and may have been used up: it is never made again.</summary>
    private async ValueTask<TResult> InvokeSoonAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, RpcClientCall? observed, CancellationToken ct)
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

    private async ValueTask SendSoonAsync<TArgs>(TArgs args, long deadline, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments => await StartSoonAsync(c => SendOneWay(c, args, observed, ct) ? this : null, deadline, ct).ConfigureAwait(false);

    /// <summary>Makes the call as soon as there is a connection that takes it.</summary>
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
            if (start(connection) is { } call)
            {
                return (call, connection);
            }
        }

        throw new RpcException(RpcError.Connection, $"{_name}: {_source.Url} closed {MaxRefusals} connections on end before a call could be made") { Url = _source.Url };
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

    /// <summary>Waits for the answer; makes the call again for as long as its connection breaks.</summary>
    private async ValueTask<TResult> RepeatAsync<TArgs>(PendingCall<TResult> call, RpcConnection connection, TArgs args, long deadline, RpcClientCall? observed, CancellationToken ct)
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
                // if it is the handler that failed so, over a connection of its own, then this one is gone all the same
            }

            (call, connection) = await StartSoonAsync(c => Start(c, args, null, deadline, Remaining(deadline), observed, ct), deadline, ct).ConfigureAwait(false);
        }
    }

    /// <summary>Makes the call. Null: it was not sent, for the connection takes no more.</summary>
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

    /// <summary>Sends the call. False: it was not sent, for the connection takes no more.</summary>
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
                connection.Unregister(call); // or the closing has taken it, to fail it: nobody waits for that
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
        GC.KeepAlive(_borrowed); // what is called is not given back before the call was sent
        return true;
    }

    /// <summary>False: it was not sent, for the connection takes no more.</summary>
    private bool SendOneWay<TArgs>(RpcConnection connection, in TArgs args, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        ct.ThrowIfCancellationRequested();
        uint method = MethodOn(connection);
        bool isSent = connection.Send(Write(0, method, args, 0, RequestFlags.OneWay, observed?.Sent), isUrgent: false);
        GC.KeepAlive(_borrowed); // what is called is not given back before the call was sent
        return isSent;
    }

    private uint MethodOn(RpcConnection connection)
    {
        ref Binding? place = ref _bindings[connection.Lane];
        Binding? binding = place;
        if (binding is null || binding.Connection != connection)
        {
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
