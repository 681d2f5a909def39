using Akka.Actor;

namespace GlooX.Grid;

/// <summary>
/// One engine's share of the process's port: inbound streams that are meant for this engine, and dialling. The port itself outlives the
/// engine.
/// </summary>
internal sealed class EnginePort(NodeKey self, IGridTransport transport)
{
    private readonly TaskCompletionSource<StreamTransport> _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public NodeKey Self => self;

    public void Listen(StreamTransport listener) => _listening.TrySetResult(listener);

    public void Close() => _listening.TrySetCanceled();

    /// <summary>Serves an inbound stream whose preface has been read; completes when the stream has ended.</summary>
    public async Task AcceptAsync(Stream stream, GridCaller caller, CancellationToken ct)
    {
        StreamTransport listener = await _listening.Task.WaitAsync(ct).ConfigureAwait(false);
        await listener.AcceptAsync(stream, caller, ct).ConfigureAwait(false);
    }

    /// <summary>Dials an engine and sends its incarnation as the preface.</summary>
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
