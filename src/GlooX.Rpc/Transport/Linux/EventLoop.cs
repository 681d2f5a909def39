using System.Collections.Concurrent;
using System.ComponentModel;
using System.Globalization;

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

    // In ticks without progress: a thread that sleeps is blocked; one that is ready to run may be computing, or only have no core. It computes
    // if it was given processor time meanwhile, in the kernel's units of 10 ms.
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
    private static LoopThread? t_current;

    private readonly int _epoll = Epoll.Create();
    private readonly ConcurrentDictionary<ulong, SocketStream> _streams = new();
    private LoopThread _thread;
    private long _progress;
    private long _progressSeen;
    private int _stalled;
    private long _used; // processor time of the thread when it was first seen not to go on
    private int _busy;

    private EventLoop()
    {
        _thread = new LoopThread(this);
        _thread.Start();
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
        if (t_current is not { Work: null } thread)
        {
            return false;
        }

        Interlocked.Exchange(ref thread.Work, work); // before IsRetired is read: the monitor retires the thread before it reads Work
        Watch();

        if (!thread.IsRetired)
        {
            return true;
        }

        thread.Work = null;
        return false;
    }

    /// <summary>Users' code is about to run, here or elsewhere: the monitor is to watch.</summary>
    public static void Watch()
    {
        if (Volatile.Read(ref s_monitorSleeps) != 0 && Interlocked.Exchange(ref s_monitorSleeps, 0) != 0)
        {
            s_wakeMonitor.Release();
        }
    }

    /// <summary>Some work is done. False: the loop was taken over, and what this thread has not begun should go elsewhere.</summary>
    public static bool Progress()
    {
        LoopThread thread = t_current!;
        EventLoop loop = thread.Loop;
        Volatile.Write(ref loop._progress, loop._progress + 1);
        return !thread.IsRetired;
    }

    /// <summary>The work begun by <see cref="TryBegin"/> is over.</summary>
    public static void End() => Volatile.Write(ref t_current!.Work, null);

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
        var pool = new ThreadPoolMonitor();
        int quiet = 0;
        while (true)
        {
            bool isBusy = false;
            foreach (EventLoop? loop in s_loops)
            {
                isBusy |= loop?.Look() == true;
            }

            pool.Look(Environment.TickCount64, isBusy: true);
            quiet = isBusy ? 0 : quiet + 1;
            if (quiet < QuietTicks)
            {
                Thread.Sleep(s_tick);
                continue;
            }

            quiet = 0;
            Interlocked.Exchange(ref s_monitorSleeps, 1);
            if (Array.Exists(s_loops, static loop => loop is not null && Volatile.Read(ref loop._thread.Work) is not null))
            {
                Interlocked.Exchange(ref s_monitorSleeps, 0);
                continue;
            }

            // Once more, for what the loops have begun may come to block the thread pool a little later.
            bool isWatched = true;
            for (bool isFirst = true; !s_wakeMonitor.Wait(isWatched ? ThreadPoolMonitor.Pause : Timeout.Infinite); isFirst = false)
            {
                isWatched = pool.Look(Environment.TickCount64, isBusy: isFirst);
            }
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

        // A thread that computes is replaced only if it runs user code; the library's own code is merely slow.
        LoopThread blocked = _thread;
        if (++_stalled < Asleep)
        {
            return true;
        }

        (bool isAsleep, long used) = blocked.Observe();
        _used = _stalled == Asleep ? used : _used;
        if (isAsleep || (_stalled >= Computing && used > _used && Volatile.Read(ref blocked.Work) is not null))
        {
            _stalled = 0;
            LoopThread next = new(this) { Events = blocked.Events };
            _thread = next;
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
    private sealed class LoopThread(EventLoop loop)
    {
        public IInlineWork? Work;
        private int _threadId;
        private int _retired;

        public EventLoop Loop => loop;

        public bool IsRetired => Volatile.Read(ref _retired) != 0;

        /// <summary>The events at hand; at first, what the thread before it has left.</summary>
        public EventBatch? Events { get; set; }

        /// <summary>
        /// Whether the thread waits for something rather than for a core, and how much processor time it has had (proc(5): the state follows the
        /// name in brackets, utime and stime are 11 and 12 fields further on).
        /// </summary>
        public (bool IsAsleep, long Used) Observe()
        {
            try
            {
                string stat = File.ReadAllText($"/proc/self/task/{Volatile.Read(ref _threadId)}/stat");
                string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
                return (fields[0] != "R", long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or IndexOutOfRangeException or FormatException)
            {
                return (true, 0);
            }
        }

        public void Retire() => Interlocked.Exchange(ref _retired, 1);

        public void Start() => new Thread(Run, StackBytes) { IsBackground = true, Name = "GlooX sockets" }.UnsafeStart();

        private void Run()
        {
            Volatile.Write(ref _threadId, Epoll.ThreadId());
            t_current = this;
            if (Events is { } left)
            {
                Handle(left);
            }

            var events = new EventBatch();
            Events = events;
            while (!IsRetired)
            {
                Interlocked.Exchange(ref loop._busy, 0);
                events.Fill(loop._epoll);
                Interlocked.Exchange(ref loop._busy, 1);
                Handle(events); // all of them, even if the thread is retired: the kernel reports an edge once
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
