using System.Diagnostics;
using System.Text.Json;

namespace GlooX.Packages.Tests;

/// <summary>The packages as somebody uses them: from an empty folder, with an empty cache.</summary>
[Trait("Category", "Slow")]
public sealed class PackageUseTests(Packages packages)
{
    private static readonly string[] s_rpcAlone =
    [
        "GlooX.Rpc.dll", "Microsoft.Extensions.DependencyInjection.Abstractions.dll", "Microsoft.Extensions.Logging.Abstractions.dll",
        "Microsoft.VisualStudio.Validation.dll", "Nerdbank.MessagePack.dll", "PolyType.dll",
    ];

    private static readonly string[] s_engine = ["Akka", "Newtonsoft", "Google", "DotNetty", "GlooX.Grid", "GlooX.Agent"];
    private static readonly string[] s_ports = ["8888", "9997", "9999"];

    [Fact]
    public async Task The_demo_runs_from_the_packages()
    {
        string folder = packages.Folder("demo");
        await packages.CopySampleAsync("demo/demo.cs", folder, OtherPorts);
        await packages.CopySampleAsync("demo/child.cs", folder);
        string[] lines = (await packages.RunAsync(folder, "dotnet", "run", "demo.cs")).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Contains("Child | True", lines);
        Assert.Equal(2, lines.Count(static l => l == "yes!"));
        Assert.Equal("ended: signal 9", lines[^1]);
    }

    [Fact]
    public async Task A_program_and_a_library_of_contracts_use_GlooX_Rpc_alone()
    {
        string[] example = (await Packages.ExampleAsync("GlooX.Rpc")).Split("\n[RpcService]");
        string folder = packages.Folder("rpc");
        await ProjectAsync(Path.Combine(folder, "Greeting"), "Library", $"<PackageReference Include=\"GlooX.Rpc\" Version=\"{packages.Version}\" />", "namespace Greeting;\nusing GlooX;\n[RpcService]" + example[1]);
        string program = Path.Combine(folder, "Program");
        await ProjectAsync(program, "Exe", "<ProjectReference Include=\"../Greeting/Greeting.csproj\" />", "using Greeting;\n" + example[0]);
        Assert.Equal("Hello, Ada.\n", await packages.RunAsync(program, "dotnet", "run", "-c", "Release"));
        Assert.Equal([.. s_rpcAlone.Concat(["Greeting.dll", "Program.dll"]).Order(StringComparer.Ordinal)], Assemblies(program));
    }

    [Fact]
    public async Task An_application_that_only_calls_has_neither_the_membership_engine_nor_the_host_beside_it()
    {
        string program = Path.Combine(packages.Folder("calls"), "Program");
        await ProjectAsync(program, "Exe", $"<PackageReference Include=\"GlooX\" Version=\"{packages.Version}\" />", "System.Console.WriteLine(typeof(GlooX.GlooXClient));");
        Assert.Equal("GlooX.GlooXClient\n", await packages.RunAsync(program, "dotnet", "run", "-c", "Release"));
        Assert.Equal([.. s_rpcAlone.Concat(["GlooX.dll", "GlooX.Slots.dll", "Program.dll"]).Order(StringComparer.Ordinal)], Assemblies(program));
        using JsonDocument closure = JsonDocument.Parse(await File.ReadAllBytesAsync(Path.Combine(program, "bin/Release/net10.0/Program.deps.json")));
        Assert.DoesNotContain(closure.RootElement.GetProperty("libraries").EnumerateObject(), static l =>
            s_engine.Any(e => l.Name.StartsWith(e, StringComparison.OrdinalIgnoreCase)));
    }

    [Fact]
    public async Task An_application_that_publishes_has_the_host_beside_it_also_through_a_library()
    {
        string folder = packages.Folder("published");
        await ProjectAsync(Path.Combine(folder, "Nodes"), "Library", $"<PackageReference Include=\"GlooX.Agent\" Version=\"{packages.Version}\" />", "public static class Nodes { public static Task<GlooX.Agent> StartAsync() => GlooX.Agent.StartAsync(\"127.0.0.1:0\"); }");
        string program = Path.Combine(folder, "Program");
        await ProjectAsync(program, "Exe", "<ProjectReference Include=\"../Nodes/Nodes.csproj\" />", "await using var agent = await Nodes.StartAsync();");
        await packages.RunAsync(program, "dotnet", "publish", "-c", "Release", "-o", "out");
        foreach (string to in (string[])["out", "bin/Release/net10.0"])
        {
            Assert.Equal(["gloox-host.dll", "gloox-host.runtimeconfig.json"], Directory.GetFiles(Path.Combine(program, to), "gloox-host.*").Select(Path.GetFileName).Order(StringComparer.Ordinal));
        }
    }

    [Fact]
    public async Task The_tool_from_its_package_spawns_a_class_from_the_packages()
    {
        string folder = packages.Folder("tool");
        await packages.CopySampleAsync("demo/child.cs", folder);
        await packages.RunAsync(folder, "dotnet", "tool", "install", "GlooX.Cli", "--version", packages.Version, "--tool-path", "tools");
        string gloox = Path.Combine(folder, "tools", "gloox");
        string url = $"127.0.0.1:{FreePort()}";
        using Process agent = packages.Start(folder, gloox, "agent", "--url", url);
        try
        {
            Assert.Contains("is running", await agent.StandardOutput.ReadLineAsync().WaitAsync(Packages.Limit), StringComparison.Ordinal);
            string childUrl = $"127.0.0.1:{FreePort()}";
            await packages.RunAsync(folder, gloox, "spawn", "Child", "child.cs", "--url", childUrl, "--agent", url);
            Assert.Equal("\"yes!\"\n", await packages.RunAsync(folder, gloox, "call", childUrl, "all_well?"));
        }
        finally
        {
            await packages.RunAsync(folder, "kill", "-TERM", $"{agent.Id}");
            await agent.WaitForExitAsync().WaitAsync(Packages.Limit);
        }
    }

    private static async Task ProjectAsync(string folder, string type, string reference, string code)
    {
        Directory.CreateDirectory(folder);
        await File.WriteAllTextAsync(Path.Combine(folder, $"{Path.GetFileName(folder)}.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework>
                <OutputType>{type}</OutputType>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
              </PropertyGroup>
              <ItemGroup>
                {reference}
              </ItemGroup>
            </Project>
            """);
        await File.WriteAllTextAsync(Path.Combine(folder, "Code.cs"), code);
    }

    private static string[] Assemblies(string project) =>
        [.. Directory.GetFiles(Path.Combine(project, "bin/Release/net10.0"), "*.dll").Select(Path.GetFileName).Order(StringComparer.Ordinal)!];

    // The demo of the repository may run at the same time.
    private static string OtherPorts(string code)
    {
        foreach (string port in s_ports)
        {
            code = code.Replace($":{port}", $":{FreePort()}", StringComparison.Ordinal);
        }

        return code;
    }

    private static int FreePort()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }
}
