namespace GlooX.Rpc.Tests;

/// <summary>A clock that stands until it is told to go on.</summary>
internal sealed class FakeTime : TimeProvider
{
    private TimeSpan _passed;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow() => s_start + _passed;

    public override long GetTimestamp() => _passed.Ticks;

    public void Pass(TimeSpan time) => _passed += time;

    // The real time, for TLS looks at that.
    private static readonly DateTimeOffset s_start = DateTimeOffset.UtcNow;
}
