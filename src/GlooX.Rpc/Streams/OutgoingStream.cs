using GlooX.Protocol;
using GlooX.RpcRuntime;
using GlooX.Server;
using Nerdbank.MessagePack;

namespace GlooX.Streams;

/// <summary>A stream that this side sends, never faster than the other side reads it.</summary>
internal sealed class OutgoingStream(RpcConnection connection, uint number)
{
    private readonly Lock _gate = new();
    private long _credit = connection.PeerWindow;
    private bool _stopped;
    private TaskCompletionSource? _room;

    public uint Call { get; set; }

    public uint Number { get; } = number;

    /// <summary>The other side has read this many more bytes; 0: it wants no more items.</summary>
    public void Grant(uint bytes)
    {
        if (bytes == 0)
        {
            Stop();
            return;
        }

        lock (_gate)
        {
            if (_credit + bytes > int.MaxValue)
            {
                throw new RpcException(RpcError.Protocol, $"the credit of stream {Number} of call {Call} overflows");
            }

            _credit += bytes;
            if (_credit > 0)
            {
                _room?.TrySetResult();
                _room = null;
            }
        }
    }

    /// <summary>Once this returns, nothing more is sent.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            _stopped = true;
            _room?.TrySetResult();
            _room = null;
        }
    }

    /// <summary>Sends all items, as fast as the other side reads them. False: it wants no more, or is gone.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task<bool> SendAsync<T>(IAsyncEnumerable<T> items, RpcItemWriter<T> write, CancellationToken ct)
    {
        connection.ServiceTarget(this);
        try
        {
            await foreach (T item in items.WithCancellation(ct).ConfigureAwait(false))
            {
                await WaitForRoomAsync(ct).ConfigureAwait(false);
                if (connection.IsCongested)
                {
                    await connection.DrainAsync(ct).ConfigureAwait(false);
                }

                if (Volatile.Read(ref _stopped) || !Send(item, write))
                {
                    return false;
                }
            }

            return true;
        }
        finally
        {
            connection.Withdraw(this);
        }
    }

    /// <summary>Sends the end of the stream, with the failure if there was one.</summary>
    public void End(Exception? failure)
    {
        FrameBuffer end = FrameBuffer.Begin(FrameType.StreamEnd, Call);
        end.WriteVarint(Number);
        if (failure is not null)
        {
            connection.WriteError(end, failure);
        }

        lock (_gate)
        {
            if (!_stopped)
            {
                connection.Send(end);
            }
        }
    }

    private bool Send<T>(T item, RpcItemWriter<T> write)
    {
        FrameBuffer frame = FrameBuffer.Begin(FrameType.StreamItem, Call);
        frame.WriteVarint(Number);
        int head = frame.Length;
        var writer = new MessagePackWriter(frame);
        write(ref writer, item, RpcSerializer.Default);
        writer.Flush();
        lock (_gate)
        {
            _credit -= frame.Length - head + IncomingStream.ItemCost;
            try
            {
                return !_stopped && connection.Send(frame, isUrgent: false);
            }
            catch (RpcException e)
            {
                throw new RpcException(e.Code, e.Message); // it is this call's own failure, and not that of a call that its handler makes
            }
        }
    }

    private ValueTask WaitForRoomAsync(CancellationToken ct)
    {
        if (Volatile.Read(ref _credit) > 0)
        {
            return default; // only sending on this side reduces it
        }

        lock (_gate)
        {
            return _credit > 0 || _stopped
                ? default
                : new ValueTask((_room ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task.WaitAsync(ct));
        }
    }
}
