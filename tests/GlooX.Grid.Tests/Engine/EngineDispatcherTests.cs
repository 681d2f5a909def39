using Akka.Dispatch;

namespace GlooX.Grid.Tests;

/// <summary>The work queue of an engine.</summary>
public sealed class EngineDispatcherTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private readonly List<Exception> _failures = [];
    private readonly EngineDispatcher _dispatcher;

    public EngineDispatcherTests() => _dispatcher = new EngineDispatcher(_failures.Add);

    [Fact]
    public async Task Nothing_is_lost_however_many_write()
    {
        const int Writers = 8, Each = 20_000;
        int done = 0;
        var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Count()
        {
            if (Interlocked.Increment(ref done) == Writers * Each)
            {
                all.SetResult();
            }
        }

        await Task.WhenAll(Enumerable.Range(0, Writers).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < Each; i++)
            {
                _dispatcher.Add(new Work(Count));
            }
        })));
        await all.Task.WaitAsync(s_limit, TestContext.Current.CancellationToken);
        Assert.Equal(Writers * Each, done);
    }

    [Fact]
    public async Task What_is_stuck_does_not_hold_back_the_rest()
    {
        var stuck = new ManualResetEventSlim(); // not disposed: if the test fails, somebody may still be about to wait
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _dispatcher.Add(new Work(() =>
        {
            begun.SetResult();
            stuck.Wait(); // until the end, so that nothing below can be done because it goes on
        }));
        try
        {
            await begun.Task.WaitAsync(s_limit, TestContext.Current.CancellationToken);

            // As the engine's ticks do: whoever comes once it has been stuck for a while brings help.
            long start = Environment.TickCount64;
            while (!done.Task.IsCompleted)
            {
                Assert.True(Environment.TickCount64 - start < s_limit.TotalMilliseconds, "nobody helps");
                _dispatcher.Add(new Work(() => done.TrySetResult()));
                await Task.WhenAny(done.Task, Task.Delay(5, TestContext.Current.CancellationToken));
            }
        }
        finally
        {
            stuck.Set();
        }
    }

    [Fact]
    public async Task What_fails_is_reported_and_the_rest_is_done()
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _dispatcher.Add(new Work(static () => throw new InvalidOperationException("no luck")));
        _dispatcher.Add(new Work(done.SetResult));
        await done.Task.WaitAsync(s_limit, TestContext.Current.CancellationToken);
        Assert.Equal("no luck", Assert.Single(_failures).Message);
    }

    [Fact]
    public void What_is_given_together_is_done_afterwards_by_the_same_thread()
    {
        var other = new EngineDispatcher(_failures.Add);
        var done = new List<string>();
        int thread = Environment.CurrentManagedThreadId;
        void Note(string what)
        {
            Assert.Equal(thread, Environment.CurrentManagedThreadId);
            done.Add(what);
        }

        EngineDispatcher.RunThenDrain(
            _ =>
            {
                _dispatcher.Add(new Work(() =>
                {
                    Note("first");
                    _dispatcher.Add(new Work(() => Note("its own")));
                }));
                other.Add(new Work(() => Note("other")));
                EngineDispatcher.RunThenDrain(_ => other.Add(new Work(() => Note("within"))), 0);
                Note("action");
            },
            0);
        Assert.Equal(["action", "first", "its own", "other", "within"], done);
        Assert.Empty(_failures);
    }

    [Fact]
    public async Task A_failure_of_what_is_done_together_leaves_the_dispatcher_working()
    {
        bool isDone = false;
        Assert.Throws<InvalidOperationException>(() => EngineDispatcher.RunThenDrain(
            _ =>
            {
                _dispatcher.Add(new Work(() => isDone = true));
                throw new InvalidOperationException();
            },
            0));
        Assert.True(isDone);
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _dispatcher.Add(new Work(done.SetResult));
        await done.Task.WaitAsync(s_limit, TestContext.Current.CancellationToken);
    }

    private sealed class Work(Action action) : IRunnable
    {
        public void Run() => action();

        public void Execute() => action();
    }
}
