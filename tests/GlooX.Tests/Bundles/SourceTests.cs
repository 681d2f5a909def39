using GlooX.Payloads;

namespace GlooX.Tests.Bundles;

/// <summary>Payloads in source: built once for each content, by whoever comes first.</summary>
[Trait("Category", "Slow")]
public sealed class SourceTests : IDisposable
{
    private static readonly string s_repository = Above("GlooX.slnx");

    // Outside of the repository: of its build files only the one that adds the generator counts.
    private readonly string _folder = Directory.CreateTempSubdirectory("gloox-source-").FullName;

    public SourceTests() => Write("Directory.Build.targets", $"""<Project><Import Project="{Path.Combine(s_repository, "samples/Directory.Build.targets")}" /></Project>""");

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Spawns_at_once_of_one_source_build_it_once_and_a_later_one_not_at_all()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string source = Write("kid.cs", $$"""
            #:project {{Path.Combine(s_repository, "src/GlooX/GlooX.csproj")}}
            #:package Newtonsoft.Json@13.0.4
            using GlooX;

            public sealed class Kid : Worker
            {
                [Rpc("name")]
                public System.Threading.Tasks.ValueTask<string> NameAsync() => new("kid of " + System.IO.Path.GetRelativePath(System.IO.Path.GetDirectoryName(typeof(Kid).Assembly.Location), typeof(Newtonsoft.Json.Linq.JObject).Assembly.Location));
            }
            """);
        int builds = 0;
        var options = new SpawnOptions { Progress = new Counter(() => Interlocked.Increment(ref builds)) };
        await using GlooXClient other = new GlooXClient(grid.Agents[0].Url);
        SpawnedProcess[] kids = await Task.WhenAll(grid.Client.SpawnAsync("Kid", source, options, ct: Ct), other.SpawnAsync("Kid", source, options, ct: Ct), other.SpawnAsync(source, options, ct: Ct));
        foreach (SpawnedProcess kid in kids)
        {
            Assert.Equal("kid of Newtonsoft.Json.dll", await kid.CallAsync<string>("name"));
            await kid.DisposeAsync();
        }

        Assert.InRange(builds, 1, 1);
        await using SpawnedProcess again = await grid.Client.SpawnAsync("Kid", source, options, ct: Ct);
        Assert.Equal(1, builds);
    }

    [Fact]
    public async Task A_file_with_statements_of_its_own_is_a_program_that_runs_to_its_end_with_its_packages()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string output = Path.Combine(_folder, "output");
        string source = Write("program.cs", $$"""
            #:package Newtonsoft.Json@13.0.4
            using System;
            using System.IO;

            var options = Newtonsoft.Json.Linq.JObject.Parse(Console.In.ReadToEnd());
            File.WriteAllText({{$"\"{output}\""}}, (string)options["values"]["greeting"]);
            return 3;
            """);
        await using SpawnedProcess process = await grid.Client.SpawnAsync(source, new SpawnOptions { Values = new() { ["greeting"] = "hello" } }, ct: Ct);
        Assert.Equal(new ExitStatus(3, 0), await process.WaitForExitAsync(Ct));
        Assert.Equal("hello", await File.ReadAllTextAsync(output, Ct));
    }

    [Fact]
    public async Task A_project_is_built_with_what_it_refers_to_and_again_when_that_has_changed()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Write("lib/lib.csproj", """<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup></Project>""");
        Write("lib/Number.cs", "public static class Number { public const int Value = 1; }");
        string project = Write("app/app.csproj", """
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup><OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework></PropertyGroup>
              <ItemGroup><ProjectReference Include="..\lib\lib.csproj" /></ItemGroup>
            </Project>
            """);
        Write("app/Program.cs", "return Number.Value;");
        await using SpawnedProcess one = await grid.Client.SpawnAsync(project, ct: Ct);
        Assert.Equal(new ExitStatus(1, 0), await one.WaitForExitAsync(Ct));
        Write("lib/Number.cs", "public static class Number { public const int Value = 2; }");
        await using SpawnedProcess two = await grid.Client.SpawnAsync(project, ct: Ct);
        Assert.Equal(new ExitStatus(2, 0), await two.WaitForExitAsync(Ct));
    }

    [Fact]
    public async Task What_the_compiler_finds_is_told_with_its_place()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string source = Write("faulty.cs", "public class Faulty\n{\n    int x = \"text\";\n    int y = 1.5;\n}\n");
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync("Faulty", source, ct: Ct));
        Assert.Equal([(source, 3, 13, "CS0029"), (source, 4, 13, "CS0266")], error.Diagnostics.Select(static d => (d.File, d.Line, d.Column, d.Code)).Order());
        Assert.Contains("string", error.Diagnostics.Single(static d => d.Code == "CS0029").Message, StringComparison.Ordinal);
        Assert.Empty((await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync("Nobody", TestGrid.Payload, ct: Ct))).Diagnostics);
    }

    [Theory]
    [InlineData("/a b/c.cs(3,5): error CS0029: Cannot convert [/a b/c.csproj]", "/a b/c.cs", 3, 5, "CS0029", "Cannot convert")]
    [InlineData("/a/c.cs(3,5,3,9): error CS0029: a [b] c [/a/c.csproj::TargetFramework=net10.0]", "/a/c.cs", 3, 5, "CS0029", "a [b] c")]
    [InlineData("/a/c.csproj : error NU1101: Unable to find package X. [/a/d.cs]", "/a/c.csproj", 0, 0, "NU1101", "Unable to find package X.")]
    [InlineData("MSBUILD : error MSB1009: Project file does not exist.", "MSBUILD", 0, 0, "MSB1009", "Project file does not exist.")]
    public void Lines_of_a_build_are_read(string line, string file, int row, int column, string code, string message) =>
        Assert.Equal([new BuildDiagnostic(file, row, column, code, message)], BuildDiagnostic.ReadErrors($"hello\n{line}\r\n{line}\n/a/c.cs(1,1): warning CS0168: unused"));

    private string Write(string name, string content)
    {
        string file = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, content);
        return file;
    }

    private static string Above(string file)
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, file)))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException($"no {file} above {AppContext.BaseDirectory}");
    }

    private sealed class Counter(Action building) : IProgress<SpawnProgress>
    {
        public void Report(SpawnProgress value)
        {
            if (value.Stage == SpawnStage.Building)
            {
                building();
            }
        }
    }
}
