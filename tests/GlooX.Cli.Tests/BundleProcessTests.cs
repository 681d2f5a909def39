using GlooX.Rpc.Tests.Transport.Network;

namespace GlooX.Cli.Tests;

/// <summary>Payloads on a machine that shares nothing with the caller's but the network: no file of the payload, no SDK, no store.</summary>
[Trait("Category", "Slow")]
public sealed class BundleProcessTests
{
    // Hides each folder named before the -- under an empty one, in a view of the file system of this process alone.
    private const string Hide = "while [ \"$1\" != -- ]; do mount -t tmpfs tmpfs \"$1\" || exit 99; shift; done; shift; exec \"$@\"";

    [Fact]
    public async Task What_a_client_spawns_runs_on_a_machine_that_never_saw_its_files_and_has_no_SDK()
    {
        await using TwoNetworks networks = await TwoNetworks.MakeOrSkipAsync();
        await using var here = new Shell { Through = networks.Into(near: true) };
        string[] hidden = [Path.Combine(Shell.Repository, "tests/GlooX.Tests.Payload"), Path.Combine(Shell.Repository, "samples"), Path.GetDirectoryName(here["home"])!, .. Directory.GetDirectories(Sdk(), "sdk*")];
        await using var there = new Shell { Through = [.. networks.Into(near: false), "unshare", "--mount", "sh", "-c", Hide, "hide", .. hidden, "--"] };
        Outcome tried = await there.RunAsync("ls", hidden[0]);
        Assert.SkipUnless(tried.Code != 99, $"this system lets nobody hide folders: {tried.Errors}");
        Assert.Equal((0, ""), (tried.Code, tried.Output));
        Assert.NotEqual(0, (await there.RunAsync("dotnet", "build")).Code);

        const string first = $"{TwoNetworks.Here}:9999", second = $"{TwoNetworks.There}:9999", child = $"{TwoNetworks.There}:8888";
        await here.AgentAsync("--url", first);
        string token = (await here.GlooXAsync("token", "--minutes", "5")).Output.Split('\n')[0];
        Outcome joined = await there.GlooXAsync("join", first, token);
        Assert.Equal((0, ""), (joined.Code, joined.Errors));
        await there.AgentAsync("--url", second, "--peer", first, "--weight", "1000");
        await CommandTests.UntilAsync(() => here.GlooXAsync("status", "--agent", first), static o => o.Output.Contains("2 nodes", StringComparison.Ordinal));

        // Far from everything: a class of an assembly.
        Outcome spawned = await here.GlooXAsync("spawn", "Good", Path.Combine(Shell.Repository, "tests/GlooX.Tests.Payload/bin/Release/net10.0/GlooX.Tests.Payload.dll"), "--url", child, "--agent", first);
        Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
        Assert.Contains($"runs on {second}", spawned.Output, StringComparison.Ordinal);
        Assert.Equal("\"yes!\"", (await here.GlooXAsync("call", child, "all_well?")).Output.Trim());
        Assert.Single(Directory.GetDirectories(Path.Combine(there["home"], "bundles", "bundles")));

        // And a script with what belongs to it.
        Directory.CreateDirectory(here["script"]);
        await File.WriteAllTextAsync(here["script/data"], "from afar");
        await File.WriteAllTextAsync(here["script/run.sh"], $"#!/bin/sh\ncat data > {there["half"]}\nmv {there["half"]} {there["proof"]}\n");
        await File.WriteAllTextAsync(here["script/gloox.json"], """{ "command": ["./run.sh"], "memory": "1MB" }""");
        Outcome script = await here.GlooXAsync("spawn", here["script"], "--agent", first);
        Assert.Equal((0, ""), (script.Code, script.Errors));
        await CommandTests.UntilAsync(() => Task.FromResult(new Outcome(0, File.Exists(there["proof"]) ? "written" : "", "nothing was written")), static o => o.Output.Length > 0);
        Assert.Equal("from afar", await File.ReadAllTextAsync(there["proof"]));
    }

    private static string Sdk() => Path.GetFullPath(Path.Combine(System.Runtime.InteropServices.RuntimeEnvironment.GetRuntimeDirectory(), "../../.."));
}
