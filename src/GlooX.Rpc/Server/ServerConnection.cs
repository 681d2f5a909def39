using GlooX.Interception;
using GlooX.Tls;
using GlooX.Wire;

namespace GlooX.Server;

/// <summary>
/// The end that listened. Requests beyond the limit are refused one by one; a caller that reads slower than it calls is read no further
/// until it has caught up.
/// </summary>
internal sealed class ServerConnection(RpcServer server, TlsConnection connection, RpcServerOptions options)
    : RpcConnection(connection, options.MaxFrameBytes, options.MaxBufferedBytes, options.MaxInFlight, new Pipeline(options.Interceptors))
{
    private Caller _caller = new(connection.Peer, Hello.NoTokens);
    private bool _greeted;

    public bool IsIdle => InFlight == 0;

    protected override long MaxServedBytes => options.MaxInFlightBytes;

    public override string? ServedAt => server.ListensAt;

    protected override bool SendsStacks => options.SendStackTraces;

    /// <summary>Tells the caller to make no more calls here; those in flight go on.</summary>
    public void AnnounceShutdown()
    {
        RefuseCalls();
        FrameBuffer goAway = FrameBuffer.Begin(FrameType.GoAway, 0);
        Bodies.WriteGoAway(goAway, RpcError.ShuttingDown, "the process is shutting down");
        Send(goAway);
    }

    /// <summary>A caller that got through TLS has greeted by now, or goes.</summary>
    public void CloseUnlessGreeted()
    {
        if (!Volatile.Read(ref _greeted))
        {
            Close(new RpcException(RpcError.Timeout, $"{Remote} said nothing within {options.HandshakeTimeout.TotalSeconds:0.#} s") { Url = Remote });
        }
    }

    protected override Definition Resolve(string name) => server.Resolve(name, _caller);

    protected override void OnFrame(FrameType type, uint id, ReadOnlyMemory<byte> body)
    {
        if (_greeted)
        {
            base.OnFrame(type, id, body);
        }
        else
        {
            Greet(type, body);
        }
    }

    protected override void OnControl(FrameType type, ReadOnlyMemory<byte> body)
    {
        if (type != FrameType.GoAway)
        {
            throw new RpcException(RpcError.Protocol, $"unexpected frame of type {(byte)type}");
        }
    }

    private void Greet(FrameType type, ReadOnlyMemory<byte> body)
    {
        if (type != FrameType.Hello)
        {
            throw new RpcException(RpcError.Protocol, "the first frame must be Hello");
        }

        Hello hello = Bodies.ReadHello(body);
        if (hello.MinVersion > Hello.Version || hello.MaxVersion < Hello.Version)
        {
            throw new RpcException(RpcError.Protocol, $"{Bounded(hello.Software, 100)} speaks the protocol versions {hello.MinVersion} to {hello.MaxVersion}, this side speaks {Hello.Version}: update the older one");
        }

        PeerMaxFrame = hello.MaxFrame;
        MaxMade = hello.MaxInFlight;
        PeerWindow = hello.Window;
        _caller = _caller with { Tokens = hello.Tokens };
        FrameBuffer ack = FrameBuffer.Begin(FrameType.HelloAck, 0);
        Bodies.WriteHello(ack, new Hello(Hello.Version, Hello.Version, options.MaxFrameBytes, options.MaxInFlight, RpcServer.Software, Streams.IncomingStream.Window));
        Send(ack);
        Volatile.Write(ref _greeted, true);
    }
}
