using System.Globalization;

namespace GlooX.Channels.Tests;

/// <summary>Whatever happens, in the end all nodes are equal, nothing is lost or comes back, and each change was told once.</summary>
public sealed class SimulationTests
{
    /// <summary>Seeds that failed once.</summary>
    public static TheoryData<int> Found => [1051, 1278, 1341, 1372, 6160, 6298, 10102, 11690, 15919];

    [Theory]
    [MemberData(nameof(Found))]
    public void What_failed_once_does_not_fail_again(int seed) => new Simulation(seed).Run();

    /// <summary>GLOOX_SIMULATIONS sets how many; GLOOX_SIMULATION_FIRST the first seed.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public void In_the_end_all_are_equal_and_nothing_is_lost()
    {
        int first = Number("GLOOX_SIMULATION_FIRST", 10_000), count = Number("GLOOX_SIMULATIONS", 200);
        long crashes = 0, cuts = 0, restarts = 0, changes = 0;
        var failures = new System.Collections.Concurrent.ConcurrentQueue<string>();
        Parallel.For(first, first + count, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, seed =>
        {
            var simulation = new Simulation(seed);
            try
            {
                simulation.Run();
            }
            catch (Exception e)
            {
                failures.Enqueue($"seed {seed}: {e.Message}\n{e.StackTrace}");
            }

            Interlocked.Add(ref crashes, simulation.Crashes);
            Interlocked.Add(ref cuts, simulation.Cuts);
            Interlocked.Add(ref restarts, simulation.Restarts);
            Interlocked.Add(ref changes, simulation.Changes);
        });
        TestContext.Current.TestOutputHelper?.WriteLine($"{count} runs, {crashes} crashes, {restarts} restarts from disk, {cuts} cuts, {changes} changes told");
        Assert.True(failures.IsEmpty, $"{failures.Count} failed\n{string.Join("\n", failures.Take(5))}");
        Assert.True(crashes > 0 && restarts > 0 && cuts > 0 && changes > count);
    }

    private static int Number(string variable, int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out int number) ? number : standard;
}
