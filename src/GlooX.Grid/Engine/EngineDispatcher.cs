using System.Collections.Concurrent;
using Akka.Configuration;
using Akka.Dispatch;

namespace GlooX.Grid;

/// <summary>
/// Runs the work of all of Akka's dispatchers: one queue, emptied by one thread, without timers. A second thread helps only when the first
/// has been busy with one item for a while. Thread-safe.
/// </summary>
internal sealed class EngineDispatcher(Action<Exception> failed) : IThreadPoolWorkItem
{
    // After this many milliseconds an item counts as stuck, and another thread goes on with the rest.
    private const long StuckAfter = 20;
    private const int MaxWorkers = 16;

    // Set while this thread is in RunThenDrain: the dispatchers that it drains at the end.
    [ThreadStatic]
    private static List<EngineDispatcher>? t_deferred;

    private readonly ConcurrentQueue<IRunnable> _work = new();
    private int _workers;
    private long _since;

    /// <summary>Queues an item; never blocks.</summary>
    public void Add(IRunnable work)
    {
        _work.Enqueue(work);
        int workers = Interlocked.CompareExchange(ref _workers, 1, 0); // a full fence: the check comes after the queueing
        if (workers == 0)
        {
            Volatile.Write(ref _since, Environment.TickCount64);
            if (t_deferred is { } deferred)
            {
                deferred.Add(this);
                return;
            }
        }
        else if (workers >= MaxWorkers || Environment.TickCount64 - Volatile.Read(ref _since) <= StuckAfter
            || Interlocked.CompareExchange(ref _workers, workers + 1, workers) != workers)
        {
            return;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <summary>
    /// Runs an action and then, on the same thread, the items that it queued on dispatchers that were idle: a hop to another thread costs
    /// more than most items.
    /// </summary>
    public static void RunThenDrain<T>(Action<T> action, T state)
    {
        if (t_deferred is not null)
        {
            action(state);
            return;
        }

        List<EngineDispatcher> deferred = t_deferred = [];
        try
        {
            action(state);
        }
        finally
        {
            t_deferred = null;
            foreach (EngineDispatcher dispatcher in deferred)
            {
                dispatcher.Execute();
            }
        }
    }

    /// <summary>Empties the queue. The calling thread is already counted as a worker.</summary>
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
#pragma warning disable CA1031 // The queue must be emptied even when one item fails. The failure is reported.
                catch (Exception e)
#pragma warning restore CA1031
                {
                    failed(e);
                }
            }
        }
        while (Leave() == 0 && !_work.IsEmpty && Interlocked.CompareExchange(ref _workers, 1, 0) == 0);
    }

    // Other workers count as stuck until they begin another item: they may have been busy for long.
    private int Leave()
    {
        Volatile.Write(ref _since, 0);
        return Interlocked.Decrement(ref _workers);
    }
}

/// <summary>Makes Akka's dispatchers use the engine's <see cref="EngineDispatcher"/>. Created by Akka.</summary>
#pragma warning disable CA1812
internal sealed class EngineExecutor(Config config, IDispatcherPrerequisites prerequisites)
    : ExecutorServiceConfigurator(config, prerequisites)
#pragma warning restore CA1812
{
    public override ExecutorService Produce(string id) =>
        new Service(id, Prerequisites.Settings.Setup.Get<EngineSetup>().Value.Dispatcher);

    private sealed class Service(string id, EngineDispatcher dispatcher) : ExecutorService(id)
    {
        public override void Execute(IRunnable run) => dispatcher.Add(run);

        public override void Shutdown()
        {
            // nothing to release: the threads are the pool's, and the queue is shared
        }
    }
}
