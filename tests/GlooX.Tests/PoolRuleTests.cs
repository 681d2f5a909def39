using GlooX.Hosts;

namespace GlooX.Tests;

/// <summary>How many hosts are kept warm.</summary>
public sealed class PoolRuleTests
{
    private const long Plenty = 1_000_000_000_000;

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 3)]
    [InlineData(9, 4)] // no more than the most
    public void As_many_are_kept_as_were_spawned_while_one_becomes_warm(int burst, int kept)
    {
        var rule = new PoolRule(1, 4);
        Assert.Equal((1, 0), rule.Wanted(At(0), Plenty, 0));
        Spawn(rule, burst, at: 10, every: 0.1);
        Assert.Equal((kept, 0), rule.Wanted(At(11), Plenty, 0));
    }

    [Fact]
    public void Spawns_that_come_one_after_the_other_need_one()
    {
        var rule = new PoolRule(1, 4);
        Spawn(rule, 20, at: 0, every: 3);
        Assert.Equal((1, 0), rule.Wanted(At(60), Plenty, 0));
    }

    [Fact]
    public void The_longer_one_takes_to_become_warm_the_more_are_kept()
    {
        var rule = new PoolRule(1, 8);
        for (int i = 0; i < 40; i++)
        {
            rule.Warmed(TimeSpan.FromSeconds(10));
        }

        Assert.Equal(10, rule.Lead.TotalSeconds, 0.01);
        Spawn(rule, 20, at: 0, every: 3);
        Assert.Equal((4, 0), rule.Wanted(At(58), Plenty, 0));
        rule.Warmed(TimeSpan.FromHours(1));
        Assert.Equal(30, rule.Lead.TotalSeconds);
        for (int i = 0; i < 40; i++)
        {
            rule.Warmed(TimeSpan.Zero);
        }

        Assert.Equal(1, rule.Lead.TotalSeconds);
    }

    [Theory]
    [InlineData(1, 15, 4)]
    [InlineData(1, 20, 3)]
    [InlineData(1, 60, 2)]
    [InlineData(1, 85, 1)]
    [InlineData(2, 120, 2)]
    public void What_was_seen_is_forgotten_in_a_minute_or_two(int least, int secondsLater, int kept)
    {
        var rule = new PoolRule(least, 4);
        Spawn(rule, 4, at: 0, every: 0);
        Assert.Equal((kept, 0), rule.Wanted(At(secondsLater), Plenty, 0));
    }

    [Fact]
    public void A_burst_is_not_forgotten_for_a_single_spawn_after_it()
    {
        var rule = new PoolRule(1, 4);
        Spawn(rule, 4, at: 0, every: 0);
        Spawn(rule, 1, at: 10, every: 0);
        Assert.Equal((4, 0), rule.Wanted(At(11), Plenty, 0));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(-5, 1)]
    [InlineData(499_000_000, 1)]
    [InlineData(1_000_000_000, 3)]
    public void Beyond_the_least_hosts_take_a_tenth_of_the_free_memory(long free, int kept)
    {
        var rule = new PoolRule(1, 10);
        Spawn(rule, 10, at: 0, every: 0);
        Assert.Equal((kept, 0), rule.Wanted(At(0), free, 0));
        Assert.Equal((1, kept - 1), rule.Wanted(At(0), free, 10)); // prepared ones come before more of the others
    }

    [Theory]
    [InlineData(0, 4, 3, 0, 0)] // no pool
    [InlineData(1, 4, 2, 2, 2)]
    [InlineData(1, 4, 9, 1, 3)]
    [InlineData(3, 1, 2, 3, 0)] // a most below the least counts as that
    [InlineData(1, 1, 2, 1, 0)]
    public void Prepared_payloads_get_what_the_most_leaves_beside_the_least(int least, int most, int payloads, int any, int prepared)
    {
        var rule = new PoolRule(least, most);
        Spawn(rule, 2, at: 0, every: 0);
        Assert.Equal((any, prepared), rule.Wanted(At(0), Plenty, payloads));
    }

    private static TimeSpan At(double seconds) => TimeSpan.FromSeconds(seconds);

    private static void Spawn(PoolRule rule, int count, double at, double every)
    {
        for (int i = 0; i < count; i++)
        {
            rule.Spawned(At(at + (i * every)));
        }
    }
}
