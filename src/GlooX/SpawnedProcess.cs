using GlooX.Spawning;

namespace GlooX;

/// <summary>A process that was spawned and answers. Disposing closes the line to it; it does not end the process.</summary>
public sealed class SpawnedProcess : IAsyncDisposable
{
    private readonly GlooXClient? _line;
    private readonly GlooXClient _agent;

    internal SpawnedProcess(SpawnReply reply, RpcClientOptions? options)
    {
        Id = reply.Id;
        Pid = reply.Pid;
        Node = reply.Node;
        Url = reply.Url;
        _line = reply.Url.Length > 0 ? GlooXClient.Connect(reply.Url, options) : null;
        _agent = GlooXClient.Connect(reply.Node, options);
    }

    /// <summary>Names the process at its node.</summary>
    public string Id { get; }

    /// <summary>Its process id, on its node's machine.</summary>
    public int Pid { get; }

    /// <summary>The agent that runs it, as <c>host:port</c>.</summary>
    public string Node { get; }

    /// <summary>Where it answers, as <c>host:port</c>; empty: it is an executable, which is not called.</summary>
    public string Url { get; }

    private GlooXClient Line => _line ?? throw new InvalidOperationException($"process {Id} is an executable: it answers no calls");

    /// <inheritdoc cref="RpcClient.CallAsync{T}(string, object?[])"/>
    public ValueTask<T?> CallAsync<T>(string method, params object?[] arguments) => Line.CallAsync<T>(method, arguments);

    /// <summary>The process as a contract.</summary>
    /// <typeparam name="T">An interface with <see cref="RpcServiceAttribute"/>.</typeparam>
    /// <returns>A proxy; keep it.</returns>
    public T As<T>()
        where T : class => Line.As<T>();

    /// <summary>Kills the process and all that it started.</summary>
    /// <param name="ct">Gives up.</param>
    /// <returns>How it ended.</returns>
    public async Task<ExitStatus> KillAsync(CancellationToken ct = default)
    {
        await _agent.Service.KillAsync(Id, ct).ConfigureAwait(false);
        return await WaitForExitAsync(ct).ConfigureAwait(false);
    }

    /// <summary>Waits until the process has ended.</summary>
    /// <param name="ct">Gives up.</param>
    /// <returns>How it ended.</returns>
    public async Task<ExitStatus> WaitForExitAsync(CancellationToken ct = default)
    {
        int[] exit = await _agent.Service.WaitAsync(Id, ct).ConfigureAwait(false);
        return new ExitStatus(exit[0], exit[1]);
    }

    /// <summary>Closes the line.</summary>
    /// <returns>Completes when it is closed.</returns>
    public async ValueTask DisposeAsync()
    {
        if (_line is not null)
        {
            await _line.DisposeAsync().ConfigureAwait(false);
        }

        await _agent.DisposeAsync().ConfigureAwait(false);
    }
}
