using GlooX.Tls;

namespace GlooX.Rpc.Tests.Tls;

public sealed class AdmissionQueueTests
{
    private static readonly AdmissionLimits s_limits = new(Waiting: 4, Active: 4, ActivePerSource: 3, FairTime: TimeSpan.FromSeconds(2));
    private readonly ManualClock _clock = new();
    private readonly AdmissionQueue _queue;

    public AdmissionQueueTests() => _queue = new AdmissionQueue(s_limits, _clock);

    [Fact]
    public void While_there_is_room_nobody_gives_way()
    {
        AdmissionQueue.Entry[] entries = [Start("a"), Start("a"), Start("a"), Start("b"), Enter("a"), Enter("b")];
        _clock.Advance(TimeSpan.FromHours(1));
        Assert.DoesNotContain(entries, static e => e.Late.IsCancellationRequested);
    }

    [Fact]
    public void Of_one_source_the_oldest_gives_way_when_it_was_served_for_the_fair_time()
    {
        AdmissionQueue.Entry first = Start("a");
        _clock.Advance(TimeSpan.FromSeconds(1));
        AdmissionQueue.Entry second = Start("a");
        Start("a");
        Task fourth = Enter("a").StartAsync(default);
        Assert.False(fourth.IsCompleted);

        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.True(fourth.IsCompletedSuccessfully);
        Assert.True(first.Late.IsCancellationRequested);
        Assert.False(second.Late.IsCancellationRequested);
        first.Dispose(); // gave its place up already: no second one comes of it
        Assert.False(Enter("a").StartAsync(default).IsCompleted);
    }

    [Fact]
    public void A_source_that_holds_more_gives_way_at_once()
    {
        AdmissionQueue.Entry first = Start("a");
        AdmissionQueue.Entry second = Start("a");
        Start("a");
        Start("b");
        AdmissionQueue.Entry other = Start("c");
        Assert.True(first.Late.IsCancellationRequested);
        Assert.False(second.Late.IsCancellationRequested);
        Assert.False(other.Late.IsCancellationRequested);
        Assert.False(Enter("a").StartAsync(default).IsCompleted);
    }

    [Fact]
    public void Who_is_done_makes_room_at_once_for_the_source_that_holds_least()
    {
        AdmissionQueue.Entry first = Start("a");
        Start("a");
        AdmissionQueue.Entry[] others = [Start("b"), Start("b")];
        Task greedy = Enter("a").StartAsync(default);
        Task third = Enter("c").StartAsync(default);
        Assert.True(third.IsCompletedSuccessfully);
        Assert.True(first.Late.IsCancellationRequested);
        Assert.False(greedy.IsCompleted);
        others[0].Dispose();
        Assert.True(greedy.IsCompletedSuccessfully);
    }

    [Fact]
    public void Where_too_many_wait_the_oldest_silent_one_of_the_source_that_has_most_gives_way()
    {
        AdmissionQueue.Entry good = Enter("a");
        AdmissionQueue.Entry[] crowd = [Enter("b"), Enter("b"), Enter("b"), Enter("b"), Enter("b")];
        Assert.Equal([true, true, false, false, false], crowd.Select(static e => e.Late.IsCancellationRequested));
        Assert.False(good.Late.IsCancellationRequested);
        Assert.True(crowd[0].StartAsync(default).IsCanceled);
    }

    [Fact]
    public void Of_one_source_those_that_wait_to_be_served_give_way_last()
    {
        _ = (Start("a"), Start("a"), Start("a"));
        AdmissionQueue.Entry spoken = Enter("a");
        Task waiting = spoken.StartAsync(default);
        AdmissionQueue.Entry[] silent = [Enter("a"), Enter("a"), Enter("a"), Enter("a")];
        Assert.Equal([true, false, false, false], silent.Select(static e => e.Late.IsCancellationRequested));
        Assert.False(waiting.IsCompleted || spoken.Late.IsCancellationRequested);
    }

    [Fact]
    public async Task Waiting_can_be_given_up()
    {
        AdmissionQueue.Entry[] served = [Start("a"), Start("a"), Start("a")];
        using var stop = new CancellationTokenSource();
        AdmissionQueue.Entry impatient = Enter("a");
        Task waiting = impatient.StartAsync(stop.Token);
        Task next = Enter("a").StartAsync(default);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        impatient.Dispose();
        served[0].Dispose();
        Assert.True(next.IsCompletedSuccessfully);
    }

    [Theory]
    [InlineData("192.0.2.7:1", "192.0.2.7:2", true)]
    [InlineData("192.0.2.7:1", "[::ffff:192.0.2.7]:2", true)]
    [InlineData("192.0.2.7:1", "192.0.2.8:1", false)]
    [InlineData("[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:1", true)]
    [InlineData("[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false)]
    [InlineData("[fe80::1]:1", "[fe80::2]:1", false)]
    public void A_source_is_an_address_or_the_network_of_one_owner(string one, string other, bool isSame) =>
        Assert.Equal(isSame, SourceAddress.Of(one) == SourceAddress.Of(other));

    private AdmissionQueue.Entry Enter(string source) => _queue.Enter(source);

    private AdmissionQueue.Entry Start(string source)
    {
        AdmissionQueue.Entry entry = Enter(source);
        Assert.True(entry.StartAsync(default).IsCompletedSuccessfully);
        return entry;
    }
}
