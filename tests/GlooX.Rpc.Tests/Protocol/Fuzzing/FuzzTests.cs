namespace GlooX.Rpc.Tests.Protocol.Fuzzing;

/// <summary>Connections whose other side says nonsense, seeded; <c>tests/fuzz.sh</c> runs many more of them.</summary>
public sealed class FuzzTests
{
    private const int Seed = 20261124;
    private const int Quick = 100_000;

    [Fact]
    public void The_frames_that_mutation_begins_with_are_all_understood()
    {
        byte[][] toServer = [.. Corpus.Greeting.Concat(Corpus.ToServer.Skip(2)).Append(Corpus.LastCall).Select(p => p.ToBytes())];
        Assert.Equal(toServer.Length, FuzzTarget.ServerReads(toServer, endsWithLastCall: true));
    }

    [Fact]
    public void What_once_did_harm_does_none()
    {
        string[] findings = [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Protocol", "Fuzzing", "Findings.txt")).Where(l => !l.StartsWith('#'))];
        Assert.NotEmpty(findings);
        Array.ForEach(findings, Fuzzer.Replay);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task Spoiled_frames_crash_nothing_hang_nothing_and_fill_no_memory()
    {
        using var fuzzer = new Fuzzer(Seed, _ => { });
        await fuzzer.RunAsync(Quick);
    }

    [Fact(Explicit = true)]
    public async Task Many_spoiled_frames()
    {
        using var fuzzer = new Fuzzer(Setting("GLOOX_FUZZ_SEED", Seed), Console.WriteLine);
        await fuzzer.RunAsync(Setting("GLOOX_FUZZ_COUNT", 10_000_000));
    }

    private static int Setting(string name, int otherwise) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : otherwise;
}
