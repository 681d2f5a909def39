using System.Diagnostics;
using System.Runtime.CompilerServices;
using GlooX.Rpc.Tests.Protocol;
using GlooX.Samples.Aot;
using GlooX.Tls;

namespace GlooX.Rpc.Tests;

/// <summary>The sample that is compiled ahead of time, published and run against a real server.</summary>
[Trait("Category", "Slow")]
public sealed class AotTests : IDisposable
{
    // The compiler works for a minute on an idle machine of two cores.
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(15);
    private readonly string _home = Directory.CreateTempSubdirectory("gloox-aot-").FullName;

    [Fact]
    public async Task A_client_compiled_ahead_of_time_calls_in_every_way()
    {
        await using var server = new RpcServer(new RpcServerOptions { Identity = new IdentityStore(_home).Load(), DrainTimeout = TimeSpan.Zero });
        server.Add(new Stock());
        await server.StartAsync("127.0.0.1:0");

        string output = Path.Combine(_home, "published");
        (int code, string published) = await RunAsync("dotnet", "publish", Path.Combine(Repository(), "samples/aot"), "-o", output, "--artifacts-path", Path.Combine(_home, "artifacts"));
        Assert.True(code == 0, published);
        Assert.False(File.Exists(Path.Combine(output, "aot.dll")));

        (code, string said) = await RunAsync(Path.Combine(output, "aot"), server.Url);
        Assert.True(code == 0, said);
        Assert.Equal(
            """
            00112233-4455-6677-8899-aabbccddeeff
            bolt 7 0.25 Box { Width = 3, Height = 4 } 1
            1
            only 7 left
            watched Bag { Color = color 0 }
            watched Bag { Color = color 1 }
            2
            6

            """.ReplaceLineEndings("\n"),
            said);
    }

    public void Dispose() => Directory.Delete(_home, recursive: true);

    private async Task<(int Code, string Output)> RunAsync(string command, params string[] arguments)
    {
        var start = new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        start.Environment["GLOOX_HOME"] = _home;
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        using Process process = Process.Start(start)!;
        using var limit = new CancellationTokenSource(s_limit);
        Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token);
        Task<string> errors = process.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            return (process.ExitCode, await output + await errors);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }

    private static string Repository([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../.."));

    private sealed class Stock : IStock
    {
        private Item? _item;

        public Task<Item?> FindAsync(string name) => Task.FromResult(_item?.Name == name ? _item : null);

        public Task<Guid> PutAsync(Item item, DateTimeOffset when, params string[] tags)
        {
            Assert.Equal((DateTimeOffset.UnixEpoch, "small steel"), (when, string.Join(' ', tags)));
            _item = item;
            return Task.FromResult(Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"));
        }

        public Task<List<Item>> AllAsync() => Task.FromResult<List<Item>>([_item!]);

        public Task<int> TakeAsync(string name, int count) => count > _item!.Count
            ? throw new RpcFault<OutOfStock>(new OutOfStock(name, _item.Count))
            : Task.FromResult(_item.Count - count);

        public async IAsyncEnumerable<Item> WatchAsync(int count)
        {
            for (int i = 0; i < count; i++)
            {
                await Task.Yield();
                yield return _item! with { Packing = new Bag($"color {i}") };
            }
        }

        public async Task<int> CountAsync(IAsyncEnumerable<Item> items, Func<int, Task<bool>> goOn)
        {
            int seen = 0;
            await foreach (Item item in items)
            {
                Assert.Equal(new Bag("red"), item.Packing);
                if (!await goOn(++seen))
                {
                    break;
                }
            }

            return seen;
        }
    }
}
