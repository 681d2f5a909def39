using System.Diagnostics;
using GlooX.Rpc.Tests;
using GlooX.Rpc.Tests.Tls;
using GlooX.Rpc.Tests.Transport.Network;

namespace GlooX.Cli.Tests;

/// <summary>Certificates through the tool, as people of different machines use it.</summary>
[Trait("Category", "Slow")]
public sealed class TrustTests
{
    private const string Payload = "tests/GlooX.Tests.Payload/bin/Release/net10.0/GlooX.Tests.Payload.dll";

    [Fact]
    public async Task A_machine_that_was_a_stranger_joins_with_a_token_and_is_a_node_of_the_grid()
    {
        await using var here = new Shell();
        await using var there = new Shell();
        string first = Shell.FreeUrl(), second = Shell.FreeUrl();
        await here.AgentAsync("--url", first);
        Outcome stranger = await there.GlooXAsync("status", "--agent", first);
        Assert.Equal(1, stranger.Code);
        Assert.Contains("not by the authority trusted here", stranger.Errors, StringComparison.Ordinal);

        string token = (await here.GlooXAsync("token", "--minutes", "5")).Output.Split('\n')[0];
        Outcome joined = await there.GlooXAsync("join", first, token);
        Assert.Equal((0, ""), (joined.Code, joined.Errors));
        Assert.Contains($"joined the authority of {first}", joined.Output, StringComparison.Ordinal);
        Outcome again = await there.GlooXAsync("join", first, token);
        Assert.Equal(1, again.Code);
        Assert.Contains("used already", again.Errors, StringComparison.Ordinal);

        await there.AgentAsync("--url", second, "--peer", first);
        await CommandTests.UntilAsync(() => here.GlooXAsync("status", "--agent", first), o => o.Output.Contains("2 nodes", StringComparison.Ordinal));
        Outcome spawned = await here.GlooXAsync("spawn", "Good", Payload, "--agent", second, "--strategy", "direct");
        Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
        Assert.Contains($"runs on {second}", spawned.Output, StringComparison.Ordinal);
        string child = spawned.Output.Split("url ")[1].Split([' ', '\n', ','])[0];
        Assert.Equal("\"yes!\"", (await here.GlooXAsync("call", child, "all_well?")).Output.Trim());
        Assert.Equal("\"yes!\"", (await there.GlooXAsync("call", child, "all_well?")).Output.Trim());
    }

