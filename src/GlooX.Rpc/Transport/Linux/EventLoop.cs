using System.Collections.Concurrent;
using System.ComponentModel;

namespace GlooX.Transport.Linux;

/// <summary>Work that runs on the thread of an event loop and may turn out to block it.</summary>
internal interface IInlineWork
{
    /// <summary>The work has held its thread for too long: whatever else this object has to do goes elsewhere. Called by another thread.</summary>
    void Rescue();
}

/// <summary>
/// A thread that waits for sockets and runs at once, itself, what was waiting for them: no hop to the thread pool, which costs more than a
/// small call does. That may be a user's code, and it may block. So a monitor looks at the loops that are busy every few milliseconds, and
/// when one makes no progress, another thread takes the loop over, from the very event after the one that blocks; the blocked thread goes
/// on with what it does, and ends.
/// </summary>
/// <remarks>
/// The monitor is that of Go's runtime (sysmon), applied to a loop. It sleeps while no loop runs work that may block. Thread-safe.
/// </remarks>
internal sealed class EventLoop
{
    private const int MaxEvents = 128;
    private const int MaxLoops = 16;
    private const int StackBytes = 4 << 20; // it runs users' code; only what is used takes memory
    private const int QuietTicks = 5;

    // In ticks without progress: a thread that sleeps is blocked; one that is ready to run may be computing, or only have no core.
    private const int Asleep = 2;
    private const int Computing = 10;
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(2);
    private static readonly EventLoop?[] s_loops = new EventLoop?[Math.Clamp(Environment.ProcessorCount, 1, MaxLoops)];
    private static readonly Lock s_gate = new();
    private static readonly SemaphoreSlim s_wakeMonitor = new(0);
    private static int s_next = -1;
    private static bool s_monitorStarted;
    private static int s_monitorSleeps;

    [ThreadStatic]
    private static Turn? t_turn;

    private readonly int _epoll = Epoll.Create();
    private readonly ConcurrentDictionary<ulong, SocketStream> _streams = new();
    private Turn _turn;
    private long _progress;
    private long _progressSeen;
    private int _stalled;
    private int _busy;

    private EventLoop()
    {
        _turn = new Turn(this);
        _turn.Start();
    }

    /// <summary>The loop for one more socket.</summary>
    /// <exception cref="Win32Exception">The process is out of descriptors.</exception>
    public static EventLoop Next()
    {
        int index = (int)((uint)Interlocked.Increment(ref s_next) % (uint)s_loops.Length);
        if (Volatile.Read(ref s_loops[index]) is { } loop)
        {
            return loop;
        }

        lock (s_gate)
        {
            if (!s_monitorStarted)
            {
                s_monitorStarted = true;
                new Thread(Monitor, 256 * 1024) { IsBackground = true, Name = "GlooX monitor" }.UnsafeStart();
            }

            loop = s_loops[index] ?? new EventLoop();
            Volatile.Write(ref s_loops[index], loop);
            return loop;
        }
    }

    /// <summary>Whether this thread may run work inline: it is a loop's own, and nobody has taken the loop over.</summary>
    /// <param name="work">Whom to rescue if the work blocks.</param>
    public static bool TryBegin(IInlineWork work)
    {
        if (t_turn is not { Work: null } turn)
        {
            return false;
        }

        Interlocked.Exchange(ref turn.Work, work); // before the look at the turn, as the monitor ends the turn before it looks at the work
        if (Volatile.Read(ref s_monitorSleeps) != 0 && Interlocked.Exchange(ref s_monitorSleeps, 0) != 0)
        {
            s_wakeMonitor.Release();
        }

        if (!turn.IsOver)
        {
            return true;
        }

        turn.Work = null;
        return false;
    }

    /// <summary>Some work is done. False: the loop was taken over, and what this thread has not begun should go elsewhere.</summary>
    public static bool Progress()
    {
        Turn turn = t_turn!;
        EventLoop loop = turn.Loop;
        Volatile.Write(ref loop._progress, loop._progress + 1);
        return !turn.IsOver;
    }

    /// <summary>The work begun by <see cref="TryBegin"/> is over.</summary>
    public static void End() => Volatile.Write(ref t_turn!.Work, null);

    public void Add(SocketStream stream, nint descriptor, ulong tag)
    {
        _streams[tag] = stream;
        try
        {
            Epoll.Watch(_epoll, descriptor, tag);
        }
        catch
        {
            _streams.TryRemove(tag, out _);
            throw;
        }
    }

