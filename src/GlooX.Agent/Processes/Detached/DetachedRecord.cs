using System.Buffers;
using GlooX.Contracts;
using GlooX.RpcRuntime;
using GlooX.Slots;
using Nerdbank.MessagePack;

namespace GlooX.Processes;

/// <summary>
/// The record of a detached process, for the next agent: enough to find the process, to tell it from a later one with the same process id,
/// to reserve for it, and to restart it. Immutable.
/// </summary>
/// <param name="Id">Names the process at its agent.</param>
/// <param name="Pid">The process id.</param>
/// <param name="ProcessStarted">When the process started, by the machine's clock; see <see cref="ProcessStamp"/>.</param>
/// <param name="Session">The session that the process leads.</param>
/// <param name="Boot">The boot of the machine that the process belongs to.</param>
/// <param name="Request">What was asked; without values and variables where the process is not to be restarted.</param>
/// <param name="Log">The file of its standard output.</param>
/// <param name="ExitFile">The file that the process leaves its exit code in.</param>
/// <param name="Started">When the process was spawned.</param>
internal sealed record DetachedRecord(
    string Id, int Pid, long ProcessStarted, int Session, string Boot, SpawnRequest Request, string Log, string ExitFile,
        DateTimeOffset Started)
{
    /// <summary>Where the process answers; empty until it does, and for a program.</summary>
    public string Url { get; init; } = "";

    /// <summary>The name in the certificate of the process; empty: it has none of its own.</summary>
    public string ProcessName { get; init; } = "";

    /// <summary>Whether the process became ready, so that a caller may know of it.</summary>
    public bool Ready { get; init; }

    public int Restarts { get; init; }

    /// <summary>The restarts that count for the policy, by the clock of the boot.</summary>
    public long[] RestartTimes { get; init; } = [];

    /// <summary>Whether the process may be restarted.</summary>
    public bool MayRestart() => Request.Restart.Mode != RestartMode.Never;

    /// <summary>Whether the process still runs, and is the one of this record.</summary>
    public bool Runs(IMachine machine) => machine.FindProcess(Pid) == new ProcessStamp(ProcessStarted, Session, Boot);

    public byte[] ToBytes()
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        RpcSerializer.Default.Write(ref writer, this);
        writer.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Null: the record is damaged.</summary>
    public static DetachedRecord? FromBytes(byte[]? bytes)
    {
        try
        {
            var reader = new MessagePackReader(bytes ?? []);
            return RpcSerializer.Default.Read<DetachedRecord>(ref reader) is { } read && read.Request.Restart.Fault() is null ? read : null;
        }
        catch (Exception e) when (e is MessagePackSerializationException or EndOfStreamException)
        {
            return null;
        }
    }
}
