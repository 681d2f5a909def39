using GlooX.Interceptors;
using GlooX.Protocol;
using GlooX.Streams;
using GlooX.Tls;
using Microsoft.Extensions.Logging;

namespace GlooX.Server;

/// <summary>
/// The end that listened. Requests beyond the limit are refused one by one; a caller that reads slower than it calls is read no further
/// until it has caught up.
/// </summary>
internal sealed class ServerConnection(RpcServer server, TlsConnection connection, RpcServerOptions options)
    : RpcConnection(connection, options.MaxFrameBytes, options.MaxBufferedBytes, options.MaxInFlight, options.MaxInFlightBytes, new Pipeline(options.Interceptors))
{
    private readonly long _opened = Environment.TickCount64;
    private Caller _caller = new(connection.Peer, Hello.NoTokens);
    private bool _greeted;
    private int _requests;
    private int _requestsSeen;
    private long _idleSince = Environment.TickCount64;
    private bool _isTold;

    public bool IsResting => InFlight == 0;

    protected override FrameMemory FrameMemory => server.FrameMemory;

    protected override ILogger Logger => server.Logger;

    protected override LogThrottle OneWayFailures => server.OneWayFailures;

    protected override HandlerThreads Threads => server.HandlerThreads;

    public override string? ServedAt => server.ListensAt;

    protected override bool SendsStacks => options.SendStackTraces;

    // Lest answers pile up. Not to read would not be enough: one read brings thousands of small requests.
    protected override bool HoldsWork => IsCongested && !IsClosed;

    /// <summary>From now on the clock is looked at.</summary>
    public void Begin()
    {
        StartDeadlineTimer();
        DeadlineTimer.Shared.Expect(_opened + server.Pace);
    }

    /// <summary>Looks at the clock: for deadlines, a greeting that does not come, a caller that is gone, a connection that nobody uses.</summary>
    public override long CheckDeadlines(long now)
    {
        Watch(now);
        return Math.Min(base.CheckDeadlines(now), now + server.Pace);
    }

    private void Watch(long now)
    {
        if (!Volatile.Read(ref _greeted))
        {
            if (!_isTold && options.HandshakeTimeout > TimeSpan.Zero && now - _opened >= options.HandshakeTimeout.TotalMilliseconds)
            {
                _isTold = true;
                _ = SayGoAwayAsync(new RpcException(RpcError.Timeout, $"no greeting within {options.HandshakeTimeout.TotalSeconds:0.###} s") { Url = Remote }); // ends within its own limit
            }

            return;
        }

        Trim(now);
        CheckPeer(now, options.KeepAliveInterval);
        int requests = Volatile.Read(ref _requests);
        if (!IsResting || requests != _requestsSeen)
        {
            (_requestsSeen, _idleSince) = (requests, now);
        }
        else if (options.IdleTimeout > TimeSpan.Zero && now - _idleSince >= options.IdleTimeout.TotalMilliseconds && !_isTold)
        {
            _isTold = true; // a call that is on the way is served all the same
            AnnounceShutdown("the connection was not used");
        }
    }

    /// <summary>
    /// Tells the caller to make no more calls here. Those in flight go on, and those on the way are served: the caller closes the connection
    /// when its last call has ended.
    /// </summary>
    public void AnnounceShutdown(string why)
    {
        FrameBuffer goAway = FrameBuffer.Begin(FrameType.GoAway, 0);
        FrameBodies.WriteGoAway(goAway, RpcError.ShuttingDown, why);
        Send(goAway);
    }

    protected override Definition Resolve(string name)
    {
        try
        {
            return server.Resolve(name, _caller);
        }
        catch (RpcException e) when (e.Code == RpcError.Forbidden)
        {
            server.Audit.Refused(_caller.Peer, Remote, name, e.Message);
            throw;
        }
    }

    protected override void OnFrame(FrameType type, uint id, ReadOnlyMemory<byte> body)
    {
        if (_greeted)
        {
            _requests += type == FrameType.Request ? 1 : 0;
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

        Hello hello = FrameBodies.ReadHello(body);
        if (hello.MinVersion > Hello.Version || hello.MaxVersion < Hello.Version)
        {
            throw new RpcException(RpcError.Protocol, $"{ForeignText.Of(hello.Software)} speaks the protocol versions {hello.MinVersion} to {hello.MaxVersion}, this side speaks {Hello.Version}: update the older one");
        }

        PeerMaxFrame = hello.MaxFrame;
        MaxMade = hello.MaxInFlight;
        PeerWindow = hello.Window;
        _caller = _caller with { Tokens = hello.Tokens };
        FrameBuffer ack = FrameBuffer.Begin(FrameType.HelloAck, 0);
        FrameBodies.WriteHello(ack, new Hello(Hello.Version, Hello.Version, options.MaxFrameBytes, options.MaxInFlight, RpcServer.Software, Streams.IncomingStream.Window));
        Send(ack);
        Volatile.Write(ref _greeted, true);
    }
}
