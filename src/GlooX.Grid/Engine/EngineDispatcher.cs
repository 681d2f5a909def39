using System.Collections.Concurrent;
using Akka.Configuration;
using Akka.Dispatch;

namespace GlooX.Grid;

/// <summary>
/// Where the engine's dispatchers have their work done: one queue, which one thread empties, and no timers. A second thread helps only when
/// the first has been at one piece for a while. Thread-safe.
/// </summary>
internal sealed class EngineLine(Action<Exception> failed) : IThreadPoolWorkItem
{
    // After this, in ms, a piece of work is taken for stuck, and another thread goes on with the rest.
    private const long Patience = 20;
    private const int MostWorkers = 16;

    // The lines whose work this thread does when it has written all of it.
    [ThreadStatic]
    private static List<EngineLine>? t_held;

    private readonly ConcurrentQueue<IRunnable> _work = new();
    private int _workers;
    private long _since;

    /// <summary>Never blocks.</summary>
    public void Add(IRunnable work)
    {
        _work.Enqueue(work);
        int workers = Interlocked.CompareExchange(ref _workers, 1, 0); // also orders the check after the queueing
        if (workers == 0)
        {
            Volatile.Write(ref _since, Environment.TickCount64);
            if (t_held is { } held)
            {
                held.Add(this);
                return;
            }
        }
        else if (workers >= MostWorkers || Environment.TickCount64 - Volatile.Read(ref _since) <= Patience
            || Interlocked.CompareExchange(ref _workers, workers + 1, workers) != workers)
        {
            return;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <summary>Does something and then, on the same thread, the work that it has given to lines on which nobody was at work.</summary>
    public static void Together<T>(Action<T> action, T state)
    {
        if (t_held is not null)
        {
            action(state);
            return;
        }

        List<EngineLine> held = t_held = [];
        try
        {
            action(state);
        }
        finally
        {
            t_held = null;
            foreach (EngineLine line in held)
            {
                line.Execute();
            }
        }
    }

    /// <summary>Empties the queue; whoever calls this is counted among the workers already.</summary>
    public void Execute()
    {
        do
        {
            while (_work.TryDequeue(out IRunnable? work))
            {
                Volatile.Write(ref _since, Environment.TickCount64);
                try
                {
                    work.Run();
                }
#pragma warning disable CA1031 // The queue must be emptied whatever one piece of it does. The failure is reported.
                catch (Exception e)
#pragma warning restore CA1031
                {
                    failed(e);
                }
            }
        }
        while (Leave() == 0 && !_work.IsEmpty && Interlocked.CompareExchange(ref _workers, 1, 0) == 0);
    }

    // Others that are still at work count as stuck until they begin with something else: they may have been at it for long.
    private int Leave()
    {
        Volatile.Write(ref _since, 0);
        return Interlocked.Decrement(ref _workers);
    }
}

/// <summary>Makes Akka's dispatchers use the engine's line. Created by Akka.</summary>
#pragma warning disable CA1812
internal sealed class EngineExecutor(Config config, IDispatcherPrerequisites prerequisites) : ExecutorServiceConfigurator(config, prerequisites)
#pragma warning restore CA1812
{
    public override ExecutorService Produce(string id) => new Service(id, Prerequisites.Settings.Setup.Get<EngineSetup>().Value.Line);

    private sealed class Service(string id, EngineLine line) : ExecutorService(id)
    {
        public override void Execute(IRunnable run) => line.Add(run);

        public override void Shutdown()
        {
            // threads of the pool, and a queue that the dispatchers share
        }
    }
}
