using System.Collections.Concurrent;

namespace GlooX.Tests;

/// <summary>What processes write, as their agent hands it on: never in the way of anything.</summary>
public sealed class OutputTests
{
    private const string Megabyte = "i=0; while [ $i -lt 10000 ]; do printf '%0100d\\n' $i; i=$((i + 1)); done";
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(2);

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_line_comes_with_the_name_of_its_process()
    {
        ConcurrentQueue<string> lines = [];
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, Output = lines.Enqueue });
        Assert.Equal(new ExitStatus(0, 0), await grid.Client.RunAsync("sh", "-c", "echo one; echo two >&2"));
        await Eventually.HoldsAsync(() => lines.Count == 2, "both lines have come", () => string.Join('\n', lines));
        Assert.Equal(["sh | one", "sh | two"], lines.Order());
    }

    [Fact]
    public async Task A_callback_that_never_returns_stops_neither_runs_nor_kills_nor_the_end_of_the_agent()
    {
        using var never = new ManualResetEventSlim();
        int calls = 0;
        try
        {
            await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions
            {
                WarmHosts = 0,
                Output = _ =>
                {
                    calls++;
                    never.Wait();
                },
            });
            Assert.Equal(new ExitStatus(0, 0), await grid.Client.RunAsync("sh", "-c", Megabyte).WaitAsync(s_deadline, Ct));
            await using (SpawnedProcess child = await grid.SpawnAsync("Good").WaitAsync(s_deadline, Ct))
            {
                Assert.Equal(new ExitStatus(0, 9), await child.KillAsync(Ct).WaitAsync(s_deadline, Ct));
            }

            await grid.NothingIsLeftAsync();
            await grid.Agents[0].DisposeAsync().AsTask().WaitAsync(s_deadline, Ct);
            Assert.Equal(1, calls);
        }
        finally
        {
            never.Set();
        }
    }

    [Fact]
    public async Task A_callback_that_throws_is_logged_and_called_again()
    {
        using var logs = new LogKeeper();
        ConcurrentQueue<string> lines = [];
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions
        {
            WarmHosts = 0,
            LoggerFactory = logs,
            Output = line =>
            {
                if (line.EndsWith("one", StringComparison.Ordinal))
                {
                    throw new NotSupportedException("not this one");
                }

                lines.Enqueue(line);
            },
        });
        await grid.Client.RunAsync("sh", "-c", "echo one; echo two");
        await Eventually.HoldsAsync(() => lines.Count == 1, "the line after it has come");
        Assert.Contains(logs.Errors, static e => e.Contains("not this one", StringComparison.Ordinal));
    }
}
