namespace GlooX.Cli.Tests;

/// <summary>Processes that want the same build at the same time.</summary>
[Trait("Category", "Slow")]
public sealed class BuildProcessTests
{
    [Fact]
    public async Task Two_processes_that_spawn_the_same_source_at_once_build_it_once()
    {
        await using var shell = new Shell();
        string agent = Shell.FreeUrl();
        await shell.AgentAsync("--url", agent);
        string folder = Directory.CreateDirectory(shell["source"]).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "Directory.Build.props"), "<Project />");
        await File.WriteAllTextAsync(Path.Combine(folder, "Directory.Build.targets"), $"""
            <Project>
              <Target Name="Count" AfterTargets="CoreCompile"><WriteLinesToFile File="{shell["count"]}" Lines="compiled" /></Target>
            </Project>
            """);
        string source = Path.Combine(folder, "job.cs");
        await File.WriteAllTextAsync(source, "System.Console.WriteLine(\"done\");\n");
        Outcome[] runs = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => shell.GlooXAsync("run", "--agent", agent, source)));
        Assert.All(runs, run => Assert.Equal((0, "done"), (run.Code, run.Output.Trim())));
        Assert.Single(await File.ReadAllLinesAsync(shell["count"]));
        Assert.Single(Directory.GetDirectories(shell["home/builds"]));
    }
}
