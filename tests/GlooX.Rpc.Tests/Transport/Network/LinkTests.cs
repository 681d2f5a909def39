using System.Diagnostics;
using System.Globalization;
using GlooX.Rpc.Tests.RpcRuntime;
using GlooX.Server;

namespace GlooX.Rpc.Tests.Transport.Network;

/// <summary>A server and a caller in networks of their own, and what the link between them does.</summary>
[Trait("Category", "Slow")]
public sealed class LinkTests : IDisposable
{
    // Who asks after half a second of silence whether the other side is there, and hangs up after another half, gives up a link with a
    // round trip of 400 ms that drops packets.
    private const string Often = "500";
    private const string Never = "0";

    // A caller that tries to connect a single time.
    private const string Once = "-1";

    private readonly string _home = Directory.CreateTempSubdirectory("gloox-link-").FullName;

    [Fact]
    public async Task A_link_that_goes_down_without_a_word_fails_the_call_cancels_its_handler_and_the_next_call_goes_on_when_it_is_back()
    {
        await using TwoNetworks networks = await TwoNetworks.MakeOrSkipAsync();
        End server = await ServeAsync(networks, Often);
        var client = new End(Caller(networks, Often));
        string connection = await client.AskAsync("who", "who");
        await client.AskAsync("hang", "hanging");
        await server.HearAsync("entered");

        await networks.CutAsync();
        string failure = await client.HearAsync("failed");
        Assert.StartsWith("failed Connection Hang:", failure, StringComparison.Ordinal);
        await server.HearAsync("cancelled");

        await networks.MendAsync();
        string next = await client.AskAsync("who", "who");
        Assert.StartsWith($"who {TwoNetworks.There}:", next, StringComparison.Ordinal);
        Assert.NotEqual(connection, next);
    }

    [Fact]
    public async Task A_short_cut_is_not_noticed()
    {
        await using TwoNetworks networks = await TwoNetworks.MakeOrSkipAsync();
        await ServeAsync(networks, Never);
        var client = new End(Caller(networks, Never));
        string connection = await client.AskAsync("who", "who");
        await networks.CutAsync();
        await client.SayAsync("who");
        await networks.MendAsync();
        Assert.Equal(connection, await client.HearAsync("who"));
    }

    [Fact]
    public async Task A_host_whose_connections_never_finish_TLS_keeps_hosts_of_other_addresses_out_not_once()
    {
        await using TwoNetworks networks = await TwoNetworks.MakeOrSkipAsync();
        await ServeAsync(networks, Never);
        var squatters = new End(networks.Start(near: false, _home, "dotnet", Program, "squat", $"{TwoNetworks.Here}:7000", "1200"));
        await squatters.HearAsync("squatting");
        for (int i = 0; i < 3; i++)
        {
            var client = new End(networks.Start(near: true, _home, "dotnet", Program, "call", $"{TwoNetworks.Here}:7000", Once));
            Assert.StartsWith($"who {TwoNetworks.Here}:", await client.AskAsync("who", "who"), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Calls_and_streams_come_through_a_link_that_is_slow_and_drops_packets()
    {
        const int Count = 3000;
        await using TwoNetworks networks = await TwoNetworks.MakeOrSkipAsync((Delay: 200, Loss: 5));
        await ServeAsync(networks, Never);
        var client = new End(Caller(networks, Never));
        Assert.Equal(Line("added", Sum(Count) + Count), await client.AskAsync(Line("add", Count), "added"));
        Assert.Equal(Line("read", Sum(Count)), await client.AskAsync(Line("read", Count), "read"));
        Assert.Equal(Line("written", Sum(Count)), await client.AskAsync(Line("write", Count), "written"));
    }

    public void Dispose() => Directory.Delete(_home, recursive: true);

    private static long Sum(long count) => count * (count - 1) / 2;

    private static string Line(string what, long number) => string.Create(CultureInfo.InvariantCulture, $"{what} {number}");

    private static string Program => typeof(LinkTests).Assembly.Location.Replace("GlooX.Rpc.Tests", "GlooX.Rpc.Tests.Faraway", StringComparison.Ordinal);

    private async Task<End> ServeAsync(TwoNetworks networks, string keepAlive)
    {
        var server = new End(networks.Start(near: true, _home, "dotnet", Program, "serve", $"{TwoNetworks.Here}:7000", keepAlive));
        await server.HearAsync("listens");
        return server;
    }

    private Process Caller(TwoNetworks networks, string keepAlive) =>
        networks.Start(near: false, _home, "dotnet", Program, "call", $"{TwoNetworks.Here}:7000", keepAlive);

    /// <summary>A process that is told what to do and tells what happened, line by line.</summary>
    private sealed class End(Process process)
    {
        private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

        public Task SayAsync(string line) => process.StandardInput.WriteLineAsync(line);

        public async Task<string> AskAsync(string line, string answer)
        {
            await SayAsync(line);
            return await HearAsync(answer);
        }

        /// <summary>The next line, which must begin so.</summary>
        public async Task<string> HearAsync(string beginning)
        {
            string? line = await process.StandardOutput.ReadLineAsync().WaitAsync(s_patience);
            Assert.StartsWith(beginning, line, StringComparison.Ordinal);
            return line!;
        }
    }
}