    [Fact]
    public async Task A_node_that_is_revoked_at_one_agent_is_refused_by_all()
    {
        await using var here = new Shell();
        await using var there = new Shell();
        await using var lost = new Shell();
        string first = Shell.FreeUrl(), second = Shell.FreeUrl();
        await here.AgentAsync("--url", first);
        foreach (Shell other in new[] { there, lost })
        {
            string token = (await here.GlooXAsync("token")).Output.Split('\n')[0];
            Assert.Equal(0, (await other.GlooXAsync("join", first, token)).Code);
        }

        await there.AgentAsync("--url", second, "--peer", first);
        await CommandTests.UntilAsync(() => here.GlooXAsync("status", "--agent", first), o => o.Output.Contains("2 nodes", StringComparison.Ordinal));
        Assert.Equal(0, (await lost.GlooXAsync("status", "--agent", second)).Code);

        string node = (await lost.GlooXAsync("certs")).Output.Split("this machine (")[1].Split(')')[0];
        Outcome revoked = await here.GlooXAsync("revoke", node, "--agent", first);
        Assert.Equal((0, ""), (revoked.Code, revoked.Errors));
        Assert.Contains($"node {node}, 3 certificates", revoked.Output, StringComparison.Ordinal);
        Outcome refused = await CommandTests.UntilAsync(() => lost.GlooXAsync("status", "--agent", second), o => o.Code != 0);
        Assert.Contains("was revoked", refused.Errors, StringComparison.Ordinal);
        Assert.Equal(1, (await lost.GlooXAsync("status", "--agent", first)).Code);
        Assert.Equal(0, (await there.GlooXAsync("status", "--agent", first)).Code);
        Assert.Contains("revoked", (await here.GlooXAsync("certs")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_is_revoked_and_allowed_again_on_any_machine_by_an_admin_alone()
    {
        await using var here = new Shell();
        await using var there = new Shell();
        await using var lost = new Shell();
        await using var admin = new Shell();
        string first = Shell.FreeUrl(), second = Shell.FreeUrl();
        await here.AgentAsync("--url", first);
        foreach ((Shell other, string role) in new[] { (there, "agent"), (lost, "agent"), (admin, "admin") })
        {
            string token = (await here.GlooXAsync("token", "--role", role)).Output.Split('\n')[0];
            Outcome joined = await other.GlooXAsync("join", first, token);
            Assert.Equal((0, ""), (joined.Code, joined.Errors));
        }

        await there.AgentAsync("--url", second, "--peer", first);
        await CommandTests.UntilAsync(() => here.GlooXAsync("status", "--agent", first), o => o.Output.Contains("2 nodes", StringComparison.Ordinal));
        string node = await NodeAsync(lost);

        // What nobody issued, such as a slip of a digit, is not revoked; nor is the machine that has the authority's key.
        string slip = node[..^1] + (node[^1] == '0' ? '1' : '0');
        foreach ((string target, string reason) in new[] { (slip, "no valid certificate was issued"), (new string('A', 32), "no valid certificate was issued"), (await NodeAsync(here), "holds the authority's key"), ("12345678901", "no valid certificate was issued") })
        {
            Outcome refusal = await admin.GlooXAsync("revoke", target, "--agent", second);
            Assert.Equal((1, true), (refusal.Code, refusal.Errors.Contains(reason, StringComparison.Ordinal)));
        }

        foreach (Shell user in new[] { there, lost })
        {
            Assert.Contains("may be called by the roles admin", (await user.GlooXAsync("revoke", node, "--agent", first)).Errors, StringComparison.Ordinal);
        }

        Outcome revoked = await admin.GlooXAsync("revoke", node, "--agent", second);
        Assert.Equal((0, ""), (revoked.Code, revoked.Errors));
        Assert.Contains($"node {node}, 3 certificates", revoked.Output, StringComparison.Ordinal);
        foreach (string agent in new[] { first, second })
        {
            Outcome refused = await CommandTests.UntilAsync(() => lost.GlooXAsync("status", "--agent", agent), o => o.Code != 0);
            Assert.Contains($"the node {node} was revoked", refused.Errors, StringComparison.Ordinal);
        }

        Assert.Contains("only an agent of the node", (await admin.GlooXAsync("certs", "allow", node, "--agent", second)).Errors, StringComparison.Ordinal);
        Outcome allowed = await admin.GlooXAsync("certs", "allow", node, "--agent", first);
        Assert.Equal((0, ""), (allowed.Code, allowed.Errors));
        Assert.Contains($"node {node}, 3 certificates", allowed.Output, StringComparison.Ordinal);
        await CommandTests.UntilAsync(() => lost.GlooXAsync("status", "--agent", second), o => o.Code == 0);
        Assert.Equal(0, (await lost.GlooXAsync("status", "--agent", first)).Code);
    }

    [Fact]
    public async Task Where_the_book_cannot_be_asked_a_node_is_revoked_by_its_id()
    {
        await using var here = new Shell();
        await using var there = new Shell();
        await using var lost = new Shell();
        await using var admin = new Shell();
        string first = Shell.FreeUrl(), second = Shell.FreeUrl();
        Process issuer = await here.AgentAsync("--url", first);
        foreach ((Shell other, string role) in new[] { (there, "agent"), (lost, "client"), (admin, "admin") })
        {
            string token = (await here.GlooXAsync("token", "--role", role)).Output.Split('\n')[0];
            Assert.Equal(0, (await other.GlooXAsync("join", first, token)).Code);
        }

        await here.StopAsync(issuer);
        await there.AgentAsync("--url", second);
        string node = await NodeAsync(lost);
        Assert.Equal(0, (await lost.GlooXAsync("status", "--agent", second)).Code);
        Assert.Contains("no agent of it can be reached", (await admin.GlooXAsync("revoke", new string('A', 32), "--agent", second)).Errors, StringComparison.Ordinal);
        Outcome revoked = await admin.GlooXAsync("revoke", node, "--agent", second);
        Assert.Equal((0, ""), (revoked.Code, revoked.Errors));
        Assert.Contains("no agent there could be asked", revoked.Output, StringComparison.Ordinal);
        Assert.Contains("was revoked", (await lost.GlooXAsync("status", "--agent", second)).Errors, StringComparison.Ordinal);

        // The node with the book takes it up as soon as it is there again.
        await here.AgentAsync("--url", first, "--peer", second);
        Outcome refused = await CommandTests.UntilAsync(() => lost.GlooXAsync("status", "--agent", first), o => o.Code != 0);
        Assert.Contains("was revoked", refused.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_revoked_client_is_refused_by_all_processes_those_that_outlived_their_agent_too()
    {
        await using var here = new Shell();
        await using var thief = new Shell();
        string first = Shell.FreeUrl();
        Process agent = await here.AgentAsync("--url", first);
        string token = (await here.GlooXAsync("token", "--role", "client")).Output.Split('\n')[0];
        Assert.Equal(0, (await thief.GlooXAsync("join", first, token)).Code);
        string outliving = await SpawnAsync(here, first, "--daemonize");
        await here.StopAsync(agent);
        await here.AgentAsync("--url", first);
        string running = await SpawnAsync(here, first);
        foreach (string process in new[] { outliving, running })
        {
            Assert.Equal("\"yes!\"", (await thief.GlooXAsync("call", process, "all_well?")).Output.Trim());
        }

        Assert.Equal(0, (await here.GlooXAsync("revoke", await NodeAsync(thief), "--agent", first)).Code);
        string later = await SpawnAsync(here, first);
        Assert.Contains("was revoked", (await thief.GlooXAsync("call", later, "all_well?")).Errors, StringComparison.Ordinal);
        foreach (string process in new[] { outliving, running })
        {
            Outcome refused = await CommandTests.UntilAsync(() => thief.GlooXAsync("call", process, "all_well?"), o => o.Code != 0);
            Assert.Contains("was revoked", refused.Errors, StringComparison.Ordinal);
            Assert.Equal("\"yes!\"", (await here.GlooXAsync("call", process, "all_well?")).Output.Trim());
        }

        Assert.Equal(0, (await here.GlooXAsync("certs", "allow", await NodeAsync(thief), "--agent", first)).Code);
        await CommandTests.UntilAsync(() => thief.GlooXAsync("call", running, "all_well?"), o => o.Code == 0);
    }

    private static async Task<string> NodeAsync(Shell shell) => (await shell.GlooXAsync("certs")).Output.Split("this machine (")[1].Split(')')[0];

    private static async Task<string> SpawnAsync(Shell shell, string agent, params string[] options)
    {
        Outcome spawned = await shell.GlooXAsync(["spawn", "Good", Payload, "--agent", agent, "--strategy", "direct", .. options]);
        Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
        return spawned.Output.Split("url ")[1].Split([' ', '\n', ','])[0];
    }

    [Fact]
    public async Task A_node_that_was_cut_off_when_another_was_revoked_learns_of_it_when_it_is_back()
    {
        await using TwoNetworks networks = await TwoNetworks.MakeOrSkipAsync();
        await using var here = new Shell { Through = networks.Into(near: true) };
        await using var there = new Shell { Through = networks.Into(near: false) };
        await using var lost = new Shell { Through = networks.Into(near: false) };
        const string First = $"{TwoNetworks.Here}:7000", Second = $"{TwoNetworks.There}:7000";
        await here.AgentAsync("--url", First);
        foreach (Shell other in new[] { there, lost })
        {
            string token = (await here.GlooXAsync("token")).Output.Split('\n')[0];
            Assert.Equal(0, (await other.GlooXAsync("join", First, token)).Code);
        }

        await there.AgentAsync("--url", Second, "--peer", First);
        await CommandTests.UntilAsync(() => here.GlooXAsync("status", "--agent", First), o => o.Output.Contains("2 nodes", StringComparison.Ordinal));
        string node = (await lost.GlooXAsync("certs")).Output.Split("this machine (")[1].Split(')')[0];

        await networks.CutAsync();
        Outcome revoked = await here.GlooXAsync("revoke", node, "--agent", First);
        Assert.Equal((0, ""), (revoked.Code, revoked.Errors));
        Assert.Equal(0, (await lost.GlooXAsync("status", "--agent", Second)).Code); // nobody could tell it

        await networks.MendAsync();
        Outcome refused = await CommandTests.UntilAsync(() => lost.GlooXAsync("status", "--agent", Second), o => o.Code != 0);
        Assert.Contains("was revoked", refused.Errors, StringComparison.Ordinal);
        await CommandTests.UntilAsync(() => there.GlooXAsync("status", "--agent", First), o => o.Output.Contains("2 nodes", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task With_certificates_of_ones_own_agents_spawn_and_answer(bool withMakerOfChildren)
    {
        using OpenSsl files = new OpenSsl().Authority("ca").Certificate("server", "ca", "serverAuth").Certificate("client", "ca", "clientAuth").Intermediate("children", "ca");
        await using var shell = new Shell();
        foreach ((string variable, string file) in new[]
                 {
                     ("CA", "ca.crt"), ("SERVER_CERTIFICATE", "server.crt"), ("SERVER_PRIVATE_KEY", "server.key"), ("SERVER_PUBLIC_KEY", "server.pub"),
                     ("CLIENT_CERTIFICATE", "client.crt"), ("CLIENT_PRIVATE_KEY", "client.key"), ("CLIENT_PUBLIC_KEY", "client.pub"),
                 })
        {
            shell.Variables["RAKTR_TLS_" + variable] = files[file];
        }

        if (withMakerOfChildren)
        {
            shell.Variables["GLOOX_TLS_CHILDREN_CERTIFICATE"] = files["children.crt"];
            shell.Variables["GLOOX_TLS_CHILDREN_PRIVATE_KEY"] = files["children.key"];
        }

        string first = Shell.FreeUrl(), second = Shell.FreeUrl();
        Process agent = await shell.AgentAsync(["--url", first, .. withMakerOfChildren ? Array.Empty<string>() : ["--share-identity"]]);
        await shell.AgentAsync("--url", second, "--peer", first);
        if (!withMakerOfChildren)
        {
            // The other one was not told to share its own certificates.
            Outcome refused = await shell.GlooXAsync("spawn", "Good", Payload, "--agent", second, "--strategy", "direct");
            Assert.Equal((1, true), (refused.Code, refused.Errors.Contains("--share-identity", StringComparison.Ordinal)));
        }

        Outcome spawned = await shell.GlooXAsync("spawn", "Good", Payload, "--agent", first, "--strategy", "direct");
        Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
        string child = spawned.Output.Split("url ")[1].Split([' ', '\n', ','])[0];
        Assert.Equal("\"yes!\"", (await shell.GlooXAsync("call", child, "all_well?")).Output.Trim());
        await shell.StopAsync(agent);
        Assert.Equal(!withMakerOfChildren, (await shell.ErrorsAsync(agent)).Contains("GLOOX_TLS_CHILDREN_CERTIFICATE", StringComparison.Ordinal));
    }
}
