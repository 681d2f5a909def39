using GlooX.Hosts;

namespace GlooX.Processes;

/// <summary>One start of a process, with all that ends with it.</summary>
internal sealed class ProcessRun(ChildProcess process, ResourceEnforcer enforcer, AgentWorkspace workspace)
{
    private Task? _closed;

    public ChildProcess Process { get; } = process;

    public ResourceEnforcer Enforcer { get; } = enforcer;

    /// <summary>What the pool is told of when the start is over; null: nothing.</summary>
    public Host? Host { get; init; }

    /// <summary>A copy of its files that is its own; null: it has those of the store.</summary>
    public string? Files { get; init; }

    /// <summary>What the process knows to be revoked; null: nothing was said to it.</summary>
    public IReadOnlyList<Revocation>? Told { get; set; }

    /// <summary>That it is being told.</summary>
    public Task Telling { get; set; } = Task.CompletedTask;

    /// <summary>After the process has ended: nothing of it is left, but its folder.</summary>
    public Task CloseAsync() => _closed ??= EndAsync();

    private async Task EndAsync()
    {
        try
        {
            await Enforcer.EndAsync().ConfigureAwait(false);
        }
        finally
        {
            Process.Control?.Dispose();
            if (Files is not null)
            {
                workspace.Remove(Files);
            }
        }
    }
}
