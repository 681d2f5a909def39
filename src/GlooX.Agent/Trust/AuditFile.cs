using System.Text;
using System.Threading.Channels;
using GlooX.Workers;
using Microsoft.Extensions.Logging;

namespace GlooX.Trust;

/// <summary>
/// A file to which records of the audit log are appended, one JSON object a line, by a loop of its own: nobody who has something recorded waits for
/// the disk. Up to 10,000 records wait while the disk is slow or full; further ones are lost, and a record of its own says how many. The
/// file is opened anew for each batch, so it may be moved away at any time. Thread-safe.
/// </summary>
internal sealed partial class AuditFile : IAsyncDisposable
{
    private const int MostWaiting = 10_000;
    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_endLimit = TimeSpan.FromSeconds(2);
    private readonly Channel<string> _waiting = Channel.CreateBounded<string>(new BoundedChannelOptions(MostWaiting) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });
    private readonly string _file;
    private readonly ILogger _logger;
    private Task _writing = Task.CompletedTask;
    private readonly CancellationTokenSource _stop = new();
    private long _lost;
    private bool _isTold;
    private bool _isCut;

    /// <param name="file">Created, for this user alone, when it is missing.</param>
    /// <param name="logger">Receives that records cannot be written.</param>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be opened.</exception>
    public AuditFile(string file, ILogger logger)
    {
        (_file, _logger) = (Path.GetFullPath(file), logger);
        Open().Dispose();
    }

    /// <summary>Begins to write.</summary>
    public AuditFile Start()
    {
        _writing = Task.Run(WriteAsync);
        return this;
    }

    /// <summary>Appends a record some day; never blocks and never throws.</summary>
    public void Add(string record)
    {
        if (!_waiting.Writer.TryWrite(record))
        {
            Interlocked.Increment(ref _lost);
        }
    }

    /// <summary>Waits up to two seconds until what waits is written.</summary>
    public async ValueTask DisposeAsync()
    {
        _waiting.Writer.TryComplete();
        _stop.CancelAfter(s_endLimit);
        await Task.WhenAny(_writing, Task.Delay(s_endLimit)).ConfigureAwait(false); // a disk that hangs holds the loop, not the agent
        if (_writing.IsCompleted)
        {
            _stop.Dispose();
        }
    }

    private async Task WriteAsync()
    {
        string? unwritten = null;
        while (unwritten is not null || await _waiting.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            try
            {
                using FileStream stream = Open();
                for (int i = 0; i < MostWaiting && (unwritten is not null || _waiting.Reader.TryRead(out unwritten)); i++)
                {
                    Write(stream, unwritten);
                    unwritten = null;
                }

                if (Interlocked.Exchange(ref _lost, 0) is var lost and > 0)
                {
                    Write(stream, $$"""{"time":"{{DateTimeOffset.UtcNow:yyyy-MM-ddTHH:mm:ss.fffZ}}","lost":{{lost}}}""");
                }

                _isTold = false;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                if (!_isTold)
                {
                    _isTold = true;
                    LogUnwritten(_logger, _file, e.Message);
                }

                if (_stop.IsCancellationRequested)
                {
                    return;
                }

                await Task.Delay(s_again, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    // A record that was written in part, before the disk was full, ends with its line.
    private void Write(FileStream stream, string record)
    {
        long before = stream.CanSeek ? stream.Length : 0;
        try
        {
            stream.Write(Encoding.UTF8.GetBytes($"{(_isCut ? "\n" : "")}{record}\n"));
            _isCut = false;
        }
        catch (IOException)
        {
            _isCut |= stream.CanSeek && stream.Length != before;
            throw;
        }
    }

    private FileStream Open()
    {
        if (OperatingSystem.IsLinux())
        {
            return new FileStream(LinuxDescriptors.Append(_file), FileAccess.Write, bufferSize: 0);
        }

        var options = new FileStreamOptions { Mode = FileMode.Append, Access = FileAccess.Write, Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        return new FileStream(_file, options);
    }

    [LoggerMessage(3301, LogLevel.Error, "Records of the audit log cannot be written to {File}, and are tried again: {Reason}")]
    private static partial void LogUnwritten(ILogger logger, string file, string reason);
}
