using System.ComponentModel;
using System.Globalization;
using GlooX.Protocol;
using GlooX.Streams;
using Nerdbank.MessagePack;

namespace GlooX.RpcRuntime;

/// <summary>Writes one item of a stream.</summary>
/// <typeparam name="T">The item's type.</typeparam>
/// <param name="writer">Where to.</param>
/// <param name="item">What.</param>
/// <param name="serializer">Writes what is no primitive.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public delegate void RpcItemWriter<in T>(ref MessagePackWriter writer, T item, RpcSerializer serializer);

/// <summary>A call that is about to be made: numbers what does not travel as a value. One for each attempt.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcOutgoing
{
    private readonly RpcConnection _connection;
    private readonly CancellationTokenSource _ended = new();
    private readonly List<(OutgoingStream Stream, Func<OutgoingStream, Task> Send)> _uploads = [];
    private List<int>? _lent;

    internal RpcOutgoing(RpcConnection connection) => _connection = connection;

    /// <summary>Sends the items once the call is under way.</summary>
    /// <typeparam name="T">The item's type.</typeparam>
    /// <param name="items">What to send.</param>
    /// <param name="write">Writes an item.</param>
    /// <returns>What stands for the stream among the arguments.</returns>
    public int Stream<T>(IAsyncEnumerable<T> items, RpcItemWriter<T> write)
    {
        ArgumentNullException.ThrowIfNull(items);
        var stream = new OutgoingStream(_connection, (uint)_uploads.Count + 1);
        _uploads.Add((stream, s => UploadAsync(s, items, write, _ended.Token)));
        return (int)stream.Number;
    }

    /// <summary>Lends an object, for the connection's life.</summary>
    /// <typeparam name="T">Its contract.</typeparam>
    /// <param name="target">What the other side may call.</param>
    /// <returns>What stands for the object among the arguments.</returns>
    public int Lend<T>(T target)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(target);
        return Keep(_connection.Callbacks.Lend(target, typeof(T)));
    }

    /// <summary>Lends a delegate, for the connection's life.</summary>
    /// <typeparam name="T">Its type.</typeparam>
    /// <param name="target">What the other side may call.</param>
    /// <param name="dispatcher">Serves the calls; the same one for each call of a method.</param>
    /// <returns>What stands for the delegate among the arguments.</returns>
    public int Lend<T>(T target, RpcDispatcher dispatcher)
        where T : Delegate
    {
        ArgumentNullException.ThrowIfNull(target);
        return Keep(_connection.Callbacks.Lend(target, dispatcher));
    }

    /// <summary>The call was never sent: nobody will give back what it lent.</summary>
    internal void Abort()
    {
        foreach (int number in _lent ?? [])
        {
            _connection.Callbacks.Release((uint)number);
        }
    }

    private int Keep(int number)
    {
        (_lent ??= []).Add(number);
        return number;
    }

    /// <summary>The call was sent under this id.</summary>
    internal void Start(uint call)
    {
        foreach ((OutgoingStream stream, Func<OutgoingStream, Task> send) in _uploads)
        {
            stream.Call = call;
            _ = Task.Run(() => send(stream), CancellationToken.None); // reports to the other side; the call's result says the rest
        }
    }

    /// <summary>The call is over: once this returns, nothing more is sent. Runs nobody's code.</summary>
    internal void Stop()
    {
        if (_uploads.Count == 0)
        {
            return;
        }

        foreach ((OutgoingStream stream, _) in _uploads)
        {
            stream.Stop();
        }

        ThreadPool.UnsafeQueueUserWorkItem(static c => c.Cancel(), _ended, preferLocal: false);
    }

    private async Task UploadAsync<T>(OutgoingStream stream, IAsyncEnumerable<T> items, RpcItemWriter<T> write, CancellationToken ct)
    {
        Exception? failure = null;
        try
        {
            if (!await stream.SendAsync(items, write, ct).ConfigureAwait(false))
            {
                return;
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            return; // the call is over
        }
        catch (Exception e)
        {
            failure = e; // whatever the caller's stream throws, the handler that reads it is to know
        }

        stream.End(failure);
    }
}

/// <summary>A call that has come and is being read. Used by one thread, the reader's.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcInbound
{
    private readonly RpcConnection _connection;
    private uint _call;
    private List<IncomingStream>? _streams;

    internal RpcInbound(RpcConnection connection) => _connection = connection;

    /// <summary>Reads what stands for a stream.</summary>
    /// <typeparam name="T">The item's type.</typeparam>
    /// <param name="reader">Positioned at the argument.</param>
    /// <param name="read">Reads an item.</param>
    /// <returns>The stream; to be enumerated once.</returns>
    public IAsyncEnumerable<T> Stream<T>(ref MessagePackReader reader, RpcResultReader<T> read)
    {
        uint number = reader.ReadUInt32();
        if (number == 0 || _streams?.Exists(s => s.Number == number) == true)
        {
            throw new RpcException(RpcError.BadArguments, $"no stream can have the number {number} here");
        }

        var stream = new IncomingStream<T>(number, read);
        stream.Attach(_connection, _call);
        (_streams ??= []).Add(stream);
        _connection.Expect(stream, _call);
        return stream;
    }

    /// <summary>Reads what stands for an object that the caller has lent.</summary>
    /// <typeparam name="T">Its contract.</typeparam>
    /// <param name="reader">Positioned at the argument.</param>
    /// <returns>A proxy that works until the connection ends.</returns>
    public T Borrow<T>(ref MessagePackReader reader)
        where T : class =>
        RpcRegistry.CreateProxy<T>(Borrow(ref reader));

    /// <summary>Reads what stands for a delegate that the caller has lent.</summary>
    /// <param name="reader">Positioned at the argument.</param>
    /// <returns>Calls its one method, until the connection ends.</returns>
    public RpcInvoker Borrow(ref MessagePackReader reader)
    {
        uint number = reader.ReadUInt32();
        return new RpcInvoker(_connection, "#" + number.ToString(CultureInfo.InvariantCulture), new Borrowed(_connection, number));
    }

    internal void Begin(uint call) => (_call, _streams) = (call, null);

    /// <summary>The call's streams; null for none.</summary>
    internal List<IncomingStream>? End()
    {
        List<IncomingStream>? streams = _streams;
        _streams = null;
        return streams;
    }

    internal void Abandon()
    {
        foreach (IncomingStream stream in End() ?? [])
        {
            _connection.Forget(stream, _call);
        }
    }
}
