using System.Diagnostics;
using GlooX.Rpc.Tests.RpcRuntime;
using GlooX.Rpc.Tests.Streams;
using GlooX.Tls;

namespace GlooX.Rpc.Tests.Protocol;

/// <summary>The client in another language: <c>client_test.py</c> beside this file, run against our server.</summary>
public sealed class PythonClientTests : IDisposable
{
    // Debian's, for that is where python3-msgpack goes.
    private const string Debian = "/usr/bin/python3";
    private readonly string _home = Directory.CreateTempSubdirectory("gloox-python-").FullName;

    [Fact]
    public async Task It_calls_fails_gives_up_and_reads_the_vectors()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = new IdentityStore(_home).Load(), DrainTimeout = TimeSpan.Zero });
        it.Server.Add(new Feed(), "feed");
        it.Server.Add(new Warehouse(), "warehouse");
        it.Server.Add(new Calculator(), "safe", new RpcAccess { Token = "s3cret" });
        var start = new ProcessStartInfo(File.Exists(Debian) ? Debian : "python3")
        {
            ArgumentList =
            {
                Path.Combine(AppContext.BaseDirectory, "python", "client_test.py"),
                Path.Combine(AppContext.BaseDirectory, "python"),
                it.Server.Url,
                _home,
                Path.Combine(AppContext.BaseDirectory, "vectors"),
            },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        using Process python = Process.Start(start)!;
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        Task<string> output = python.StandardOutput.ReadToEndAsync(limit.Token);
        Task<string> errors = python.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await python.WaitForExitAsync(limit.Token);
            Assert.True(python.ExitCode == 0 && await errors == "", await errors);
            Assert.Equal("ok", (await output).Trim());
        }
        finally
        {
            if (!python.HasExited)
            {
                python.Kill();
            }
        }

        Assert.Equal(["it"], it.Calculator.Forgotten);
        await it.Calculator.Ended.Task.WaitAsync(limit.Token);
    }

    public void Dispose() => Directory.Delete(_home, recursive: true);
}
