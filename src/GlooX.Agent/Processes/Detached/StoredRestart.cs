using System.Buffers;
using GlooX.Contracts;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Processes;

/// <summary>
/// What an agent keeps of a process that outlives it and is to be started again, so that the agent after it can do that: what was asked, its
/// values included, and the restarts that were. A file of its own, which only this user can read.
/// </summary>
internal sealed record StoredRestart(SpawnRequest Request, int Restarts, long[] Times)
{
    /// <exception cref="IOException">It cannot be written; what was there before still is.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written; what was there before still is.</exception>
    public static void Write(string file, Child child)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        RpcSerializer.Default.Write(ref writer, new StoredRestart(child.Request, child.Restarts, [.. child.Rule.Restarts.Select(static t => t.Ticks)]));
        writer.Flush();
        File.Delete(file + ".new"); // one that is left may have other permissions
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        using (FileStream stream = new(file + ".new", options))
        {
            stream.Write(buffer.WrittenSpan);
        }

        File.Move(file + ".new", file, overwrite: true);
    }

    /// <summary>Null: there is none, or it is damaged.</summary>
    /// <exception cref="IOException">It cannot be read now.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    public static StoredRestart? Read(string file)
    {
        try
        {
            var reader = new MessagePackReader(File.ReadAllBytes(file));
            return RpcSerializer.Default.Read<StoredRestart>(ref reader) is { } read && read.Request.Restart.Fault() is null ? read : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or MessagePackSerializationException or EndOfStreamException)
        {
            return null;
        }
    }
}
