using System.Diagnostics;
using GlooX.Rpc.Tests;

namespace GlooX.Cli.Tests;

/// <summary>Certificates through the tool, as people of different machines use it.</summary>
public sealed class TrustTests
{
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
        Process agent = await shell.AgentAsync("--url", first);
        await shell.AgentAsync("--url", second, "--peer", first);
        Outcome spawned = await shell.GlooXAsync("spawn", "Child", "samples/demo/child.cs", "--agent", first, "--strategy", "direct");
        Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
        string child = spawned.Output.Split("url ")[1].Split([' ', '\n', ','])[0];
        Assert.Equal("\"yes!\"", (await shell.GlooXAsync("call", child, "all_well?")).Output.Trim());
        await shell.StopAsync(agent);
        Assert.Equal(!withMakerOfChildren, (await shell.ErrorsAsync(agent)).Contains("GLOOX_TLS_CHILDREN_CERTIFICATE", StringComparison.Ordinal));
    }
}
