using System.Diagnostics;
using System.Globalization;
using GlooX.Bench.Peers;

namespace GlooX.Bench;

/// <summary>A server in a process of its own: this program again, with <c>serve KIND FOLDER</c>. It ends when its standard input does.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private readonly Process _process;
    private bool _isDisposed;

    private ServerProcess(Process process) => _process = process;

    public int Pid => _process.Id;

    public int Port { get; private set; }

    public static Task<ServerProcess> StartAsync(IPeer peer, Handover handover, CancellationToken ct) =>
        StartAsync($"the server of {peer.Kind}", ["serve", peer.Kind, handover.Folder], ct);

    /// <summary>Starts this program with other arguments, and waits until it prints its port.</summary>
    public static async Task<ServerProcess> StartAsync(string name, string[] arguments, CancellationToken ct)
    {
        string program = Environment.ProcessPath!;
        var start = new ProcessStartInfo(program) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet")
        {
            start.ArgumentList.Add(typeof(Program).Assembly.Location);
        }

        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        var server = new ServerProcess(Process.Start(start)!);
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
            limit.CancelAfter(TimeSpan.FromSeconds(20));
            string? line = await server._process.StandardOutput.ReadLineAsync(limit.Token);
            server.Port = int.TryParse(line, out int port)
                ? port
                : throw new InvalidOperationException($"{name} printed '{line}' instead of its port");
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>For servers that answer each line of their input with one; one question at a time.</summary>
    public async Task<string> AskLineAsync(string line, CancellationToken ct)
    {
        await _process.StandardInput.WriteLineAsync(line.AsMemory(), ct);
        await _process.StandardInput.FlushAsync(ct);
        return await _process.StandardOutput.ReadLineAsync(ct) ?? throw new InvalidOperationException($"the process {Pid} ended when it was asked '{line}'");
    }

    /// <summary>The other side of <see cref="StartAsync"/>.</summary>
    public static async Task ServeAsync(string kind, string folder, CancellationToken ct)
    {
        IPeer peer = Array.Find(Peer.All, p => p.Kind == kind) ?? throw new ArgumentException($"no peer is called '{kind}'", nameof(kind));
        await using IAsyncDisposable server = await peer.ServeAsync(Handover.Read(folder), port => Console.WriteLine(port.ToString(CultureInfo.InvariantCulture)), ct);
        // Reading the console blocks even when asked not to.
        await Task.Run(Console.In.ReadToEnd, ct).WaitAsync(ct);
    }

    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;

        // The process object holds the pid until it is disposed, so nobody else's process can be hit.
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        await _process.WaitForExitAsync();
        _process.Dispose();
    }
}
