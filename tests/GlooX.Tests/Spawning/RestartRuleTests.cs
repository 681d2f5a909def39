using CsCheck;
using GlooX.Processes;

namespace GlooX.Tests.Spawning;

/// <summary>Whether a process that has ended is started again, and after which pause.</summary>
public sealed class RestartRuleTests
{
    private static readonly ExitStatus s_well = new(0, 0);
    private static readonly ExitStatus s_badly = new(3, 0);
    private static readonly ExitStatus s_killed = new(0, 9);
    private static readonly RestartPolicy s_steady = RestartPolicy.OnFailure with { Jitter = 0 };

    private static Gen<RestartPolicy> Policies { get; } =
        Gen.Select(Gen.Int[1, 5_000], Gen.Int[0, 60_000], Gen.Double[0, 1], Gen.Int[-1, 12], Gen.Int[1, 600_000], Gen.Bool, static (first, more, jitter, most, window, always) => new RestartPolicy
        {
            Mode = always ? RestartMode.Always : RestartMode.OnFailure,
            FirstPause = TimeSpan.FromMilliseconds(first),
            LongestPause = TimeSpan.FromMilliseconds(first + more),
            Jitter = jitter,
            MaxRestarts = most < 0 ? null : most,
            Window = TimeSpan.FromMilliseconds(window),
        });

    // How long it runs each time, how it ends, and the chance of the jitter.
    private static Gen<(int Runs, bool Fails, double Chance)[]> Lives { get; } = Gen.Select(Gen.Int[0, 120_000], Gen.Bool, Gen.Double[0, 1]).Array[0, 60];

    public static TheoryData<RestartMode, int, int, bool> Ends { get; } = new()
    {
        { RestartMode.Never, 0, 0, false }, { RestartMode.Never, 3, 0, false }, { RestartMode.Never, 0, 9, false },
        { RestartMode.OnFailure, 0, 0, false }, { RestartMode.OnFailure, 3, 0, true }, { RestartMode.OnFailure, 0, 9, true }, { RestartMode.OnFailure, -1, 0, true },
        { RestartMode.Always, 0, 0, true }, { RestartMode.Always, 3, 0, true }, { RestartMode.Always, 0, 15, true }, { RestartMode.Always, -1, 0, true },
    };

    [Theory]
    [MemberData(nameof(Ends))]
    public void The_mode_says_which_ends_are_followed_by_a_start(RestartMode mode, int code, int signal, bool again) =>
        Assert.Equal(again ? RestartVerdict.Again : RestartVerdict.Done, new RestartRule(new RestartPolicy { Mode = mode }).Exited(At(5), new ExitStatus(code, signal), 0).Verdict);

    [Fact]
    public void Pauses_double_up_to_the_longest_and_too_many_restarts_within_the_window_are_given_up()
    {
        var rule = new RestartRule(s_steady with { LongestPause = TimeSpan.FromSeconds(5), MaxRestarts = 5 });
        List<RestartDecision> decisions = [];
        for (int i = 0; i < 6; i++)
        {
            decisions.Add(rule.Exited(At(i), s_badly, 0));
            rule.Restarted(At(i));
        }

        Assert.Equal([1, 2, 4, 5, 5, 0], decisions.Select(static d => d.Pause.TotalSeconds));
        Assert.Equal([.. Enumerable.Repeat(RestartVerdict.Again, 5), RestartVerdict.GiveUp], decisions.Select(static d => d.Verdict));
    }

    [Fact]
    public void What_ran_for_a_window_begins_anew()
    {
        var rule = new RestartRule(s_steady with { MaxRestarts = 2, Window = TimeSpan.FromSeconds(10) });
        rule.Restarted(At(0));
        rule.Restarted(At(5));
        Assert.Equal(RestartVerdict.GiveUp, rule.Exited(At(9), s_killed, 0).Verdict);
        Assert.Equal(new RestartDecision(RestartVerdict.Again, TimeSpan.FromSeconds(2)), rule.Exited(At(10), s_killed, 0));
        Assert.Equal(new RestartDecision(RestartVerdict.Again, TimeSpan.FromSeconds(1)), rule.Exited(At(15), s_killed, 0));
    }

    [Fact]
    public void None_at_most_is_given_up_at_once_and_no_limit_never()
    {
        Assert.Equal(RestartVerdict.GiveUp, new RestartRule(s_steady with { MaxRestarts = 0 }).Exited(At(1), s_badly, 0).Verdict);
        var rule = new RestartRule(s_steady with { MaxRestarts = null });
        for (int i = 0; i < 5_000; i++)
        {
            rule.Restarted(At(i / 100.0));
        }

        Assert.Equal(new RestartDecision(RestartVerdict.Again, TimeSpan.FromMinutes(1)), rule.Exited(At(50), s_badly, 0));
        Assert.InRange(rule.Restarts.Count, 1, 100);
    }

