using System.ComponentModel;
using GlooX.Interceptors;
using GlooX.Protocol;
using GlooX.Server;
using GlooX.Streams;
using Nerdbank.MessagePack;

#pragma warning disable RS0022 // meant to be derived from, by generated code only

namespace GlooX.RpcRuntime;

/// <summary>
/// A call that has arrived: its target and arguments. Whatever the handler does, exactly one answer is sent.
/// </summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public abstract class RpcRequest : IWork
{
    private readonly bool _cancellable;
    private List<IncomingStream>? _streams;
    private CancellationTokenSource? _cancellation;
    private bool _cancelledByCaller;
    private int _largeBytes;
    private long _deadline;
    private string _method = "";
    private MethodTrust _trust = null!;
    private RpcCall? _call;
    private Pipeline? _pipeline;

    internal RpcRequest(bool cancellable) => _cancellable = cancellable;

    MethodTrust IWork.Trust => _trust;

    internal RpcConnection Connection { get; private set; } = null!;

    internal uint Id { get; private set; }

    /// <summary>Nobody waits for an answer, and the id means nothing.</summary>
    internal bool IsOneWay { get; private set; }

    internal CancellationToken Cancelled => _cancellation?.Token ?? CancellationToken.None;

    internal RpcCall Call => _call ??= new RpcCall(Connection, _method, _deadline, Metadata.None);

    /// <summary>Whether somebody stands between the call and its handler.</summary>
    private protected bool IsIntercepted => _pipeline is not null;

    void IWork.Execute()
    {
        RpcRequest? outer = RpcCall.Running;
        RpcCall.Running = this;
        try
        {
            Run();
        }
        finally
        {
            RpcCall.Running = outer;
        }
    }

    bool IWork.TryRefuse(int threads)
    {
        if (IsOneWay)
        {
            return false; // nobody would hear of it
        }

        var refusal = new RpcException(
            RpcError.Overloaded, $"{_method}: all {threads} threads for handlers are busy (MaxHandlerThreads): call again later, or have the handlers wait without holding a thread");
        RpcTelemetry.Refused(_method, Connection.ServedAt, refusal);
        Fail(refusal);
        return true;
    }

    /// <summary>Takes its place on a connection.</summary>
    /// <param name="connection">Where the answer goes.</param>
    /// <param name="id">The request's id.</param>
    /// <param name="method">What is called.</param>
    /// <param name="trust">What is known of the method's runs.</param>
    /// <param name="timeout">Milliseconds the caller waits; 0: no limit.</param>
    /// <param name="isOneWay">Whether no answer is wanted.</param>
    /// <param name="largeBytes">How many bytes it takes up of <see cref="RpcServerOptions.MaxInFlightBytes"/>.</param>
    /// <param name="streams">What the caller sends besides; null: nothing.</param>
    /// <exception cref="RpcException"><see cref="RpcError.Protocol"/>: the id is taken.</exception>
    internal void Attach(RpcConnection connection, uint id, string method, MethodTrust trust, uint timeout, bool isOneWay, int largeBytes, List<IncomingStream>? streams)
    {
        Connection = connection;
        Id = id;
        _method = method;
        _trust = trust;
        IsOneWay = isOneWay;
        _largeBytes = largeBytes;
        _streams = streams;
        _deadline = timeout == 0 ? 0 : Environment.TickCount64 + timeout;
        if (_cancellable)
        {
            _cancellation = new CancellationTokenSource();
            connection.Watch(this);
            if (timeout is > 0 and <= int.MaxValue)
            {
                _cancellation.CancelAfter((int)timeout);
            }
        }
    }

    /// <summary>What is known of the call already, and who is to see it run; null: nobody.</summary>
    internal void Attach(RpcCall call, Pipeline? pipeline) => (_call, _pipeline) = (call, pipeline);

    /// <summary>The caller gave up or is gone. Never throws; runs what the handler registered with its token.</summary>
    internal void Cancel()
    {
        Volatile.Write(ref _cancelledByCaller, true);
        try
        {
            _cancellation?.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // it ended meanwhile
        }
        catch (AggregateException)
        {
            // what the handler registered threw: that ends neither the process nor the other calls
        }
    }

    private protected abstract void Run();

    /// <summary>Runs the handler inside the interceptors, which may have gone to another thread when they come to it.</summary>
    private protected ValueTask<T> InterceptAsync<T>(Func<ValueTask<T>> handler) => _pipeline!.ServeAsync(Call, () =>
    {
        RpcRequest? outer = RpcCall.Running;
        RpcCall.Running = this;
        try
        {
            return handler();
        }
        finally
        {
            RpcCall.Running = outer;
        }
    });

    private protected void Answer(Action<FrameBuffer> write)
    {
        FrameBuffer frame = FrameBuffer.Begin(FrameType.Response, Id);
        write(frame);
        Done(frame);
    }

    private protected void Done(FrameBuffer frame)
    {
        EndStreams();
        try
        {
            if (!IsOneWay)
            {
                Connection.Send(frame);
            }
        }
        catch (RpcException e)
        {
            Connection.SendError(Id, new RpcException(e.Code, e.Message)); // it is this call's own failure
        }

        End();
    }

    private protected void Fail(Exception e)
    {
        EndStreams();
        if (e is OperationCanceledException && Cancelled.IsCancellationRequested)
        {
            e = Volatile.Read(ref _cancelledByCaller)
                ? new RpcException(RpcError.Cancelled, "the call was cancelled")
                : new RpcException(RpcError.Timeout, "the call was not done within the caller's deadline");
        }

        if (!IsOneWay)
        {
            Connection.SendError(Id, e);
        }
        else if (e is not RpcException { Code: RpcError.Cancelled })
        {
            Connection.LogOneWayFailed(_method, e);
        }

        End();
    }

    // Before the answer: with it the id is free for another call, whose streams have the same numbers.
    private void EndStreams()
    {
        if (_cancellable)
        {
            Connection.Unwatch(this);
        }

        if (_streams is not null)
        {
            foreach (IncomingStream stream in _streams)
            {
                Connection.Forget(stream, Id);
                stream.Detach();
                stream.Complete();
            }
        }
    }

    private void End()
    {
        _cancellation?.Dispose();
        Connection.RequestEnded(IsOneWay, _largeBytes);
    }
}

