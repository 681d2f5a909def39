using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>What an agent logs of its processes; the ids are stable.</summary>
internal static partial class ProcessLog
{
    [LoggerMessage(3020, LogLevel.Warning, "The output of {Process} could not be read, and is read again: {Reason}")]
    public static partial void OutputFailed(this ILogger logger, string process, string reason);

    [LoggerMessage(3021, LogLevel.Warning, "{Line}")]
    public static partial void ProcessKilled(this ILogger logger, string line);

    [LoggerMessage(3022, LogLevel.Warning, "{Path}, of a process that has ended, could not be removed, and is removed by the next agent of this home: {Reason}")]
    public static partial void NotRemoved(this ILogger logger, string path, string reason);

    [LoggerMessage(3023, LogLevel.Warning, "The record of process {Id}, which has ended, could not be removed: {Reason}")]
    public static partial void RecordNotRemoved(this ILogger logger, string id, string reason);

    [LoggerMessage(3024, LogLevel.Error, "The end of process {Id}: {Step} failed; the other steps are taken")]
    public static partial void EndStepFailed(this ILogger logger, Exception exception, string id, string step);

    [LoggerMessage(3025, LogLevel.Warning, "Sweeping what ended agents left in {Path} failed, and is tried again: {Reason}")]
    public static partial void SweepFailed(this ILogger logger, string path, string reason);

    [LoggerMessage(3026, LogLevel.Error, "Process {Id} of the agent before this one could not be adopted yet, and is tried again: {Reason}")]
    public static partial void NotAdopted(this ILogger logger, string id, string reason);

    [LoggerMessage(3027, LogLevel.Error, "The record of process {Id} is damaged: the process may run, unknown and unreserved")]
    public static partial void RecordDamaged(this ILogger logger, string id);

    [LoggerMessage(3028, LogLevel.Error, "The {Operation} has failed, and a step of it could not be undone; the other steps are undone")]
    public static partial void UndoFailed(this ILogger logger, Exception exception, string operation);

    [LoggerMessage(3029, LogLevel.Error, "The state file '{File}' is damaged: {Damage}. It is kept as '{KeptAs}'; processes whose records it has lost may run, unknown and unreserved")]
    public static partial void RecordsDamaged(this ILogger logger, string file, string damage, string keptAs);

    [LoggerMessage(3030, LogLevel.Error, "The state file '{File}' is damaged: {Damage}. Durable channels come from the other nodes of the grid; detached processes that it told of may run, unknown and unreserved")]
    public static partial void StateDamaged(this ILogger logger, string file, string damage);
}
