using System.Net;
using Akka.Actor;

namespace GlooX.Grid;

/// <summary>
/// What one engine sees of the process's one port: streams that were meant for it, and a way to dial. The port itself belongs to
/// somebody else and goes on when the engine is gone.
/// </summary>
internal sealed class EnginePort(NodeKey self, IGridTransport transport)
{
    private readonly TaskCompletionSource<StreamTransport> _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public NodeKey Self => self;

    public void Listen(StreamTransport listener) => _listening.TrySetResult(listener);

    public void Close() => _listening.TrySetCanceled();

    /// <summary>Hands over an inbound stream whose preface has been read. Ends when the stream has ended.</summary>
    public async Task AcceptAsync(Stream stream, EndPoint? remote, CancellationToken ct)
    {
        StreamTransport listener = await _listening.Task.WaitAsync(ct).ConfigureAwait(false);
        await listener.AcceptAsync(stream, remote, ct).ConfigureAwait(false);
    }

    /// <summary>Dials the place and says which incarnation is meant.</summary>
    public async Task<Stream> DialAsync(Address remote, CancellationToken ct)
    {
        NodeKey node = EngineConfig.ToNode(remote);
        Stream stream = await transport.DialAsync(node.Address, ct).ConfigureAwait(false);
        try
        {
            await Preface.WriteAsync(stream, node.Incarnation, ct).ConfigureAwait(false);
            return stream;
        }
        catch
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }
}
