using System.Collections.Concurrent;
using System.Threading.Tasks.Sources;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using GlooX.Server;
using Nerdbank.MessagePack;

namespace GlooX.Client;

/// <summary>A call that waits for its answer. Exactly one of answer, deadline, cancellation and closing takes it from its table and completes it.</summary>
internal abstract class PendingCall : IThreadPoolWorkItem, IWork
{
    public RpcConnection Connection = null!;
    public uint Id;
    public string Method = "";

    /// <summary>In <see cref="Environment.TickCount64"/>; <see cref="long.MaxValue"/>: none.</summary>
    public long Deadline;

    /// <summary>The details of failures that the caller knows; null: none.</summary>
    public RpcFaultKind[]? Faults;

    /// <summary>What the call sends besides its arguments.</summary>
    public RpcOutgoing? Outgoing;

    /// <summary>Whether what follows the answers of this method is quick.</summary>
    public MethodTrust Trust { get; protected set; } = null!;

    private protected Exception? Failure { get; set; }

    /// <summary>The call's id is about to be free for another: from now on nothing is sent in its name. Called under the table's lock.</summary>
    public virtual void Ending() => Outgoing?.Stop();

    /// <summary>Takes the answer; <see cref="Execute"/> hands it over.</summary>
    public abstract void Read(ReadOnlyMemory<byte> body);

    /// <summary>Takes an item of the call's stream.</summary>
    /// <exception cref="RpcException">The other side broke the protocol.</exception>
    public virtual void Item(ReadOnlyMemory<byte> item) => throw new RpcException(RpcError.Protocol, $"{Method} returns no stream, but an item came");

    /// <summary>Hands over what has come. Runs the caller's code.</summary>
    public abstract void Execute();

    /// <summary>Whoever waits for the answer may be what holds the threads: the thread pool hands it over.</summary>
    public bool TryRefuse(int threads)
    {
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        return true;
    }

    /// <summary>Takes the failure; <see cref="Execute"/> hands it over.</summary>
    public void Fail(Exception e) => Failure = e;

    /// <summary>Fails, and hands that over on the thread pool.</summary>
    public void FailSoon(Exception e)
    {
        Failure = e;
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }
}

/// <summary>Pooled: a call allocates nothing for its completion.</summary>
internal sealed class PendingCall<T> : PendingCall, IValueTaskSource<T>, IValueTaskSource
{
    private const int MaxPooled = 4096;
    private static readonly ConcurrentQueue<PendingCall<T>> s_pool = new();

    private ManualResetValueTaskSourceCore<T> _core;
    private T _result = default!;
    private RpcResultReader<T> _read = null!;
    private CancellationTokenRegistration _registration;
    private CancellationToken _token;

    public ValueTask<T> Task => new(this, _core.Version);

    public ValueTask VoidTask => new(this, _core.Version);

    public static PendingCall<T> Rent(RpcConnection connection, RpcMethod<T> method, string name, long deadline)
    {
        if (!s_pool.TryDequeue(out PendingCall<T>? call))
        {
            call = new PendingCall<T>();
        }

        call.Connection = connection;
        call.Method = name;
        call.Deadline = deadline;
        call._read = method.ReadResult;
        call.Faults = method.Faults;
        call.Trust = method.Trust;
        return call;
    }

    public void CancelWith(CancellationToken ct)
    {
        _token = ct;
        _registration = ct.UnsafeRegister(static s => ((PendingCall<T>)s!).OnCancelled(), this);
    }

    public override void Read(ReadOnlyMemory<byte> body)
    {
        try
        {
            var reader = new MessagePackReader(body);
            _result = _read(ref reader, RpcSerializer.Default);
        }
        catch (Exception e)
        {
            // Whatever a converter throws over bytes that do not fit concerns this call only.
            Fail(new RpcException(RpcError.BadResult, $"{Method}: the answer is no {typeof(T).Name}: {ExceptionText.Message(e)}", e) { Url = Connection.Remote, Method = Method });
        }
    }

    public override void Execute()
    {
        if (Failure is { } failure)
        {
            _core.SetException(failure);
        }
        else
        {
            _core.SetResult(_result);
        }
    }

    T IValueTaskSource<T>.GetResult(short token) => End(token);

    void IValueTaskSource.GetResult(short token) => End(token);

    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);

    private T End(short token)
    {
        try
        {
            return _core.GetResult(token);
        }
        finally
        {
            _registration.Dispose(); // waits for a callback that runs, so that none can meet the next user of this object
            _registration = default;
            _token = default;
            Outgoing = null;
            Connection = null!;
            _result = default!;
            Failure = null;
            _core.Reset();
            if (s_pool.Count < MaxPooled)
            {
                s_pool.Enqueue(this);
            }
        }
    }

    private void OnCancelled()
    {
        if (Connection?.Abandon(this) == true)
        {
            FailSoon(new OperationCanceledException($"the call of {Method} was cancelled", _token));
        }
    }
}
