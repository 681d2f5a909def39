using System.Collections.Concurrent;

namespace GlooX.Cli;

/// <summary>
/// Lines that a command writes to the console while it does other work: a thread of its own writes them. While the console is not read, up to
/// <see cref="MaxQueued"/> lines wait and further lines are dropped: the command goes on. Thread-safe.
/// </summary>
internal sealed class ConsoleLines : IDisposable
{
    private const int MaxQueued = 1_000;
    private static readonly TimeSpan s_flushTimeout = TimeSpan.FromSeconds(1);
    private readonly BlockingCollection<(TextWriter To, string Line)> _lines = new(MaxQueued);
    private readonly Thread _thread;

    public ConsoleLines()
    {
        _thread = new Thread(Write) { IsBackground = true, Name = "console" };
        _thread.Start();
    }

    public void Line(string line) => Add(Console.Out, line);

    public void Error(string line) => Add(Console.Error, line);

    /// <summary>Waits up to a second until the lines are written.</summary>
    public void Dispose()
    {
        _lines.CompleteAdding();
        if (_thread.Join(s_flushTimeout))
        {
            _lines.Dispose();
        }
    }

    private void Add(TextWriter to, string line)
    {
        try
        {
            _lines.TryAdd((to, line));
        }
        catch (InvalidOperationException)
        {
            // the command is ending
        }
    }

    private void Write()
    {
        foreach ((TextWriter to, string line) in _lines.GetConsumingEnumerable())
        {
            try
            {
                to.WriteLine(line);
            }
            catch (IOException)
            {
                // the reader is gone
            }
        }
    }
}
