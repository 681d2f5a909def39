using System.Text.RegularExpressions;

namespace GlooX.Cli.Tests.Network;

/// <summary>A spawned process is known by an address that reaches it from wherever it is asked for.</summary>
[Trait("Category", "Slow")]
public sealed partial class AddressTests
{
    private const string Payload = "tests/GlooX.Tests.Payload/bin/Release/net10.0/GlooX.Tests.Payload.dll";

    [Theory]
    [InlineData(null)]
    [InlineData("0.0.0.0:9999")]
    public async Task A_class_that_a_laptop_spawns_without_a_URL_is_called_from_every_host(string? listen)
    {
        await using TestHosts hosts = await TestHosts.MakeOrSkipAsync(4);
        await hosts.FormGridAsync(agents: 3, listen);
        TestHost laptop = hosts[3];
        foreach (string[] options in (string[][])[[], [], [], ["--url", "0.0.0.0:0"]])
        {
            Outcome spawned = await laptop.Shell.GlooXAsync(["spawn", "Good", Payload, "--agent", hosts[1].Agent, .. options]);
            Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
            string url = UrlOf(spawned), node = spawned.Output.Split("runs on ")[1].Split(',')[0];
            Assert.Equal(node.Split(':')[0], url.Split(':')[0]);
            for (int i = 0; i < 4; i++)
            {
                Outcome called = await hosts[i].Shell.GlooXAsync("call", url, "all_well?");
                Assert.Equal((0, "\"yes!\"", ""), (called.Code, called.Output.Trim(), called.Errors));
            }

            Assert.Contains(url, (await laptop.Shell.GlooXAsync("ps", "--agent", hosts[0].Agent)).Output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task An_agent_on_all_addresses_that_has_no_peer_is_known_by_the_address_that_its_client_used()
    {
        await using TestHosts hosts = await TestHosts.MakeOrSkipAsync(2);
        await hosts.FormGridAsync(agents: 1, "0.0.0.0:9999");
        TestHost laptop = hosts[1];
        Outcome spawned = await laptop.Shell.GlooXAsync("spawn", "Good", Payload, "--agent", hosts[0].Agent);
        Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
        Assert.Contains($"runs on {hosts[0].Agent}", spawned.Output, StringComparison.Ordinal);
        Outcome called = await laptop.Shell.GlooXAsync("call", UrlOf(spawned), "all_well?");
        Assert.Equal((0, "\"yes!\""), (called.Code, called.Output.Trim()));
        Outcome killed = await laptop.Shell.GlooXAsync("kill", spawned.Output.Split(' ')[0], "--agent", hosts[0].Agent);
        Assert.Equal((0, ""), (killed.Code, killed.Errors));
    }

    private static string UrlOf(Outcome spawned) => Url().Match(spawned.Output).Groups["url"].Value;

    [GeneratedRegex(@"url (?<url>\S+)", RegexOptions.ExplicitCapture | RegexOptions.NonBacktracking)]
    private static partial Regex Url();
}
