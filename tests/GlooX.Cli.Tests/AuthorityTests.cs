using System.Diagnostics;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Cli.Tests;

/// <summary>The authority's key is kept from what clients spawn, or somebody is told.</summary>
[Trait("Category", "Slow")]
public sealed class AuthorityTests
{
    private const string Payload = "tests/GlooX.Tests.Payload/bin/Release/net10.0/GlooX.Tests.Payload.dll";

    [Fact]
    public async Task From_the_first_token_on_it_is_said_that_clients_can_read_the_key()
    {
        await using var here = new Shell();
        string url = Shell.FreeUrl();
        Process agent = await here.AgentAsync("--url", url);
        Outcome token = await here.GlooXAsync("token");
        Assert.Contains("can be read by all that runs as this user", token.Output, StringComparison.Ordinal);
        await using var there = new Shell();
        Assert.Equal(0, (await there.GlooXAsync("join", url, token.Output.Split('\n')[0])).Code);
        await here.StopAsync(agent);
        Process again = await here.AgentAsync("--url", url);
        await here.StopAsync(again);
        Assert.Contains("can read the key of the authority", await here.ErrorsAsync(again), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_agent_that_spawns_nothing_runs_nothing_that_others_send()
    {
        await using var here = new Shell();
        string url = Shell.FreeUrl(), second = Shell.FreeUrl();
        await here.AgentAsync("--url", url, "--no-spawn");
        foreach (string[] command in (string[][])[["spawn", "Good", Payload, "--agent", url, "--strategy", "direct"], ["run", "--agent", url, "--", "id"]])
        {
            Assert.Equal(1, (await here.GlooXAsync(command)).Code);
        }

        X509Certificate2 Pair(string name) => X509Certificate2.CreateFromPemFile(Path.Combine(here["home"], $"{name}.crt"), Path.Combine(here["home"], $"{name}.key"));
        using X509Certificate2 ca = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(here["home"], "ca.crt"));
        await using GlooXClient client = new GlooXClient(url, new RpcClientOptions { Identity = new Identity(ca, Pair("server"), Pair("client")) });
        AddonException refused = await Assert.ThrowsAsync<AddonException>(() => client.AttachAddonAsync("late", new AddonSource(Payload, "Counter"), null, TestContext.Current.CancellationToken));
        Assert.Contains("--no-spawn", refused.Message, StringComparison.Ordinal);

        // The others of the grid spawn all the same.
        await here.AgentAsync("--url", second, "--peer", url);
        await CommandTests.UntilAsync(() => here.GlooXAsync("status", "--agent", url), o => o.Output.Contains("2 nodes", StringComparison.Ordinal));
        Outcome spawned = await here.GlooXAsync("spawn", "Good", Payload, "--agent", url);
        Assert.Equal((0, true), (spawned.Code, spawned.Output.Contains($"runs on {second}", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_key_under_a_passphrase_is_not_on_disk_and_lets_machines_join_with_a_token()
    {
        await using var here = new Shell();
        await using var there = new Shell();
        string url = Shell.FreeUrl();
        Assert.Equal(0, (await here.GlooXAsync("certs")).Code);
        await using (Conversation locking = here.Talk("dotnet", Shell.Tool, "authority", "lock"))
        {
            await locking.SayAsync("correct horse");
            Outcome locked = await locking.EndAsync();
            Assert.Equal((0, ""), (locked.Code, locked.Errors));
        }

        await using (Conversation guessing = here.Talk("dotnet", Shell.Tool, "token"))
        {
            await guessing.SayAsync("wrong horse");
            Outcome wrong = await guessing.EndAsync();
            Assert.Equal((1, true), (wrong.Code, wrong.Errors.Contains("the passphrase does not open", StringComparison.Ordinal)));
        }

        await here.AgentAsync("--url", url);
        string token;
        await using (Conversation asking = here.Talk("dotnet", Shell.Tool, "token"))
        {
            await asking.SayAsync("correct horse");
            token = (await asking.EndAsync()).Output.Split('\n')[0];
        }

        Assert.DoesNotContain(Directory.GetFiles(here["home"], "*", SearchOption.AllDirectories), f => Path.GetFileName(f) == "ca.key");
        Outcome joined = await there.GlooXAsync("join", url, token);
        Assert.Equal((0, ""), (joined.Code, joined.Errors));
        Assert.Equal(0, (await there.GlooXAsync("status", "--agent", url)).Code);
        Assert.Equal(1, (await there.GlooXAsync("join", url, token)).Code);
    }

    [Fact]
    public async Task An_authority_of_its_own_lets_machines_join_and_revokes_in_the_grid_that_it_is_no_member_of()
    {
        await using var authority = new Shell();
        await using var one = new Shell();
        await using var two = new Shell();
        await using var lost = new Shell();
        string tcp = Shell.FreeUrl(), socket = $"unix:{authority["socket"]}", first = Shell.FreeUrl(), second = Shell.FreeUrl();
        Conversation running = authority.Talk("dotnet", Shell.Tool, "authority", "--url", socket, "--url", tcp);
        await running.HearAsync("the authority is running");
        foreach ((Shell shell, string at, string role) in new[] { (one, socket, "agent"), (two, tcp, "agent"), (lost, tcp, "client") })
        {
            string token = (await authority.GlooXAsync("token", "--role", role)).Output.Split('\n')[0];
            Outcome joined = await shell.GlooXAsync("join", at, token);
            Assert.Equal((0, ""), (joined.Code, joined.Errors));
        }

        await one.AgentAsync("--url", first);
        await two.AgentAsync("--url", second, "--peer", first);
        await CommandTests.UntilAsync(() => one.GlooXAsync("status", "--agent", first), o => o.Output.Contains("2 nodes", StringComparison.Ordinal));
        Assert.False(File.Exists(Path.Combine(one["home"], "ca.key")));
        Assert.Equal(0, (await lost.GlooXAsync("status", "--agent", second)).Code);

        // It answers nothing of an agent's but this, and of that to admins only.
        Assert.Contains("exposes no method", (await authority.GlooXAsync("call", tcp, "agent/list")).Errors, StringComparison.Ordinal);
        string node = (await lost.GlooXAsync("certs")).Output.Split("this machine (")[1].Split(')')[0];
        Assert.Contains("may be called by the roles admin", (await lost.GlooXAsync("revoke", node, "--agent", tcp)).Errors, StringComparison.Ordinal);
        Outcome revoked = await authority.GlooXAsync("revoke", node, "--agent", socket);
        Assert.Equal((0, ""), (revoked.Code, revoked.Errors));
        Assert.Contains($"node {node}, 2 certificates", revoked.Output, StringComparison.Ordinal);
        foreach (string agent in new[] { first, second })
        {
            Outcome refused = await CommandTests.UntilAsync(() => lost.GlooXAsync("status", "--agent", agent), o => o.Code != 0);
            Assert.Contains("was revoked", refused.Errors, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_unit_of_an_authority_gives_it_a_user_and_files_of_its_own()
    {
        string unit = AuthorityInstall.Unit("/usr/local/bin/gloox");
        foreach (string line in new[] { $"User={AuthorityInstall.User}", $"Environment=GLOOX_HOME={AuthorityInstall.Home}", "NoNewPrivileges=yes", "ProtectHome=yes", $"ExecStart=/usr/local/bin/gloox authority --url unix:{AuthorityInstall.Socket} --url 0.0.0.0:9998" })
        {
            Assert.Contains(line, unit.Split('\n'));
        }
    }
}
