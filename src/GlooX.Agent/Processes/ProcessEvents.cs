namespace GlooX.Processes;

/// <summary>Tells whoever watches what happens to the processes of this node. Nobody who is slow holds it up. Thread-safe.</summary>
/// <param name="node">This node, as others reach it.</param>
internal sealed class ProcessEvents(Func<string> node)
{
    private readonly Lock _lock = new();
    private readonly List<(string? Id, EventQueue Queue)> _watchers = [];
    private bool _isClosed;

    /// <summary>What happens from now on, after the word that it is watched.</summary>
    /// <param name="id">Of one process; null: of all.</param>
    public EventQueue Watch(string? id)
    {
        var queue = new EventQueue();
        lock (_lock)
        {
            if (_isClosed)
            {
                queue.Close(); // nothing is watched any more
            }

            queue.Offer(new ProcessEvent(ProcessEventKind.Watching, node(), DateTimeOffset.UtcNow));
            _watchers.Add((id, queue));
        }

        return queue;
    }

    /// <summary>The agent stops: whoever watches is told what has happened, and that nothing more comes.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
            _watchers.ForEach(static w => w.Queue.Close());
        }
    }

    public void Unwatch(EventQueue queue)
    {
        lock (_lock)
        {
            _watchers.RemoveAll(w => w.Queue == queue);
        }
    }

    public void Tell(ProcessEventKind kind, Child child)
    {
        lock (_lock)
        {
            if (_watchers.Count == 0)
            {
                return;
            }

            Tell(About(kind, child));
        }
    }

    /// <summary>It has ended or could not be started, and is started again.</summary>
    public void TellRestart(Child child, TimeSpan pause, string reason)
    {
        lock (_lock)
        {
            Tell(About(ProcessEventKind.Restarting, child) with { Pause = pause, Reason = reason });
        }
    }

    public string Node => node();

    public ProcessEvent About(ProcessEventKind kind, Child child) => new(kind, node(), DateTimeOffset.UtcNow)
    {
        Id = child.Id,
        Name = child.Request.Class,
        Pid = child.Process.Pid,
        Url = child.Url,
        Exit = kind is ProcessEventKind.Restarting or ProcessEventKind.Exited ? child.LastExit : null,
        Restarts = child.Restarts,
        Reason = kind == ProcessEventKind.Exited ? child.Reason : "",
    };

    private void Tell(ProcessEvent happened)
    {
        foreach ((string? id, EventQueue queue) in _watchers)
        {
            if (id is null || id == happened.Id)
            {
                queue.Offer(happened);
            }
        }
    }
}