    [Fact]
    public void A_pause_stays_between_what_the_policy_says() =>
        Gen.Select(Policies, Lives).Sample(static (policy, life) => Live(policy, life).All(step =>
            step.Decision.Verdict != RestartVerdict.Again
            || (step.Decision.Pause <= policy.LongestPause && step.Decision.Pause >= (policy.FirstPause * (1 - policy.Jitter)) - TimeSpan.FromTicks(10))));

    [Fact]
    public void There_are_never_more_restarts_within_a_window_than_the_most() =>
        Gen.Select(Policies, Lives).Sample(static (policy, life) =>
        {
            TimeSpan[] restarts = [.. Live(policy, life).Where(static s => s.Decision.Verdict == RestartVerdict.Again).Select(static s => s.At + s.Decision.Pause)];
            return policy.MaxRestarts is not { } most || restarts.All(r => restarts.Count(other => other <= r && r - other < policy.Window) <= most);
        });

    [Fact]
    public void It_is_given_up_only_when_the_window_is_full_and_over_only_when_the_mode_says_so() =>
        Gen.Select(Policies, Lives).Sample(static (policy, life) =>
        {
            List<(TimeSpan At, bool Failed, RestartDecision Decision)> steps = [.. Live(policy, life)];
            TimeSpan[] restarts = [.. steps.Where(static s => s.Decision.Verdict == RestartVerdict.Again).Select(static s => s.At + s.Decision.Pause)];
            return steps.All(step => step.Decision.Verdict switch
            {
                RestartVerdict.GiveUp => restarts.Count(r => step.At - r < policy.Window) >= policy.MaxRestarts,
                RestartVerdict.Done => policy.Mode == RestartMode.OnFailure && !step.Failed,
                _ => policy.Mode == RestartMode.Always || step.Failed,
            });
        });

    [Fact]
    public void One_that_goes_on_from_what_another_counted_decides_as_that_one_would() =>
        Gen.Select(Policies, Lives).Sample(static (policy, life) =>
        {
            var rule = new RestartRule(policy);
            TimeSpan now = TimeSpan.Zero;
            foreach ((int runs, bool fails, double chance) in life)
            {
                now += TimeSpan.FromMilliseconds(runs);
                RestartDecision decision = new RestartRule(policy, rule.Restarts).Exited(now, fails ? s_badly : s_well, chance);
                if (decision != rule.Exited(now, fails ? s_badly : s_well, chance))
                {
                    return false;
                }

                rule.Restarted(now += decision.Pause);
            }

            return true;
        });

    public static TheoryData<RestartPolicy, string> Faults { get; } = new()
    {
        { new() { Mode = (RestartMode)7 }, "no restart mode 7" },
        { new() { FirstPause = TimeSpan.Zero }, "1 ms at least" },
        { new() { LongestPause = TimeSpan.FromMilliseconds(1) }, "at least the first" },
        { new() { LongestPause = TimeSpan.FromDays(2) }, "at most a day" },
        { new() { Jitter = 1.1 }, "0 to 1" },
        { new() { Jitter = double.NaN }, "0 to 1" },
        { new() { MaxRestarts = -1 }, "0 to 1000" },
        { new() { Window = TimeSpan.Zero }, "more than 0" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_policy_that_cannot_be_followed_says_why(RestartPolicy policy, string says) => Assert.Contains(says, policy.Fault(), StringComparison.Ordinal);

    [Fact]
    public void The_policies_that_are_there_can_be_followed() => Assert.All((RestartPolicy[])[RestartPolicy.Never, RestartPolicy.OnFailure, RestartPolicy.Always], static p => Assert.Null(p.Fault()));

    private static IEnumerable<(TimeSpan At, bool Failed, RestartDecision Decision)> Live(RestartPolicy policy, (int Runs, bool Fails, double Chance)[] life)
    {
        var rule = new RestartRule(policy);
        TimeSpan now = TimeSpan.Zero;
        foreach ((int runs, bool fails, double chance) in life)
        {
            now += TimeSpan.FromMilliseconds(runs);
            RestartDecision decision = rule.Exited(now, fails ? s_badly : s_well, chance);
            yield return (now, fails, decision);
            if (decision.Verdict != RestartVerdict.Again)
            {
                yield break;
            }

            rule.Restarted(now += decision.Pause);
        }
    }

    private static TimeSpan At(double seconds) => TimeSpan.FromSeconds(seconds);
}
