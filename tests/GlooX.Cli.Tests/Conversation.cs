using System.Diagnostics;

namespace GlooX.Cli.Tests;

/// <summary>A process that is told things, line by line, and says things. It is killed when the test ends, if it still runs.</summary>
internal sealed class Conversation : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);
    private readonly Process _process;
    private readonly Task<string> _errors;
    private readonly List<string> _heard = [];
    private int _isDisposed;

    public Conversation(Process process) => (_process, _errors) = (process, process.StandardError.ReadToEndAsync());

    /// <summary>All lines so far.</summary>
    public IReadOnlyList<string> Heard => _heard;

    public int Pid => _process.Id;

    public Task SayAsync(string line) => _process.StandardInput.WriteLineAsync(line);

    /// <summary>Says something and hears the next line, which must begin so.</summary>
    public async Task<string> AskAsync(string line, string beginning)
    {
        await SayAsync(line);
        string? answer = await NextAsync();
        Assert.True(answer?.StartsWith(beginning, StringComparison.Ordinal), $"'{line}' was answered by '{answer}'");
        return answer!;
    }

    /// <summary>Hears lines up to the first that contains the text.</summary>
    public async Task<string> HearAsync(string text)
    {
        while (true)
        {
            string? line;
            try
            {
                line = await NextAsync();
            }
            catch (TimeoutException)
            {
                line = null;
            }

            if (line is null)
            {
                Assert.Fail($"'{text}' was not said, but: {string.Join(" | ", _heard)}{(_process.HasExited ? $" | {await _errors}" : "")}");
            }

            if (line.Contains(text, StringComparison.Ordinal))
            {
                return line;
            }
        }
    }

    /// <summary>Asks again until the answer is that.</summary>
    public async Task UntilAsync(string line, string beginning, string answer)
    {
        using var limit = new CancellationTokenSource(s_patience);
        string last = "";
        while ((last = await AskAsync(line, beginning)) != answer)
        {
            Assert.False(limit.IsCancellationRequested, $"'{line}' is still answered by '{last}', not by '{answer}'");
            await Task.Delay(50);
        }
    }

    /// <summary>Ends its input.</summary>
    public void FallSilent() => _process.StandardInput.Close();

    /// <summary>As <c>kill -SIGNAL PID</c>.</summary>
    public async Task SignalAsync(string signal)
    {
        using Process kill = Process.Start("kill", [$"-{signal}", $"{_process.Id}"]);
        await kill.WaitForExitAsync().WaitAsync(s_patience);
    }

    /// <summary>As <c>kill -9</c>; whoever runs it in another network has become it, so nothing is left.</summary>
    public async Task KillAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync().WaitAsync(s_patience);
    }

    /// <summary>Hears all to its end.</summary>
    public async Task<Outcome> EndAsync()
    {
        while (await NextAsync() is not null)
        {
        }

        await _process.WaitForExitAsync().WaitAsync(s_patience);
        return new Outcome(_process.ExitCode, string.Join('\n', _heard), await _errors);
    }

    /// <summary>Ends the process, once: the shell disposes its conversations too.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return;
        }

        if (!_process.HasExited)
        {
            await KillAsync();
        }

        _process.Dispose();
    }

    private async Task<string?> NextAsync()
    {
        string? line = await _process.StandardOutput.ReadLineAsync().WaitAsync(s_patience);
        if (line is not null)
        {
            _heard.Add(line);
        }

        return line;
    }
}
