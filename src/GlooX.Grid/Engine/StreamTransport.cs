using System.Collections.Concurrent;
using System.Net;
using Akka.Actor;
using Akka.Configuration;
using Akka.Remote.Transport;

namespace GlooX.Grid;

/// <summary>
/// Akka.Remote over streams that <see cref="IGridTransport"/> dials and accepts. Created by Akka, one for each engine.
/// A broken stream ends its association at once; Akka dials again when it has a message to send.
/// </summary>
#pragma warning disable CA1001 // A source without a timer holds nothing; Shutdown cancels it.
internal sealed class StreamTransport : Transport
#pragma warning restore CA1001
{
    /// <summary>Largest payload in bytes; Akka drops larger messages silently. Gossip of a thousand members is far smaller.</summary>
    public const int MaxPayload = 4 << 20;

    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(2);

    private readonly EngineSetup _setup;
    private readonly TaskCompletionSource<IAssociationEventListener> _listener = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentDictionary<StreamAssociation, byte> _open = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly Address _local;

    public StreamTransport(ActorSystem system, Config config)
    {
        System = system;
        Config = config;
        SchemeIdentifier = EngineConfig.Scheme;
        MaximumPayloadBytes = MaxPayload;
        _setup = EngineSetup.Of(system);
        _local = EngineConfig.ToEngineAddress(_setup.Port.Self).WithProtocol(EngineConfig.Scheme);
    }

    public override bool IsResponsibleFor(Address remote) => true;

    public override Task<(Address, TaskCompletionSource<IAssociationEventListener>)> Listen()
    {
        _setup.Port.Listen(this);
        return Task.FromResult((_local, _listener));
    }

    public override async Task<AssociationHandle> Associate(Address remoteAddress)
    {
        using var limit = new CancellationTokenSource(ConnectTimeout, _setup.Time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _closing.Token);
        try
        {
            Stream stream = await _setup.Port.DialAsync(remoteAddress, both.Token).ConfigureAwait(false);
            return Open(stream, remoteAddress, null);
        }
#pragma warning disable CA1031 // Akka expects this exception type for each failure.
        catch (Exception e)
#pragma warning restore CA1031
        {
            throw new InvalidAssociationException($"Could not open a stream to {remoteAddress}: {e.Message}", e);
        }
    }

    /// <summary>Serves an inbound stream; completes when the stream has ended.</summary>
    public async Task AcceptAsync(Stream stream, GridCaller caller, CancellationToken ct)
    {
        IAssociationEventListener listener = await _listener.Task.WaitAsync(ct).ConfigureAwait(false);

        // Akka's own handshake tells the real address, which must be of the caller's certificate; until then any will do.
        var ip = caller.Remote as IPEndPoint;
        var from = new Address(EngineConfig.Scheme, System.Name, ip?.Address.ToString().Replace(':', '-') ?? "unknown", ip?.Port ?? 0);
        StreamAssociation association = Open(stream, from, caller.MayBe);
        CancellationTokenRegistration abort = ct.UnsafeRegister(static a => ((StreamAssociation)a!).Abort(), association);
        await using (abort.ConfigureAwait(false))
        {
            listener.Notify(new InboundAssociation(association));
            await association.Ended.ConfigureAwait(false);
        }
    }

    public override async Task<bool> Shutdown()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        _setup.Port.Close();
        _listener.TrySetCanceled();
        StreamAssociation[] open = [.. _open.Keys];
        foreach (StreamAssociation association in open)
        {
            association.Abort();
        }

        await Task.WhenAll(open.Select(association => association.Ended)).ConfigureAwait(false);
        return true;
    }

    internal void Forget(StreamAssociation association) => _open.TryRemove(association, out _);

    private StreamAssociation Open(Stream stream, Address remote, Predicate<string>? mayBe)
    {
        var association = new StreamAssociation(this, _local, remote, stream, mayBe, _setup.Logger);
        _open.TryAdd(association, 0);
        association.Start();
        if (_closing.IsCancellationRequested)
        {
            association.Abort();
        }

        return association;
    }
}
