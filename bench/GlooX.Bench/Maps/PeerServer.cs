using System.ComponentModel;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Bench.Maps;

/// <summary>
/// A server of somebody else as a child process, on a free port of the loopback, with mutual TLS and nothing on disk but a folder that goes
/// with it. It ends with this process, however that ends: a shell waits for the end of its input and kills it.
/// </summary>
internal sealed class PeerServer : IAsyncDisposable
{
    private const string Keeper = "\"$@\" >/dev/null 2>&1 & server=$!; cat >/dev/null; kill -9 $server; wait $server 2>/dev/null";
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(15);
    private readonly Process _keeper;
    private readonly string _folder;

    private PeerServer(Process keeper, string folder, int port) => (_keeper, _folder, Port) = (keeper, folder, port);

    public int Port { get; }

    /// <param name="identity">Its certificates.</param>
    /// <param name="flush">How often its file is flushed, as Redis names it: everysec or always. Null: nothing is on disk.</param>
    /// <param name="ct">Cancels the operation.</param>
    public static Task<PeerServer> StartRedisAsync(Identity identity, string? flush, CancellationToken ct) => StartAsync(
        "redis-server",
        identity,
        (folder, port) =>
        [
            "--bind", "127.0.0.1", "--port", "0", "--tls-port", $"{port}", "--tls-auth-clients", "yes", "--dir", folder, "--save", "", "--appendonly", flush is null ? "no" : "yes", "--appendfsync", flush ?? "no",
            "--tls-cert-file", Path.Combine(folder, "server.pem"), "--tls-key-file", Path.Combine(folder, "key.pem"), "--tls-ca-cert-file", Path.Combine(folder, "authority.pem"),
        ],
        ct);

    public static Task<PeerServer> StartNatsAsync(Identity identity, CancellationToken ct) => StartAsync(
        "nats-server",
        identity,
        (folder, port) =>
        {
            string config = Path.Combine(folder, "nats.conf");
            File.WriteAllText(
                config,
                $$"""
                listen: "127.0.0.1:{{port}}"
                jetstream { store_dir: "{{folder}}/store" }
                tls {
                  cert_file: "{{folder}}/server.pem"
                  key_file: "{{folder}}/key.pem"
                  ca_file: "{{folder}}/authority.pem"
                  verify: true
                  timeout: 20
                }
                """);
            return ["-c", config];
        },
        ct);

    public async ValueTask DisposeAsync()
    {
        _keeper.StandardInput.Close();
        try
        {
            await _keeper.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(5));
        }
        catch (TimeoutException)
        {
            _keeper.Kill(entireProcessTree: true);
        }

        _keeper.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static async Task<PeerServer> StartAsync(string program, Identity identity, Func<string, int, string[]> arguments, CancellationToken ct)
    {
        await InstallAsync(program, ct);
        string folder = Directory.CreateTempSubdirectory("gloox-bench-").FullName; // mode 0700: it holds a key
        await File.WriteAllTextAsync(Path.Combine(folder, "authority.pem"), identity.Authority.ExportCertificatePem(), ct);
        await File.WriteAllTextAsync(Path.Combine(folder, "server.pem"), identity.Server.ExportCertificatePem(), ct);
        using (ECDsa key = identity.Server.GetECDsaPrivateKey()!)
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "key.pem"), key.ExportPkcs8PrivateKeyPem(), ct);
        }

        int port = FreePort();
        var start = new ProcessStartInfo("/bin/sh", ["-c", Keeper, "sh", program, .. arguments(folder, port)]) { UseShellExecute = false, RedirectStandardInput = true };
        var server = new PeerServer(Process.Start(start)!, folder, port);
        try
        {
            await ListeningAsync(program, port, ct);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    private static async Task ListeningAsync(string program, int port, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_limit);
        while (true)
        {
            try
            {
                using var probe = new TcpClient();
                await probe.ConnectAsync(IPAddress.Loopback, port, limit.Token);
                return;
            }
            catch (SocketException)
            {
                await Task.Delay(20, ct);
            }
            catch (OperationCanceledException) when (!ct.IsCancellationRequested)
            {
                throw new InvalidOperationException($"{program} did not listen on port {port} within {s_limit.TotalSeconds} s");
            }
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Debian's package, if the program is not there; its own service is not wanted.</summary>
    private static async Task InstallAsync(string program, CancellationToken ct)
    {
        if (Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(folder => File.Exists(Path.Combine(folder, program))))
        {
            return;
        }

        Console.WriteLine($"{program} is missing: apt-get installs Debian's package of that name");
        const string Steps = "apt-get update -qq; DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \"$1\"";
        string[] command = ["/bin/sh", "-c", Steps, "sh", program];
        command = Environment.IsPrivilegedProcess ? command : ["sudo", "-n", .. command];
        int code;
        try
        {
            using Process install = Process.Start(new ProcessStartInfo(command[0], command[1..]) { UseShellExecute = false, RedirectStandardOutput = true })!;
            await install.StandardOutput.ReadToEndAsync(ct).WaitAsync(TimeSpan.FromMinutes(3), ct);
            await install.WaitForExitAsync(ct).WaitAsync(TimeSpan.FromSeconds(30), ct);
            code = install.ExitCode;
        }
        catch (Win32Exception)
        {
            code = -1;
        }

        if (code != 0)
        {
            throw new InvalidOperationException($"{program} could not be installed: on Debian do 'sudo apt-get update && sudo apt-get install {program}', elsewhere put it on the PATH");
        }
    }
}
