using System.Globalization;
using System.Text;
using System.Text.Json;
using GlooX.Contracts;
using Microsoft.Extensions.Logging;

namespace GlooX.Trust;

/// <summary>
/// Who did what: one record for each call that changes something at this agent. Records go to the category <c>GlooX.Audit</c> of the log, and
/// to <see cref="AgentOptions.AuditFile"/>; so do those of the port, of joins and refused calls. Thread-safe.
/// </summary>
internal sealed partial class AuditLog(ILogger logger)
{
    /// <summary>The category of the log.</summary>
    public const string Category = "GlooX.Audit";

    private const int MostCharacters = 500;

    /// <summary>The outcome of what went well.</summary>
    public const string Done = "done";

    /// <summary>What is to run, and as whom; its arguments may hold secrets.</summary>
    public static string TargetOf(SpawnRequest request) =>
        $"{(request.Command is [var command, ..] ? command : request.Class)}{(request.Bundle.Length > 0 ? $" of bundle {request.Bundle}" : "")}{(request.User.Length > 0 ? $" as {request.User}" : "")}";

    public static string OutcomeOf(SpawnReply reply) => reply.Outcome == SpawnOutcome.Started ? $"process {reply.Id}, pid {reply.Pid}, on {reply.Node}" : $"failed: {reply.Error}";

    public static string FoundOf(bool isFound) => isFound ? Done : "there is no such process here";

    /// <summary>Runs what a caller asked for, and records what came of it.</summary>
    /// <param name="target">What the call is about.</param>
    /// <param name="work">The work; it begins on this thread, which serves the call.</param>
    /// <param name="outcome">What came of it; null: it was done.</param>
    public async ValueTask<T> RunAsync<T>(string target, Func<ValueTask<T>> work, Func<T, string>? outcome = null)
    {
        RpcCall call = RpcCall.Current;
        T result;
        try
        {
            result = await work().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            Record(call, target, $"failed: {e.Message}");
            throw;
        }

        Record(call, target, outcome?.Invoke(result) ?? Done);
        return result;
    }

    private void Record(RpcCall call, string target, string outcome) =>
        LogCall(logger, call.CallerSerial, call.CallerNode ?? "", Roles(call), call.Caller, call.Method, Cut(target), Cut(outcome));

    private static string Roles(RpcCall call) => call.CallerRoles.ToString().ToLowerInvariant();

    // Names are chosen by callers: none makes a second line, or gives orders to a terminal.
    private static string Cut(string text)
    {
        string start = text.Length <= MostCharacters ? text : string.Concat(text.AsSpan(0, MostCharacters), "…");
        return start.Any(char.IsControl) ? string.Concat(start.Select(static c => char.IsControl(c) ? $"\\x{(int)c:x2}" : c.ToString())) : start;
    }

    [LoggerMessage(3302, LogLevel.Information, "{Method} {Target}: {Outcome}; by {Node} as {Roles}, certificate {Serial}, from {Address}")]
    private static partial void LogCall(ILogger logger, string serial, string node, string roles, string address, string method, string target, string outcome);
}

/// <summary>Gives the loggers of another factory, and sends what goes to the category of the audit log to a file, too.</summary>
internal sealed class AuditLoggerFactory(ILoggerFactory inner, AuditFile? file) : ILoggerFactory
{
    public ILogger CreateLogger(string categoryName) =>
        categoryName == AuditLog.Category && file is not null ? new Both(inner.CreateLogger(categoryName), file) : inner.CreateLogger(categoryName);

    public void AddProvider(ILoggerProvider provider) => inner.AddProvider(provider);

    public void Dispose()
    {
        // the factory is its owner's, and so is the file
    }

    private sealed class Both(ILogger log, AuditFile file) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => log.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (log.IsEnabled(logLevel))
            {
                log.Log(logLevel, eventId, state, exception, formatter);
            }

            if (state is IReadOnlyList<KeyValuePair<string, object?>> facts)
            {
                file.Add(Line(facts));
            }
        }

        // Whatever is in the facts stays within its line and its text.
        private static string Line(IReadOnlyList<KeyValuePair<string, object?>> facts)
        {
            using var line = new MemoryStream();
            using (var json = new Utf8JsonWriter(line))
            {
                json.WriteStartObject();
                json.WriteString("time", DateTimeOffset.UtcNow.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
                foreach ((string name, object? value) in facts.Where(static f => f.Key != "{OriginalFormat}"))
                {
                    json.WriteString(JsonNamingPolicy.CamelCase.ConvertName(name), Convert.ToString(value, CultureInfo.InvariantCulture));
                }

                json.WriteEndObject();
            }

            return Encoding.UTF8.GetString(line.ToArray());
        }
    }
}
