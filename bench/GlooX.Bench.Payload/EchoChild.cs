namespace GlooX.Bench.Payload;

/// <summary>The smallest process that answers.</summary>
public sealed class EchoChild : Worker
{
    [Rpc("echo")]
    public ValueTask<string> EchoAsync(string s) => new(s);

    /// <summary>Ends the process, once that is answered.</summary>
    [Rpc("end")]
    public ValueTask EndAsync(int code)
    {
        _ = Task.Run(async () =>
        {
            await Task.Delay(20);
            Environment.Exit(code);
        });
        return default;
    }
}
