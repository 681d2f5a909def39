using System.Diagnostics;
using GlooX.Protocol;
using GlooX.Rpc.Tests.Protocol.Fuzzing;
using GlooX.Rpc.Tests.Tls;
using GlooX.Server;
using GlooX.Tls;

namespace GlooX.Rpc.Tests.Server;

/// <summary>Many callers who have nothing to say.</summary>
public sealed class IdleTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(4);

    [Fact]
    public async Task A_thousand_idle_connections_are_kept_and_others_served()
    {
        const int Count = 1000;
        await using Harness it = await Harness.StartAsync(Room(Count));
        await using Bystander bystander = await Bystander.OfAsync(it);
        var peers = new RawPeer[Count];
        await Parallel.ForAsync(0, Count, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, _) => peers[i] = await RawPeer.GreetAsync(it.Server.Url));
        await bystander.IsServedAsync();
        foreach (RawPeer peer in peers)
        {
            await peer.SayAsync(new Piece(FrameType.Ping, 1, []));
            Assert.Equal(FrameType.Pong, (await peer.HearAsync())?.Type);
        }

        await Parallel.ForEachAsync(peers, async (peer, _) => await peer.DisposeAsync());
        await bystander.IsServedAsync();
    }

    /// <summary>Each end is a process of its own, for both in one need more descriptors than many systems give it.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public async Task Ten_thousand_idle_connections_are_kept_and_others_served()
    {
        const int Count = 10_000;
        Assert.SkipWhen(DescriptorLimit() < Count + 1000, $"the limit of {DescriptorLimit()} descriptors is too low for {Count} connections: raise it with ulimit -n {Count + 1000}");
        using OpenSsl files = RaktrVariablesTests.Good();
        Dictionary<string, string?> variables = RaktrVariablesTests.Variables(files);
        Identity identity = RaktrVariables.Load(variables.GetValueOrDefault)!;
        await using Harness it = await Harness.StartAsync(Room(Count) with { Identity = identity }, new RpcClientOptions { Identity = identity });
        it.Server.Add(new RollCall(), "roll");
        await using Bystander bystander = await Bystander.OfAsync(it, identity);

        using Process callers = Start(variables, it.Server.Url, Count);
        try
        {
            Assert.Equal("connected", await callers.StandardOutput.ReadLineAsync().WaitAsync(s_patience));
            await bystander.IsServedAsync();
            for (int i = 0; i < 2; i++)
            {
                await callers.StandardInput.WriteLineAsync();
                Assert.Equal($"served {Count}", await callers.StandardOutput.ReadLineAsync().WaitAsync(s_patience));
                await bystander.IsServedAsync();
            }
        }
        finally
        {
            callers.Kill();
            await callers.WaitForExitAsync();
        }

        await bystander.IsServedAsync();
    }

    private static RpcServerOptions Room(int count) =>
        new() { MaxConnections = count + 10, MaxConnectionsPerPeer = count + 10, KeepAliveInterval = TimeSpan.Zero, DrainTimeout = TimeSpan.Zero };

    private static Process Start(Dictionary<string, string?> variables, string url, int count)
    {
        string program = typeof(IdleTests).Assembly.Location.Replace("GlooX.Rpc.Tests", "GlooX.Rpc.Tests.Faraway", StringComparison.Ordinal);
        var start = new ProcessStartInfo("dotnet", [program, "idle", url, $"{count}"]) { RedirectStandardInput = true, RedirectStandardOutput = true, UseShellExecute = false };
        foreach ((string name, string? value) in variables)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    private static int DescriptorLimit()
    {
        const string name = "Max open files";
        string? line = OperatingSystem.IsLinux() ? File.ReadLines("/proc/self/limits").FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal)) : null;
        return line is null ? int.MaxValue : int.TryParse(line[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0], out int limit) ? limit : int.MaxValue;
    }

    [RpcService]
    public interface IRollCall
    {
        Task<string> WhoAsync();
    }

    private sealed class RollCall : IRollCall
    {
        public Task<string> WhoAsync() => Task.FromResult(RpcCall.Current!.Caller);
    }
}
