using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// What a process writes: a file for each of its two outputs. This agent notes when something is new and keeps the files within bounds; any
/// number of readers may read them or follow.
/// </summary>
internal sealed class ChildOutput
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(5);
    private readonly OutputFile[] _files;
    private readonly bool _adopted;
    private TaskCompletionSource _changed = NewSignal();
    private volatile bool _ended;

    /// <param name="log">The file of the standard output; that of the error output lies beside it.</param>
    /// <param name="adopted">The process was another agent's: what is there was shown already.</param>
    public ChildOutput(string log, bool adopted = false)
    {
        _files = [new OutputFile(log, OutputStream.Output), new OutputFile(ErrorsOf(log), OutputStream.Error)];
        _adopted = adopted;
    }

    /// <summary>The file of the error output.</summary>
    public static string ErrorsOf(string log) => log == "/dev/null" ? log : Path.ChangeExtension(log, ".err");

    public static void Delete(string log)
    {
        OutputFile.Delete(log);
        OutputFile.Delete(ErrorsOf(log));
    }

    /// <summary>The ends of both outputs, for a message; empty if it wrote nothing.</summary>
    public static string LastLines(string log)
    {
        string[] lines = [.. LastOf(log), .. LastOf(ErrorsOf(log))];
        return lines.Length == 0 ? "" : $"\nlast lines of its output:\n{string.Join('\n', lines)}";

        static IEnumerable<string> LastOf(string file) => File.Exists(file) ? File.ReadLines(file).TakeLast(10) : [];
    }

    /// <summary>
    /// Notes when the process writes and keeps the files within bounds, until the process has ended. A failure is logged, and the files are
    /// looked at again after a pause. Never throws.
    /// </summary>
    /// <param name="name">Of the process.</param>
    /// <param name="exited">Its end.</param>
    /// <param name="echo">Is handed each line as well; null: no line is.</param>
    /// <param name="logger">Receives failures.</param>
    public async Task FollowAsync(string name, Task exited, OutputEcho? echo, ILogger logger)
    {
        LineReader[]? readers = null;
        bool isOld = _adopted; // what is there was written before this agent, and shown already
        TimeSpan pause = s_look;
        while (true)
        {
            bool last = exited.IsCompleted, changed = last;
            try
            {
                if (echo is not null)
                {
                    readers ??= [.. _files.Select(f => new LineReader(f, _adopted ? f.StartOfLast(0) : 0))];
                }

                changed |= Look(isOld ? null : DateTimeOffset.UtcNow);
                isOld = false;
                for (List<LogLine> lines; changed && readers is not null && (lines = Next(readers, last)).Count > 0;)
                {
                    lines.ForEach(l => echo!.Offer($"{name} | {l.Text}"));
                }

                pause = s_look;
            }
#pragma warning disable CA1031 // Logged and tried again: what a process writes is nothing that its end may fail for.
            catch (Exception e)
#pragma warning restore CA1031
            {
                if (pause == s_look)
                {
                    logger.OutputFailed(name, e.Message);
                }

                pause = pause * 2 < s_longestPause ? pause * 2 : s_longestPause;
            }

            if (changed)
            {
                _ended = last;
                Interlocked.Exchange(ref _changed, NewSignal()).SetResult();
            }

            if (last)
            {
                return;
            }

            await Task.WhenAny(exited, Task.Delay(pause)).ConfigureAwait(false);
        }
    }

    /// <summary>What was written, and what will be.</summary>
    /// <param name="last">How many lines of what was; <see cref="int.MaxValue"/>: all that is kept.</param>
    /// <param name="follow">Whether to go on until the process has ended.</param>
    /// <param name="ct">Ends it.</param>
    public async IAsyncEnumerable<LogLine[]> ReadAsync(int last, bool follow, [EnumeratorCancellation] CancellationToken ct)
    {
        LineReader[] readers = [.. _files.Select(f => new LineReader(f, f.StartOfLast(last)))];
        Queue<LogLine>? past = last == int.MaxValue ? null : new();
        while (true)
        {
            Task changed = Volatile.Read(ref _changed).Task;
            bool ended = _ended;
            for (List<LogLine> lines; (lines = Next(readers, whole: ended || !follow)).Count > 0;)
            {
                if (past is null)
                {
                    yield return [.. lines];
                    continue;
                }

                lines.ForEach(past.Enqueue);
                while (past.Count > last)
                {
                    past.Dequeue();
                }
            }

            foreach (LogLine[] some in past?.Chunk(200) ?? [])
            {
                yield return some;
            }

            past = null;
            if (ended || !follow)
            {
                yield break;
            }

            await changed.WaitAsync(ct).ConfigureAwait(false);
        }
    }

    /// <summary>Where both outputs end now.</summary>
    public long[] Ends() => [.. _files.Select(static f => f.StartOfLast(0))];

    /// <summary>Until a line with a text is written, or the process has ended.</summary>
    /// <param name="text">What it contains.</param>
    /// <param name="from">Where in both outputs to begin.</param>
    /// <param name="exited">Its end.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Whether it is written.</returns>
    public async Task<bool> FindAsync(string text, long[] from, Task exited, CancellationToken ct)
    {
        LineReader[] readers = [.. _files.Zip(from, static (f, at) => new LineReader(f, at))];
        while (true)
        {
            Task changed = Volatile.Read(ref _changed).Task;
            bool ended = exited.IsCompleted;
            for (List<LogLine> lines; (lines = Next(readers, whole: ended)).Count > 0;)
            {
                if (lines.Exists(l => l.Text.Contains(text, StringComparison.Ordinal)))
                {
                    return true;
                }
            }

            if (ended)
            {
                return false;
            }

            await Task.WhenAny(changed, exited).WaitAsync(ct).ConfigureAwait(false);
        }
    }

    // The two outputs know nothing of each other: their lines are put in order by when they were seen.
    private static List<LogLine> Next(LineReader[] readers, bool whole) =>
        [.. readers.SelectMany(r => r.Read(whole)).OrderBy(static l => l.Time)];

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private bool Look(DateTimeOffset? now) => _files[0].Look(now) | _files[1].Look(now);
}
