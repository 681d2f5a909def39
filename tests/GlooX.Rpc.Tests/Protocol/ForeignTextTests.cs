using GlooX.Protocol;
using Microsoft.Extensions.Logging;

namespace GlooX.Rpc.Tests.Protocol;

public sealed class ForeignTextTests
{
    [Theory]
    [InlineData("plain, Ünïcode 漢字", "plain, Ünïcode 漢字")]
    [InlineData("a\nWarning: b", "a\\u000aWarning: b")]
    [InlineData("\u001b[2J\u0007\u009b\u007f", "\\u001b[2J\\u0007\\u009b\\u007f")]
    [InlineData("\u202eabc\u2028", "\\u202eabc\\u2028")]
    public void Nothing_in_it_ends_a_line_or_commands_a_terminal(string text, string shown) => Assert.Equal(shown, ForeignText.Of(text));

    [Fact]
    public void It_is_cut()
    {
        Assert.Equal(new string('x', 200) + "…", ForeignText.Of(new string('x', 201)));
        Assert.Equal("12…", ForeignText.Lines("123", 2));
    }

    [Fact]
    public void The_message_of_an_error_keeps_its_lines() => Assert.Equal("a\n\tb\\u001b", ForeignText.Lines("a\n\tb\u001b", 100));

    [Fact]
    public void Lines_beyond_a_few_in_a_period_are_counted_and_reported()
    {
        var clock = new ManualClock();
        var log = new LogKeeper();
        var throttle = new LogThrottle(log, LogLevel.Warning, "strangers", clock);
        Assert.Equal(LogThrottle.Burst, Enumerable.Range(0, 17).Count(_ => throttle.MayWrite()));
        clock.Advance(LogThrottle.Period);
        Assert.Equal((LogLevel.Warning, "… and 7 more strangers within 10 s"), Assert.Single(log.Lines));
        Assert.True(throttle.MayWrite());
        clock.Advance(LogThrottle.Period);
        Assert.Single(log.Lines);
    }
}