/// <summary>A call that returns a value.</summary>
/// <typeparam name="TResult">The value's type.</typeparam>
[EditorBrowsable(EditorBrowsableState.Never)]
public abstract class RpcRequest<TResult> : RpcRequest
{
    /// <summary>Makes one.</summary>
    /// <param name="cancellable">Whether the method takes a <see cref="CancellationToken"/>.</param>
    protected RpcRequest(bool cancellable)
        : base(cancellable)
    {
    }

    /// <summary>Calls the method.</summary>
    /// <param name="ct">Cancelled when the caller cancels, its deadline passes or its connection breaks.</param>
    /// <returns>The method's result.</returns>
    protected abstract ValueTask<TResult> InvokeAsync(CancellationToken ct);

    /// <summary>Writes the result.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="result">What.</param>
    /// <param name="serializer">Writes what is no primitive.</param>
    protected abstract void WriteResult(ref MessagePackWriter writer, TResult result, RpcSerializer serializer);

    private protected sealed override void Run()
    {
        ValueTask<TResult> running;
        try
        {
            running = IsIntercepted ? InterceptAsync(() => InvokeAsync(Cancelled)) : InvokeAsync(Cancelled);
            if (running.IsCompletedSuccessfully && !Connection.IsCongested)
            {
                Reply(running.Result);
                return;
            }
        }
        catch (Exception e)
        {
            Fail(e); // whatever the handler throws is the caller's to know
            return;
        }

        _ = AwaitAsync(running);
    }

