using System.ComponentModel;
using System.Runtime.CompilerServices;
using GlooX.Client;
using GlooX.Interception;
using GlooX.Streams;
using GlooX.Wire;
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

/// <summary>A method of a service of a client. Remembers its id on the connection at hand, so that a call costs one comparison. Thread-safe.</summary>
/// <typeparam name="TResult">What it returns.</typeparam>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcBoundMethod<TResult>
{
    private readonly ICallSource _source;
    private readonly RpcMethod<TResult> _method;
    private readonly Pipeline _pipeline;
    private readonly string _name;
    private readonly int _timeout;
    private readonly int _streamTimeout; // a stream lives as long as it must, unless its contract says otherwise
    private readonly Borrowed? _borrowed;
    private Binding? _binding;

    internal RpcBoundMethod(RpcInvoker invoker, RpcMethod<TResult> method)
    {
        _source = invoker.Source;
        _pipeline = _source.Pipeline;
        _borrowed = invoker.Borrowed;
        _method = method;
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

        if (_source.Current is { IsCongested: false } connection)
        {
            try
            {
                return Start(connection, args, null, _timeout, ct).Task;
            }
            catch (Exception e)
            {
                return ValueTask.FromException<TResult>(e);
            }
        }

        return ConnectAndInvokeAsync(args, ct);
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

        if (_source.Current is { IsCongested: false } connection)
        {
            try
            {
                if (!_method.IsOneWay)
                {
                    return Start(connection, args, null, _timeout, ct).VoidTask;
                }

                SendOneWay(connection, args, ct);
                return default;
            }
            catch (Exception e)
            {
                return ValueTask.FromException(e);
            }
        }

        return _method.IsOneWay ? ConnectAndSendAsync(args, ct) : new ValueTask(ConnectAndInvokeAsync(args, ct).AsTask());
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
        where TArgs : struct, IRpcArguments => _pipeline.IsIdle ? ConnectAndInvokeAsync(attach, ct) : InterceptAsync(attach, ct);

    /// <inheritdoc cref="InvokeAsync{TArgs}(Func{RpcOutgoing, TArgs}, CancellationToken)"/>
    public async ValueTask InvokeVoidAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments => await InvokeAsync(attach, ct).ConfigureAwait(false);

    /// <summary>Calls a method that returns a stream of <typeparamref name="TResult"/>; each enumeration is a call.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="attach">Numbers the streams and objects among the arguments.</param>
    /// <param name="ct">Cancels the calls, here and there.</param>
    /// <returns>The stream.</returns>
    public IAsyncEnumerable<TResult> Stream<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments => _pipeline.IsIdle ? EnumerateAsync(attach, null, ct) : InterceptStream(attach, ct);

    private RpcClientCall Observe(CancellationToken ct) => new(_name, _source.Url, ct);

    private ValueTask<TResult> InterceptAsync<TArgs>(TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        RpcClientCall call = Observe(ct);
        return _pipeline.CallAsync(call, () => ConnectAndInvokeAsync(args, ct, call));
    }

    private ValueTask<TResult> InterceptAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        RpcClientCall call = Observe(ct);
        return _pipeline.CallAsync(call, () => ConnectAndInvokeAsync(attach, ct, call));
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
                    return await ConnectAndInvokeAsync(args, ct, call).ConfigureAwait(false);
                }

                await ConnectAndSendAsync(args, ct, call).ConfigureAwait(false);
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
        IAsyncEnumerator<TResult> items = EnumerateAsync(attach, call, both.Token).GetAsyncEnumerator(CancellationToken.None);
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

    private async IAsyncEnumerable<TResult> EnumerateAsync<TArgs>(
        Func<RpcOutgoing, TArgs> attach, RpcClientCall? observed, CancellationToken declared, [EnumeratorCancellation] CancellationToken ct = default)
        where TArgs : struct, IRpcArguments
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(declared, ct);
        RpcConnection connection = await ReadyConnectionAsync(both.Token).ConfigureAwait(false);
        var outgoing = new RpcOutgoing(connection);
        var call = new PendingStream<TResult>(connection, _name, _method, _streamTimeout == 0 ? long.MaxValue : Environment.TickCount64 + _streamTimeout);
        Begin(connection, call, attach(outgoing), outgoing, _streamTimeout, observed, both.Token);
        using (call)
        {
            await foreach (TResult item in call.Items.WithCancellation(both.Token).ConfigureAwait(false))
            {
                yield return item;
            }
        }
    }

    private async ValueTask<TResult> ConnectAndInvokeAsync<TArgs>(TArgs args, CancellationToken ct, RpcClientCall? observed = null)
        where TArgs : struct, IRpcArguments =>
        await Start(await ReadyConnectionAsync(ct).ConfigureAwait(false), args, null, _timeout, ct, observed).Task.ConfigureAwait(false);

    private async ValueTask<TResult> ConnectAndInvokeAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct, RpcClientCall? observed = null)
        where TArgs : struct, IRpcArguments
    {
        RpcConnection connection = await ReadyConnectionAsync(ct).ConfigureAwait(false);
        var outgoing = new RpcOutgoing(connection);
        return await Start(connection, attach(outgoing), outgoing, _streamTimeout, ct, observed).Task.ConfigureAwait(false);
    }

    private async ValueTask ConnectAndSendAsync<TArgs>(TArgs args, CancellationToken ct, RpcClientCall? observed = null)
        where TArgs : struct, IRpcArguments => SendOneWay(await ReadyConnectionAsync(ct).ConfigureAwait(false), args, ct, observed);

    /// <summary>A connection that takes a call now.</summary>
    private async ValueTask<RpcConnection> ReadyConnectionAsync(CancellationToken ct)
    {
        RpcConnection connection = await _source.ConnectionAsync(ct).ConfigureAwait(false);
        if (connection.IsCongested)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
            if (_timeout > 0)
            {
                limit.CancelAfter(_timeout);
            }

            try
            {
                await connection.DrainAsync(limit.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!ct.IsCancellationRequested)
            {
                throw new RpcException(RpcError.Timeout, $"{_name}: {_source.Url} reads too slowly, the call could not be sent within {_timeout} ms") { Url = _source.Url, Method = _name };
            }
        }

        return connection;
    }

    private PendingCall<TResult> Start<TArgs>(RpcConnection connection, in TArgs args, RpcOutgoing? outgoing, int timeout, CancellationToken ct, RpcClientCall? observed = null)
        where TArgs : struct, IRpcArguments
    {
        long deadline = timeout == 0 ? long.MaxValue : Environment.TickCount64 + timeout;
        PendingCall<TResult> call = PendingCall<TResult>.Rent(connection, _method, _name, deadline);
        Begin(connection, call, args, outgoing, timeout, observed, ct);
        if (ct.CanBeCanceled)
        {
            call.CancelWith(ct);
        }

        return call;
    }

    private void Begin<TArgs>(RpcConnection connection, PendingCall call, in TArgs args, RpcOutgoing? outgoing, int timeout, RpcClientCall? observed, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        ct.ThrowIfCancellationRequested();
        uint method = MethodOn(connection);
        call.Outgoing = outgoing;
        connection.Register(call);
        try
        {
            connection.Send(Write(call.Id, method, args, timeout, 0, observed?.Sent));
        }
        catch
        {
            connection.Unregister(call);
            outgoing?.Abort();
            throw;
        }

        outgoing?.Start(call.Id);
        GC.KeepAlive(_borrowed); // what is called is not given back before the call was sent
    }

    private void SendOneWay<TArgs>(RpcConnection connection, in TArgs args, CancellationToken ct, RpcClientCall? observed = null)
        where TArgs : struct, IRpcArguments
    {
        ct.ThrowIfCancellationRequested();
        uint method = MethodOn(connection);
        if (!connection.Send(Write(0, method, args, 0, RequestFlags.OneWay, observed?.Sent), isUrgent: false))
        {
            throw new RpcException(RpcError.Connection, $"{_name}: the connection to {_source.Url} is closed", connection.CloseReason) { Url = _source.Url, Method = _name };
        }

        GC.KeepAlive(_borrowed);
    }

    private uint MethodOn(RpcConnection connection)
    {
        Binding? binding = _binding;
        if (binding is null || binding.Connection != connection)
        {
            binding = new Binding(connection, connection.Define(_name));
            _binding = binding;
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
