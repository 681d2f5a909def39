using System.ComponentModel;
using System.Runtime.CompilerServices;
using GlooX.Client;
using GlooX.Interceptors;
using GlooX.Protocol;

namespace GlooX.RpcRuntime;

/// <summary>The connection of a proxy to its client: where calls go, and to which service. Thread-safe.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcInvoker
{
    internal RpcInvoker(IConnectionSource source, string service, RemoteReference? reference = null, RpcRole serverRole = RpcRole.None)
    {
        ServerRole = serverRole;
        Source = source;
        Service = service;
        RemoteReference = reference;
    }

    /// <summary>Keeps an imported object exported by the other side as long as a caller holds it; null: the target is a service.</summary>
    internal RemoteReference? RemoteReference { get; }

    internal IConnectionSource Source { get; }

    /// <summary>The roles that the other side of a connection must have to be called.</summary>
    internal RpcRole ServerRole { get; }

    internal string Service { get; }

    /// <summary>Binds a method to this client and service.</summary>
    /// <typeparam name="TResult">The result's type.</typeparam>
    /// <param name="method">The method.</param>
    /// <returns>The bound method; keep it.</returns>
    public RpcBoundMethod<TResult> Bind<TResult>(RpcMethod<TResult> method) => new(this, method);
}

/// <summary>
/// A method of a service, bound to a client. Thread-safe.
/// </summary>
/// <typeparam name="TResult">The result's type.</typeparam>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcBoundMethod<TResult>
{
    private readonly CallSender<TResult> _sender;
    private readonly Pipeline _pipeline;

    internal RpcBoundMethod(RpcInvoker invoker, RpcMethod<TResult> method)
    {
        _sender = new CallSender<TResult>(invoker, method);
        _pipeline = invoker.Source.Pipeline;
    }

    /// <summary>Calls.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="args">The arguments.</param>
    /// <param name="ct">Cancels the call on both sides.</param>
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
            long deadline = _sender.Deadline();
            if (_sender.ReadyConnection is not { } connection || _sender.TryStart(connection, args, deadline, ct) is not { } call)
            {
                return _sender.CallAsync(args, deadline, null, ct);
            }

            return _sender.IsIdempotent ? _sender.RepeatAsync(call, connection, args, deadline, null, ct) : call.Task;
        }
        catch (Exception e)
        {
            return ValueTask.FromException<TResult>(CallSender<TResult>.OfOwnCall(e));
        }
    }

    /// <summary>Calls a method that returns nothing.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="args">The arguments.</param>
    /// <param name="ct">Cancels the call on both sides.</param>
    /// <returns>Completes when the method has completed; for a one-way method, when the call is queued to be sent.</returns>
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
            long deadline = _sender.Deadline();
            RpcConnection? connection = _sender.ReadyConnection;
            if (_sender.IsOneWay)
            {
                return connection is not null && _sender.TrySendOneWay(connection, args, null, ct) ? default : _sender.SendOneWayAsync(args, deadline, null, ct);
            }

            if (connection is null || _sender.TryStart(connection, args, deadline, ct) is not { } call)
            {
                return new ValueTask(_sender.CallAsync(args, deadline, null, ct).AsTask());
            }

            return _sender.IsIdempotent ? new ValueTask(_sender.RepeatAsync(call, connection, args, deadline, null, ct).AsTask()) : call.VoidTask;
        }
        catch (Exception e)
        {
            return ValueTask.FromException(CallSender<TResult>.OfOwnCall(e));
        }
    }

    /// <summary>
    /// Calls a one-way method from code that cannot await: returns when the call is queued to be sent, and blocks while the other side reads too
    /// slowly.
    /// </summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="args">The arguments.</param>
    /// <param name="ct">Cancels the operation.</param>
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

    /// <summary>Calls a method with streams or callbacks among its arguments.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="attach">Assigns numbers to the streams and callbacks among the arguments.</param>
    /// <param name="ct">Cancels the call on both sides.</param>
    /// <returns>The result.</returns>
    /// <exception cref="RpcException">The call failed.</exception>
    public ValueTask<TResult> InvokeAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments => _pipeline.IsIdle ? _sender.CallAsync(attach, null, ct) : InterceptAsync(attach, ct);

    /// <inheritdoc cref="InvokeAsync{TArgs}(Func{RpcOutgoing, TArgs}, CancellationToken)"/>
    public async ValueTask InvokeVoidAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments => await InvokeAsync(attach, ct).ConfigureAwait(false);

    /// <summary>Calls a method that returns a stream of <typeparamref name="TResult"/>; each enumeration is a call.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="attach">Assigns numbers to the streams and callbacks among the arguments.</param>
    /// <param name="ct">Cancels the calls on both sides.</param>
    /// <returns>The stream.</returns>
    public IAsyncEnumerable<TResult> Stream<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments => _pipeline.IsIdle ? _sender.Enumerate(attach, null, ct) : InterceptStream(attach, ct);

    private ValueTask<TResult> InterceptAsync<TArgs>(TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        RpcClientCall call = _sender.Observe(ct);
        return _pipeline.CallAsync(call, () => _sender.CallAsync(args, _sender.Deadline(), call, ct));
    }

    private ValueTask<TResult> InterceptAsync<TArgs>(Func<RpcOutgoing, TArgs> attach, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        RpcClientCall call = _sender.Observe(ct);
        return _pipeline.CallAsync(call, () => _sender.CallAsync(attach, call, ct));
    }

    private async ValueTask InterceptVoidAsync<TArgs>(TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        RpcClientCall call = _sender.Observe(ct);
        await _pipeline.CallAsync(
            call,
            async () =>
            {
                if (!_sender.IsOneWay)
                {
                    return await _sender.CallAsync(args, _sender.Deadline(), call, ct).ConfigureAwait(false);
                }

                await _sender.SendOneWayAsync(args, _sender.Deadline(), call, ct).ConfigureAwait(false);
                return default!;
            }).ConfigureAwait(false);
    }

    /// <summary>To interceptors a stream is one call: the task that <c>next</c> returns completes when the stream ends, for whatever reason.</summary>
    private async IAsyncEnumerable<TResult> InterceptStream<TArgs>(
        Func<RpcOutgoing, TArgs> attach, CancellationToken declared, [EnumeratorCancellation] CancellationToken ct = default)
        where TArgs : struct, IRpcArguments
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(declared, ct);
        RpcClientCall call = _sender.Observe(both.Token);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var ended = new TaskCompletionSource<RpcVoid>(TaskCreationOptions.RunContinuationsAsynchronously);
        Task intercepted = _pipeline.CallAsync(
            call,
            () => begun.TrySetResult()
                ? new ValueTask<RpcVoid>(ended.Task)
                : throw new InvalidOperationException($"{call.Method} returns a stream: an interceptor cannot call it twice")).AsTask();
        await Task.WhenAny(begun.Task, intercepted).ConfigureAwait(false);
        if (!begun.Task.IsCompleted)
        {
            await intercepted.ConfigureAwait(false);
            yield break;
        }

        Exception? failure = null;
        IAsyncEnumerator<TResult> items = _sender.Enumerate(attach, call, both.Token).GetAsyncEnumerator(CancellationToken.None);
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
                    failure = e; // the interceptors decide whether the caller sees it
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
}