    private async Task AwaitAsync(ValueTask<TResult> running)
    {
        try
        {
            TResult result = await running.ConfigureAwait(false);
            if (Connection.IsCongested)
            {
                await Connection.DrainAsync(CancellationToken.None).ConfigureAwait(false);
            }

            Reply(result);
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }

    private void Reply(TResult result)
    {
        FrameBuffer frame = FrameBuffer.Begin(FrameType.Response, Id);
        var writer = new MessagePackWriter(frame);
        WriteResult(ref writer, result, RpcSerializer.Default);
        writer.Flush();
        Done(frame);
    }
}

/// <summary>A call that returns nothing.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public abstract class RpcVoidRequest : RpcRequest
{
    /// <summary>Makes one.</summary>
    /// <param name="cancellable">Whether the method takes a <see cref="CancellationToken"/>.</param>
    protected RpcVoidRequest(bool cancellable)
        : base(cancellable)
    {
    }

    /// <summary>Calls the method.</summary>
    /// <param name="ct">Cancelled when the caller cancels, its deadline passes or its connection breaks.</param>
    /// <returns>Completes when the method has.</returns>
    protected abstract ValueTask InvokeAsync(CancellationToken ct);

    private protected sealed override void Run()
    {
        ValueTask running;
        try
        {
            running = IsIntercepted ? InterceptAsync() : InvokeAsync(Cancelled);
            if (running.IsCompletedSuccessfully)
            {
                running.GetAwaiter().GetResult();
                Answer(static frame => frame.WriteByte(MessagePackCode.Nil));
                return;
            }
        }
        catch (Exception e)
        {
            Fail(e); // whatever the handler throws is the caller's to know
            return;
        }

        _ = AwaitAsync(running);
    }

    private async ValueTask InterceptAsync() => await InterceptAsync(async () =>
    {
        await InvokeAsync(Cancelled).ConfigureAwait(false);
        return default(RpcVoid);
    }).ConfigureAwait(false);

    private async Task AwaitAsync(ValueTask running)
    {
        try
        {
            await running.ConfigureAwait(false);
        }
        catch (Exception e)
        {
            Fail(e);
            return;
        }

        Answer(static frame => frame.WriteByte(MessagePackCode.Nil));
    }
}

/// <summary>A call that returns a stream.</summary>
/// <typeparam name="T">The item's type.</typeparam>
[EditorBrowsable(EditorBrowsableState.Never)]
public abstract class RpcStreamRequest<T> : RpcRequest
{
    /// <summary>Makes one.</summary>
    protected RpcStreamRequest()
        : base(cancellable: true)
    {
    }

    /// <summary>Calls the method.</summary>
    /// <param name="ct">Cancelled when the caller wants no more, its deadline passes or its connection breaks.</param>
    /// <returns>What to send.</returns>
    protected abstract IAsyncEnumerable<T> Invoke(CancellationToken ct);

    /// <summary>Writes an item.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="item">What.</param>
    /// <param name="serializer">Writes what is no primitive.</param>
    protected abstract void WriteItem(ref MessagePackWriter writer, T item, RpcSerializer serializer);

    private protected sealed override void Run() => _ = RunAsync();

    private Task<bool> SendAsync() => new OutgoingStream(Connection, 0) { Call = Id }.SendAsync(Invoke(Cancelled), WriteItem, Cancelled);

    private async Task RunAsync()
    {
        try
        {
            if (IsIntercepted)
            {
                await InterceptAsync(async () => await SendAsync().ConfigureAwait(false)).ConfigureAwait(false);
            }
            else
            {
                await SendAsync().ConfigureAwait(false);
            }
        }
        catch (Exception e)
        {
            Fail(e); // whatever the handler throws is the caller's to know
            return;
        }

        Answer(static frame => frame.WriteByte(MessagePackCode.Nil));
    }
}