    public void Remove(ulong tag) => _streams.TryRemove(tag, out _);

    private static void Monitor()
    {
        int quiet = 0;
        while (true)
        {
            bool busy = false;
            foreach (EventLoop? loop in s_loops)
            {
                busy |= loop?.Look() == true;
            }

            quiet = busy ? 0 : quiet + 1;
            if (quiet < QuietTicks)
            {
                Thread.Sleep(s_tick);
                continue;
            }

            quiet = 0;
            Interlocked.Exchange(ref s_monitorSleeps, 1);
            if (Array.Exists(s_loops, static loop => loop is not null && Volatile.Read(ref loop._turn.Work) is not null))
            {
                Interlocked.Exchange(ref s_monitorSleeps, 0);
                continue;
            }

            s_wakeMonitor.Wait();
        }
    }

    /// <summary>True: this loop was at work. Called by the monitor.</summary>
    private bool Look()
    {
        long progress = Volatile.Read(ref _progress);
        bool moved = progress != _progressSeen;
        _progressSeen = progress;
        if (moved || Volatile.Read(ref _busy) == 0)
        {
            _stalled = 0;
            return moved;
        }

        // Only work that said it may block is taken from its thread; the rest is ours and only slow.
        Turn blocked = _turn;
        if (++_stalled >= Asleep && Volatile.Read(ref blocked.Work) is not null && (_stalled >= Computing || blocked.IsAsleep))
        {
            _stalled = 0;
            Turn next = new(this) { Events = blocked.Events };
            _turn = next;
            blocked.Retire();
            Volatile.Read(ref blocked.Work)?.Rescue();
            next.Start();
        }

        return true;
    }

    /// <summary>The events that one wait has brought; two threads may take from them.</summary>
    private sealed class EventBatch
    {
        public readonly byte[] Bytes = new byte[MaxEvents * Epoll.EventSize];
        private int _count;
        private int _next;

        public bool TryTake(out uint what, out ulong tag)
        {
            int index = Interlocked.Increment(ref _next) - 1;
            if (index >= _count)
            {
                (what, tag) = (0, 0);
                return false;
            }

            (what, tag) = Epoll.Read(Bytes, index);
            return true;
        }

        public void Fill(int epoll)
        {
            _count = Epoll.Wait(epoll, Bytes);
            _next = 0;
        }
    }

    /// <summary>One thread's time as the loop's own.</summary>
    private sealed class Turn(EventLoop loop)
    {
        public IInlineWork? Work;
        private int _thread;
        private int _over;

        public EventLoop Loop => loop;

        public bool IsOver => Volatile.Read(ref _over) != 0;

        /// <summary>The events at hand; at first, what the turn before has left.</summary>
        public EventBatch? Events { get; set; }

        /// <summary>Whether the thread waits for something rather than for a core (proc(5): the state follows the name in brackets).</summary>
        public bool IsAsleep
        {
            get
            {
                try
                {
                    string stat = File.ReadAllText($"/proc/self/task/{Volatile.Read(ref _thread)}/stat");
                    return stat[stat.LastIndexOf(')') + 2] != 'R';
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException or IndexOutOfRangeException)
                {
                    return true;
                }
            }
        }

        public void Retire() => Interlocked.Exchange(ref _over, 1);

        public void Start() => new Thread(Run, StackBytes) { IsBackground = true, Name = "GlooX sockets" }.UnsafeStart();

        private void Run()
        {
            Volatile.Write(ref _thread, Epoll.ThreadId());
            t_turn = this;
            if (Events is { } left)
            {
                Handle(left);
            }

            var events = new EventBatch();
            Events = events;
            while (!IsOver)
            {
                Interlocked.Exchange(ref loop._busy, 0);
                events.Fill(loop._epoll);
                Interlocked.Exchange(ref loop._busy, 1);
                Handle(events); // all of them, even if the turn is over: they are said once
            }
        }

        private void Handle(EventBatch events)
        {
            while (events.TryTake(out uint what, out ulong tag))
            {
                if (loop._streams.TryGetValue(tag, out SocketStream? stream))
                {
                    stream.OnEvent(what);
                }

                Volatile.Write(ref loop._progress, loop._progress + 1);
            }
        }
    }
}
