using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Akka.Actor;
using Akka.Remote.Transport;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// One stream between two engines, in frames of four bytes of length (little endian) and a payload. On any failure the stream is closed and
/// Akka is told once that the association has ended. Queued payloads are lost; gossip and heartbeats are sent again anyway.
/// </summary>
#pragma warning disable CA1001 // The source is always cancelled, which frees its timer; Abort may still be called after the end.
internal sealed class StreamAssociation(StreamTransport owner, Address local, Address remote, Stream stream, Predicate<string>? mayBe, ILogger logger)
    : AssociationHandle(local, remote)
#pragma warning restore CA1001
{
    private const int Header = 4;
    private const int HighWater = 8 << 20;
    private const int Batch = 64 << 10;
    private static readonly int MaxFrame = StreamTransport.MaxPayload + 1024; // Akka's envelope is added
    private static readonly TimeSpan FlushTimeout = TimeSpan.FromSeconds(1);
    private static readonly StreamPipeReaderOptions Reading = new(bufferSize: 16 << 10, minimumReadSize: 1 << 10, leaveOpen: true);
    private static readonly StreamPipeWriterOptions Writing = new(minimumBufferSize: 4 << 10, leaveOpen: true);

    // The thread that writes also sends: a hop to another thread would cost more than sending, which does not block.
    private readonly Channel<ByteString> _queue = Channel.CreateUnbounded<ByteString>(
        new UnboundedChannelOptions { SingleReader = true, AllowSynchronousContinuations = true });
    private readonly CancellationTokenSource _abort = new();
    private long _queued;
    private bool _isKnown = mayBe is null;

    /// <summary>Completes without an exception when both directions have ended and the stream is closed.</summary>
    public Task Ended { get; private set; } = Task.CompletedTask;

    public void Start() => Ended = RunAsync();

    /// <summary>
    /// Queues a payload; never blocks. False when too much is queued or the stream has ended: Akka keeps the payload and tries again.
    /// </summary>
    public override bool Write(ByteString payload)
    {
        if (Interlocked.Read(ref _queued) + payload.Length > HighWater || !_queue.Writer.TryWrite(payload))
        {
            return false;
        }

        Interlocked.Add(ref _queued, payload.Length);
        return true;
    }

    /// <summary>Sends queued payloads, for a second at most, and closes.</summary>
    [Obsolete("Akka calls the overload with a reason, which calls this.")]
    public override void Disassociate()
    {
        _queue.Writer.TryComplete();
        _abort.CancelAfter(FlushTimeout);
    }

    public void Abort() => _abort.Cancel();

    /// <summary>The base class compares addresses, but there may be two streams between the same two engines.</summary>
    public override bool Equals(object? obj) => ReferenceEquals(this, obj);

    public override int GetHashCode() => RuntimeHelpers.GetHashCode(this);

    private async Task RunAsync()
    {
        await Task.Yield();
        CancellationTokenRegistration closer = _abort.Token.UnsafeRegister(static s => ((Stream)s!).Dispose(), stream);
        await using (closer.ConfigureAwait(false))
        {
            await Task.WhenAll(WriteAllAsync(), ReadAllAsync()).ConfigureAwait(false);
        }

        owner.Forget(this);
    }

    private async Task WriteAllAsync()
    {
        PipeWriter output = PipeWriter.Create(stream, Writing);
        try
        {
            while (await _queue.Reader.WaitToReadAsync(_abort.Token).ConfigureAwait(false))
            {
                Fill(output);
                await output.FlushAsync(_abort.Token).ConfigureAwait(false);
            }

            await output.CompleteAsync().ConfigureAwait(false);
        }
#pragma warning disable CA1031 // A stream may fail in any way; each ends the association.
        catch (Exception e)
#pragma warning restore CA1031
        {
            logger.LinkBroken(RemoteAddress.ToString(), e.Message);
            await output.CompleteAsync(e).ConfigureAwait(false);
        }
        finally
        {
            _queue.Writer.TryComplete();
            Abort();
        }
    }

    /// <summary>Payloads that were queued during the last flush are sent together.</summary>
    private void Fill(PipeWriter output)
    {
        int filled = 0;
        while (filled < Batch && _queue.Reader.TryRead(out ByteString? payload))
        {
            int length = payload.Length;
            Span<byte> span = output.GetSpan(Header + length);
            BinaryPrimitives.WriteInt32LittleEndian(span, length);
            payload.Span.CopyTo(span[Header..]);
            output.Advance(Header + length);
            filled += Header + length;
            Interlocked.Add(ref _queued, -length);
        }
    }

    private async Task ReadAllAsync()
    {
        IHandleEventListener? listener = null;
        DisassociateInfo info = DisassociateInfo.Unknown;
        PipeReader input = PipeReader.Create(stream, Reading);
        try
        {
            // Nothing is read before Akka listens, or it would be lost.
            listener = await ReadHandlerSource.Task.WaitAsync(_abort.Token).ConfigureAwait(false);
            while (true)
            {
                ReadResult result = await input.ReadAsync(_abort.Token).ConfigureAwait(false);
                ReadOnlySequence<byte> buffer = result.Buffer;
                EngineDispatcher.RunThenDrain(
                    t =>
                    {
                        while (TryTakeFrame(ref buffer, out ByteString? payload))
                        {
                            CheckOrigin(payload);
                            t.Notify(new InboundPayload(payload));
                        }

                        input.AdvanceTo(buffer.Start, buffer.End);
                    },
                    listener);
                if (result.IsCompleted)
                {
                    info = DisassociateInfo.Shutdown;
                    break;
                }
            }
        }
#pragma warning disable CA1031 // As above.
        catch (Exception e)
#pragma warning restore CA1031
        {
            if (_isKnown || e is not InvalidDataException)
            {
                logger.LinkBroken(RemoteAddress.ToString(), e.Message);
            }
            else
            {
                logger.OriginRefused(RemoteAddress.ToString(), e.Message);
            }
        }
        finally
        {
            await input.CompleteAsync().ConfigureAwait(false);
            Abort();
            listener?.Notify(new Disassociated(info));
        }
    }

    // Once: an engine has one address as long as it runs.
    private void CheckOrigin(ByteString first)
    {
        if (!_isKnown)
        {
            string host = Handshake.HostOf(first);
            _isKnown = mayBe!(host) ? true : throw new InvalidDataException($"The engine says that it is at {host}, for which the certificate of the stream is not made.");
        }
    }

    private static bool TryTakeFrame(ref ReadOnlySequence<byte> buffer, [NotNullWhen(true)] out ByteString? payload)
    {
        payload = null;
        var reader = new SequenceReader<byte>(buffer);
        if (!reader.TryReadLittleEndian(out int length))
        {
            return false;
        }

        if (length < 0 || length > MaxFrame)
        {
            throw new InvalidDataException($"A frame of {length} bytes exceeds the limit of {MaxFrame}.");
        }

        if (reader.Remaining < length)
        {
            return false;
        }

        byte[] bytes = GC.AllocateUninitializedArray<byte>(length);
        reader.TryCopyTo(bytes);
        buffer = buffer.Slice(Header + length);
        payload = UnsafeByteOperations.UnsafeWrap(bytes);
        return true;
    }
}
