namespace GlooX.Tls;

/// <summary>
/// Connections of callers that have proven nothing yet. One that has sent nothing costs little; once its bytes are there it waits to be served,
/// as one of a bounded number. Room is shared out by source (<see cref="SourceAddress"/>): where there is none, the source that holds most
/// gives way, so a host keeps nobody else out, however many connections it opens. Among the connections of one source, those that have sent
/// nothing give way first. Thread-safe.
/// </summary>
internal sealed class AdmissionQueue(AdmissionLimits limits, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Source> _sources = new(StringComparer.Ordinal);
    private int _silent;
    private int _ready;
    private int _active;

    /// <summary>A connection has come. It must be disposed when it was served.</summary>
    public Entry Enter(string source)
    {
        lock (_gate)
        {
            if (!_sources.TryGetValue(source, out Source? own))
            {
                _sources.Add(source, own = new Source(source));
            }

            var entry = new Entry(this, own);
            own.Silent.AddLast(entry.Place);
            if (++_silent + _ready > limits.Waiting)
            {
                Source most = _sources.Values.MaxBy(static s => s.Silent.Count + s.Ready.Count)!;
                Evict((most.Silent.First ?? most.Ready.Last)!.Value);
            }

            return entry;
        }
    }

    private Task StartAsync(Entry entry, CancellationToken ct)
    {
        lock (_gate)
        {
            if (entry.Place.List is null)
            {
                return Task.FromCanceled(entry.Late); // it has given way
            }

            Source own = entry.Source;
            own.Silent.Remove(entry.Place);
            _silent--;
            own.Ready.AddLast(entry.Place);
            _ready++;
            if (own.Ready.Count == 1 && MakeRoom(own))
            {
                Begin(entry);
                return Task.CompletedTask;
            }
        }

        return entry.Started.Task.WaitAsync(ct);
    }

    // All below under the lock.
    private void Begin(Entry entry)
    {
        entry.Source.Ready.Remove(entry.Place);
        _ready--;
        entry.Source.Active.AddLast(entry.Place);
        _active++;
        entry.Timer = time.CreateTimer(static e => ((Entry)e!).OnFairTime(), entry, limits.FairTime, Timeout.InfiniteTimeSpan);
        entry.Started.TrySetResult();
    }

    /// <summary>Whether one more of the source may be served; another one gives way if need be.</summary>
    private bool MakeRoom(Source own)
    {
        bool isOwnFull = own.Active.Count >= limits.ActivePerSource;
        if (!isOwnFull && _active < limits.Active)
        {
            return true;
        }

        Source most = isOwnFull ? own : _sources.Values.MaxBy(static s => s.Active.Count)!;
        Entry oldest = most.Active.First!.Value;
        if (most.Active.Count <= own.Active.Count + 1 && !oldest.IsOverdue)
        {
            return false;
        }

        Evict(oldest);
        return true;
    }

    private void Evict(Entry entry)
    {
        Remove(entry);
        _ = entry.EvictAsync();
    }

    private void Remove(Entry entry)
    {
        Source own = entry.Source;
        if (entry.Place.List is not { } list)
        {
            return;
        }

        list.Remove(entry.Place);
        _ = list == own.Silent ? _silent-- : list == own.Ready ? _ready-- : _active--;
        entry.Timer?.Dispose();
        if (own.Silent.Count + own.Ready.Count + own.Active.Count == 0)
        {
            _sources.Remove(own.Name);
        }
    }

    /// <summary>Lets those that wait begin, as far as there is room; takes the lock.</summary>
    private void Dispatch()
    {
        lock (_gate)
        {
            while (_ready > 0
                && _sources.Values.Where(static s => s.Ready.Count > 0).OrderBy(static s => s.Active.Count).FirstOrDefault(MakeRoom) is { } next)
            {
                Begin(next.Ready.First!.Value);
            }
        }
    }

    private void OnFairTime(Entry entry)
    {
        lock (_gate)
        {
            entry.IsOverdue = true;
        }

        Dispatch();
    }

    private void Leave(Entry entry)
    {
        lock (_gate)
        {
            Remove(entry);
        }

        Dispatch();
    }

    /// <summary>The connections of one source, each list by age.</summary>
    internal sealed class Source(string name)
    {
        public string Name => name;

        /// <summary>They have sent nothing.</summary>
        public LinkedList<Entry> Silent { get; } = new();

        /// <summary>They wait to be served.</summary>
        public LinkedList<Entry> Ready { get; } = new();

        /// <summary>They are served.</summary>
        public LinkedList<Entry> Active { get; } = new();
    }

    /// <summary>One connection, until its disposal.</summary>
    internal sealed class Entry : IDisposable
    {
        private readonly AdmissionQueue _queue;
        private readonly CancellationTokenSource _late = new(); // without a timer it needs no disposal

        public Entry(AdmissionQueue queue, Source source) => (_queue, Source, Place) = (queue, source, new LinkedListNode<Entry>(this));

        public Source Source { get; }

        public LinkedListNode<Entry> Place { get; }

        public TaskCompletionSource Started { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>It was served for the fair time.</summary>
        public bool IsOverdue { get; set; }

        public ITimer? Timer { get; set; }

        /// <summary>Cancelled when the connection must give way to another one.</summary>
        public CancellationToken Late => _late.Token;

        /// <summary>Its bytes are there: completes when it may be served.</summary>
        public Task StartAsync(CancellationToken ct) => _queue.StartAsync(this, ct);

        public void OnFairTime() => _queue.OnFairTime(this);

        public Task EvictAsync() => _late.CancelAsync();

        public void Dispose() => _queue.Leave(this);
    }
}
