using System.Net.Sockets;

namespace GlooX.Grid.Tests;

public sealed class KnownPeersTests
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1.5);
    private static readonly HashSet<string> NonePresent = [];

    private readonly ManualTime _time = new();
    private readonly KnownPeers _peers;

    public KnownPeersTests() => _peers = new KnownPeers(Interval, TimeSpan.FromHours(1), _time);

    [Fact]
    public void Missing_peers_are_due_and_present_ones_are_not()
    {
        _peers.Configure("a:1");
        _peers.Learn("b:1");
        _peers.Learn("c:1");
        Assert.Equal(["a:1", "c:1"], _peers.Due(new HashSet<string> { "b:1" }, 5).Order());
        Assert.Equal(2, _peers.Due(NonePresent, 2).Count);
    }

    [Fact]
    public void Who_does_not_answer_is_asked_less_often_until_somebody_speaks_of_it()
    {
        _peers.Learn("b:1");
        for (int i = 0; i < 5; i++)
        {
            _peers.Record("b:1", Silent, isSelf: false);
        }

        Assert.Empty(_peers.Due(NonePresent, 5));
        _time.Pass(TimeSpan.FromSeconds(5.9));
        Assert.Empty(_peers.Due(NonePresent, 5));
        _time.Pass(TimeSpan.FromSeconds(0.2));
        Assert.Equal(["b:1"], _peers.Due(NonePresent, 5));

        _peers.Record("b:1", Silent, isSelf: false);
        _peers.Learn("b:1");
        Assert.Equal(["b:1"], _peers.Due(NonePresent, 5));
    }

    [Fact]
    public void An_answer_to_somebody_elses_question_puts_no_look_off()
    {
        _peers.Learn("b:1");
        _peers.Record("b:1", Answer("b"), isSelf: false, isDiscovery: false);
        Assert.Equal(["b:1"], _peers.Due(NonePresent, 5));

        _peers.Record("b:1", Answer("b"), isSelf: false);
        Assert.Empty(_peers.Due(NonePresent, 5));

        _time.Pass(TimeSpan.FromSeconds(1));
        _peers.Record("b:1", Silent, isSelf: false, isDiscovery: false);
        Assert.Empty(_peers.Due(NonePresent, 5));
    }

    [Theory]
    [InlineData(0, false, 0, 0.75)]
    [InlineData(1, false, 0, 1.5)]
    [InlineData(2, false, 0, 3)]
    [InlineData(3, false, 0, 6)]
    [InlineData(1000, false, 0, 6)]
    [InlineData(1000, true, 0, 3)]
    [InlineData(10, false, 24, 6)]
    [InlineData(10, false, 40, 10)]
    [InlineData(1000, false, 40_000, 60)]
    [InlineData(1000, true, 40_000, 3)]
    public void The_pause_doubles_up_to_a_limit(int failures, bool configured, double refusedFor, double seconds) =>
        Assert.Equal(TimeSpan.FromSeconds(seconds), KnownPeers.Backoff(failures, Interval, configured, TimeSpan.FromSeconds(refusedFor)));

    [Fact]
    public void A_peer_whose_process_has_long_been_gone_is_asked_once_a_minute_until_somebody_speaks_of_it()
    {
        _peers.Learn("b:1");
        _time.Pass(TimeSpan.FromMinutes(10)); // it was a member, whom nobody asks
        Assert.InRange(Asked(Refused, TimeSpan.FromMinutes(10)), 12, 30);
        Assert.Equal(10, Asked(Refused, TimeSpan.FromMinutes(10)));
        Assert.InRange(Asked(Silent, TimeSpan.FromMinutes(10)), 90, 102); // cut off, as far as anybody knows
        Assert.InRange(Asked(Refused, TimeSpan.FromSeconds(12)), 2, 3);

        _time.Pass(TimeSpan.FromMinutes(5));
        _peers.Record("b:1", Refused, isSelf: false);
        Assert.Empty(_peers.Due(NonePresent, 5));
        _peers.Learn("b:1");
        Assert.InRange(Asked(Refused, TimeSpan.FromSeconds(24)), 4, 6);

        // It came back and was here for long; then it is gone once more.
        Assert.Empty(_peers.Due(new HashSet<string> { "b:1" }, 5));
        _time.Pass(TimeSpan.FromHours(2));
        Assert.Empty(_peers.Due(new HashSet<string> { "b:1" }, 5));
        Assert.InRange(Asked(Refused, TimeSpan.FromSeconds(24)), 4, 6);

        int Asked(ProbeResult result, TimeSpan during)
        {
            int times = 0;
            for (TimeSpan passed = TimeSpan.Zero; passed < during; passed += Interval)
            {
                if (_peers.Due(NonePresent, 5).Count > 0)
                {
                    _peers.Record("b:1", result, isSelf: false);
                    times++;
                }

                _time.Pass(Interval);
            }

            return times;
        }
    }

    [Fact]
    public void Learned_peers_are_forgotten_and_configured_ones_are_not()
    {
        _peers.Configure("a:1");
        _peers.Learn("b:1");
        _peers.Learn("c:1");
        _time.Pass(TimeSpan.FromMinutes(50));
        _peers.Record("c:1", Answer("c"), isSelf: false);
        _time.Pass(TimeSpan.FromMinutes(50));

        Assert.Equal(["a:1", "c:1"], _peers.Due(NonePresent, 5).Order());
        Assert.Equal(["a:1", "c:1"], _peers.Known);
    }

    [Fact]
    public void A_peer_known_by_another_name_is_present_by_its_own()
    {
        _peers.Configure("localhost:1");
        _peers.Record("localhost:1", Answer("a"), isSelf: false);
        _time.Pass(Interval);

        Assert.Empty(_peers.Due(new HashSet<string> { "a:1" }, 5));
        Assert.Equal(["localhost:1"], _peers.Due(NonePresent, 5));
    }

    [Fact]
    public void This_agent_itself_is_no_peer()
    {
        _peers.Configure("localhost:1");
        _peers.Record("localhost:1", Answer("a"), isSelf: true);

        Assert.True(_peers.IsEmpty);
        Assert.Equal("localhost:1: this agent itself", Assert.Single(_peers.Configured).ToString());
    }

    [Fact]
    public void The_state_of_configured_peers_is_told()
    {
        _peers.Configure("a:1");
        _peers.Learn("b:1");
        Assert.Equal("a:1: not probed yet", Assert.Single(_peers.Configured).ToString());
        _peers.Record("a:1", Silent, isSelf: false);
        Assert.Equal("a:1: no answer", Assert.Single(_peers.Configured).ToString());
        _peers.Record("a:1", Answer("a"), isSelf: false);
        Assert.Equal(new PeerState("a:1", Answered: true, "Up"), Assert.Single(_peers.Configured));
    }

    [Fact]
    public void Memory_is_bounded()
    {
        _peers.Configure("a:1");
        for (int i = 0; i < 1500; i++)
        {
            _peers.Learn($"10.0.0.1:{i + 1}");
        }

        Assert.Equal(1000, _peers.Known.Count);
        Assert.Contains("a:1", _peers.Known);
    }

    [Fact]
    public void Refused_is_recognized_wherever_it_is()
    {
        var refused = new SocketException((int)SocketError.ConnectionRefused);
        Assert.True(Prober.IsRefused(refused));
        Assert.True(Prober.IsRefused(new IOException("x", new InvalidOperationException("y", refused))));
        Assert.False(Prober.IsRefused(new SocketException((int)SocketError.TimedOut)));
        Assert.False(Prober.IsRefused(new IOException("x")));
    }

    private static ProbeResult Silent => new(ProbeOutcome.Silent, "no answer", null);

    private static ProbeResult Refused => new(ProbeOutcome.Dead, ProbeResult.Refused, null);

    private static ProbeResult Answer(string node) => new(ProbeOutcome.Alive, "Up", Replies.Reply(node, GridState.Up));
}
