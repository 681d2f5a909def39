using System.Collections.Concurrent;

namespace GlooX.Grid.Tests;

public sealed class ProberTests
{
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(20);
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_patient_probe_goes_on_and_its_answer_is_for_whoever_asks_next()
    {
        var transport = new Held();
        await using Prober prober = Make(transport, s_short);
        for (int i = 0; i < 3; i++)
        {
            ProbeResult silent = await prober.ProbeForDiscoveryAsync("b:1", Ct);
            Assert.Equal((ProbeOutcome.Silent, "no answer"), (silent.Outcome, silent.Why));
        }

        Assert.Single(transport.Probes);
        transport.Probes.Single().Answer.SetResult(Replies.Reply("b#1", GridState.Up));
        Assert.Equal(ProbeOutcome.Alive, (await prober.ProbeForDiscoveryAsync("b:1", Ct)).Outcome);
        Assert.Single(transport.Probes);
        await prober.ProbeForDiscoveryAsync("b:1", Ct);
        Assert.Equal(2, transport.Probes.Count);
    }

    [Fact]
    public async Task A_probe_that_fails_late_is_told_to_whoever_asks_next_and_then_made_anew()
    {
        var transport = new Held();
        await using Prober prober = Make(transport, s_short);
        await prober.ProbeForDiscoveryAsync("b:1", Ct);
        transport.Probes.Single().Answer.SetException(new IOException("cut"));
        Assert.Equal("cut", (await prober.ProbeForDiscoveryAsync("b:1", Ct)).Why);
        Assert.Equal("no answer", (await prober.ProbeForDiscoveryAsync("b:1", Ct)).Why);
        Assert.Equal(2, transport.Probes.Count);
    }

    [Fact]
    public async Task What_is_to_prove_something_is_asked_anew_each_time_and_ends_in_its_time()
    {
        var transport = new Held();
        await using Prober prober = Make(transport, TimeSpan.FromSeconds(1));
        await prober.ProbeForDiscoveryAsync("b:1", Ct); // lasts ten times as long as those that prove something
        Assert.Equal(ProbeOutcome.Silent, (await prober.ProbeAsync("b:1", "1", Ct)).Outcome);
        Assert.Equal(ProbeOutcome.Silent, (await prober.ProbeAsync("b:1", null, Ct)).Outcome);
        Assert.Equal([false, true, true], transport.Probes.Select(p => p.Ct.IsCancellationRequested));
    }

    [Fact]
    public async Task Probes_that_nobody_waits_for_end_with_the_prober()
    {
        var transport = new Held();
        Prober prober = Make(transport, s_short);
        await prober.ProbeForDiscoveryAsync("b:1", Ct);
        await prober.DisposeAsync();
        Assert.True(transport.Probes.Single().Ct.IsCancellationRequested);
    }

    private static Prober Make(IGridTransport transport, TimeSpan timeout) => new(
        transport, new LocalNode(new GridOptions { Port = 1, AdvertisedAddress = "a:1" }), new KnownPeers(timeout, TimeSpan.FromHours(1), TimeProvider.System), timeout, TimeProvider.System);

    /// <summary>Answers when it may.</summary>
    private sealed class Held : IGridTransport
    {
        public ConcurrentQueue<(TaskCompletionSource<ProbeReply> Answer, CancellationToken Ct)> Probes { get; } = new();

        public Task<Stream> DialAsync(string address, CancellationToken ct) => throw new NotSupportedException();

        public Task<ProbeReply> ProbeAsync(string address, ProbeRequest request, CancellationToken ct)
        {
            var answer = new TaskCompletionSource<ProbeReply>(TaskCreationOptions.RunContinuationsAsynchronously);
            Probes.Enqueue((answer, ct));
            return answer.Task.WaitAsync(ct);
        }
    }
}
