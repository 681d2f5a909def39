using System.ComponentModel;
using System.Globalization;
using GlooX.Protocol;
using GlooX.Streams;
using Nerdbank.MessagePack;

namespace GlooX.RpcRuntime;

/// <summary>Writes one item of a stream.</summary>
/// <typeparam name="T">The item's type.</typeparam>
/// <param name="writer">Receives the item.</param>
/// <param name="item">The item.</param>
/// <param name="serializer">Serializes values that are no primitives.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public delegate void RpcItemWriter<in T>(ref MessagePackWriter writer, T item, RpcSerializer serializer);

/// <summary>A call that is about to be made: assigns numbers to its streams and callbacks. One instance for each attempt.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcOutgoing
{
    private readonly RpcConnection _connection;
    private readonly CancellationTokenSource _ended = new();
    private readonly List<(OutgoingStream Stream, Func<OutgoingStream, Task> Send)> _uploads = [];
    private List<int>? _exported;

    internal RpcOutgoing(RpcConnection connection) => _connection = connection;

    /// <summary>Adds a stream, whose items are sent once the call was sent.</summary>
    /// <typeparam name="T">The item's type.</typeparam>
    /// <param name="items">The items.</param>
    /// <param name="write">Writes an item.</param>
    /// <returns>The number that represents the stream among the arguments.</returns>
    public int Stream<T>(IAsyncEnumerable<T> items, RpcItemWriter<T> write)
    {
        ArgumentNullException.ThrowIfNull(items);
        var stream = new OutgoingStream(_connection, (uint)_uploads.Count + 1);
        _uploads.Add((stream, s => UploadAsync(s, items, write, _ended.Token)));
        return (int)stream.Number;
    }

    /// <summary>Exports an object, until the connection ends or the other side releases it.</summary>
    /// <typeparam name="T">The object's contract.</typeparam>
    /// <param name="target">The object that the other side may call.</param>
    /// <returns>The number that represents the object among the arguments.</returns>
    public int Export<T>(T target)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(target);
        return Keep(_connection.Exports.Export(target, typeof(T)));
    }

    /// <summary>Exports a delegate, until the connection ends or the other side releases it.</summary>
    /// <typeparam name="T">The delegate's type.</typeparam>
    /// <param name="target">The delegate that the other side may call.</param>
    /// <param name="dispatcher">Serves the calls; the same instance for every call of a method.</param>
    /// <returns>The number that represents the delegate among the arguments.</returns>
    public int Export<T>(T target, RpcDispatcher dispatcher)
        where T : Delegate
    {
        ArgumentNullException.ThrowIfNull(target);
        return Keep(_connection.Exports.Export(target, dispatcher));
    }

    /// <summary>The call was never sent: releases the objects that were exported for it.</summary>
    internal void Abort()
    {
        foreach (int number in _exported ?? [])
        {
            _connection.Exports.Release((uint)number);
        }
    }

    private int Keep(int number)
    {
        (_exported ??= []).Add(number);
        return number;
    }

    /// <summary>The call was sent with this id.</summary>
    internal void Start(uint call)
    {
        foreach ((OutgoingStream stream, Func<OutgoingStream, Task> send) in _uploads)
        {
            stream.Call = call;
            _ = Task.Run(() => send(stream), CancellationToken.None); // a failure is sent to the other side as the end of the stream
        }
    }

    /// <summary>The call has ended: once this returns, nothing more is sent. Runs no user code.</summary>
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
            failure = e; // any exception of the caller's stream is sent to the handler that reads it
        }

        stream.End(failure);
    }
}

/// <summary>A request that is being read. Used by one thread, the read loop's.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcInbound
{
    private readonly RpcConnection _connection;
    private uint _call;
    private List<IncomingStream>? _streams;

    internal RpcInbound(RpcConnection connection) => _connection = connection;

    /// <summary>Reads the number that represents a stream.</summary>
    /// <typeparam name="T">The item's type.</typeparam>
    /// <param name="reader">Positioned at the argument.</param>
    /// <param name="read">Reads an item.</param>
    /// <returns>The stream; it can be enumerated once.</returns>
    public IAsyncEnumerable<T> Stream<T>(ref MessagePackReader reader, RpcResultReader<T> read)
    {
        uint number = reader.ReadUInt32();
        if (number == 0 || _streams?.Exists(s => s.Number == number) == true)
        {
            throw new RpcException(RpcError.BadArguments, $"{number} is not a valid number for a stream");
        }

        var stream = new IncomingStream<T>(number, read);
        stream.Attach(_connection, _call);
        (_streams ??= []).Add(stream);
        _connection.Expect(stream, _call);
        return stream;
    }

    /// <summary>Reads the number that represents an object of the caller.</summary>
    /// <typeparam name="T">The object's contract.</typeparam>
    /// <param name="reader">Positioned at the argument.</param>
    /// <returns>A proxy that works until the connection ends.</returns>
    public T Import<T>(ref MessagePackReader reader)
        where T : class =>
        RpcRegistry.CreateProxy<T>(Import(ref reader));

    /// <summary>Reads the number that represents a delegate of the caller.</summary>
    /// <param name="reader">Positioned at the argument.</param>
    /// <returns>An invoker for its one method, which works until the connection ends.</returns>
    public RpcInvoker Import(ref MessagePackReader reader)
    {
        uint number = reader.ReadUInt32();
        return new RpcInvoker(_connection, "#" + number.ToString(CultureInfo.InvariantCulture), new RemoteReference(_connection, number));
    }

    internal void Begin(uint call) => (_call, _streams) = (call, null);

    /// <summary>The request's streams; null: none.</summary>
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
