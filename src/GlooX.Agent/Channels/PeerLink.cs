using GlooX.Contracts;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>
/// Sends messages to one node, in order, as they come and without waiting where the connection takes them. When it does not, they wait
/// here: beyond <see cref="CrowdedAt"/> writers are asked to wait, beyond <see cref="FullAt"/> messages are given up, as they are when the
/// node cannot be reached. The node notices what it misses and pulls it.
/// </summary>
internal sealed class PeerLink(string address, IChannelService service, ILogger logger, Action roomMade, CancellationToken stop)
{
    private const int CrowdedAt = 1 << 20;
    private const int FullAt = 16 << 20;
    private const int MostAtOnce = 32;
    private static readonly TimeSpan s_sendTimeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(250);
    private readonly Lock _gate = new();
    private readonly Queue<byte[]> _queue = new();
    private long _bytes;
    private bool _sending;
    private long _silentUntil;

    public string Address { get; } = address;

    public bool IsCrowded => Volatile.Read(ref _bytes) > CrowdedAt;

    public void Send(byte[] message)
    {
        lock (_gate)
        {
            if (_bytes > FullAt || Environment.TickCount64 < _silentUntil)
            {
                return;
            }

            _queue.Enqueue(message);
            _bytes += message.Length;
            if (_sending)
            {
                return;
            }

            _sending = true;
        }

        _ = SendAllAsync(); // it catches everything
    }

    private async Task SendAllAsync()
    {
        for (int sent = 1; ; sent++)
        {
            if (sent % MostAtOnce == 0)
            {
                await Task.Yield(); // it may be a writer's thread: his own write has long been sent
            }

            byte[]? message;
            bool madeRoom;
            lock (_gate)
            {
                bool wasCrowded = IsCrowded;
                if (!_queue.TryDequeue(out message))
                {
                    _sending = false;
                    return;
                }

                _bytes -= message.Length;
                madeRoom = wasCrowded && !IsCrowded;
            }

            if (madeRoom)
            {
                roomMade();
            }

            try
            {
                ValueTask push = service.PushAsync(message, stop);
                if (!push.IsCompletedSuccessfully)
                {
                    await push.AsTask().WaitAsync(s_sendTimeout, stop).ConfigureAwait(false);
                }
            }
            catch (Exception e)
            {
                logger.GivenUp(Address, e.Message);
                lock (_gate)
                {
                    _queue.Clear();
                    _bytes = 0;
                    _silentUntil = Environment.TickCount64 + (long)s_pause.TotalMilliseconds;
                }

                roomMade();
            }
        }
    }
}
