namespace GlooX.Bench.Payload;

/// <summary>The smallest process that answers.</summary>
public sealed class EchoChild : Agent
{
    [Rpc("echo")]
    public ValueTask<string> EchoAsync(string s) => new(s);
}
