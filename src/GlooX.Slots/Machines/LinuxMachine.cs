using System.Globalization;

namespace GlooX.Slots;

/// <summary>Linux: <c>/proc/meminfo</c>, reduced by the memory limit of each control group that this process is in.</summary>
/// <param name="folder">A folder on the disk that is measured.</param>
/// <param name="root">Folder of <c>proc</c> and <c>sys</c>; tests use fake trees.</param>
internal sealed class LinuxMachine(string folder, string root = "/") : IMachine
{
    private readonly LinuxCgroup _cgroup = new(root);

    /// <inheritdoc/>
    public MachineStatus Read()
    {
        var (total, free) = ReadMemInfo();
        foreach (var level in _cgroup.MemoryLevels())
        {
            total = Math.Min(total, level.LimitBytes);
            free = Math.Min(free, level.LimitBytes - level.UsedBytes);
        }

        var disk = Machine.Disk(folder);
        return new MachineStatus(total, Math.Max(0, free), disk.Total, disk.Free, Machine.Cores);
    }

    /// <inheritdoc/>
    public long ResidentBytes(int pid)
    {
        // proc(5): the second number of statm is the resident set in pages.
        var fields = TryReadText(Path.Join(root, $"proc/{pid}/statm"))?.Split(' ') ?? [];
        return fields.Length > 1 && long.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out var pages)
            ? pages * Environment.SystemPageSize
            : 0;
    }

    /// <inheritdoc/>
    public ProcessStamp? FindProcess(int pid)
    {
        // proc_pid_stat(5): "PID (NAME) STATE …", where the name may contain spaces and brackets.
        // Field 3 is the state, 6 the session, 22 the start.
        var stat = TryReadText(Path.Join(root, $"proc/{pid}/stat")) ?? "";
        var fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > 19 && fields[0] is not ("Z" or "X")
            && int.TryParse(fields[3], NumberStyles.None, CultureInfo.InvariantCulture, out var session)
            && long.TryParse(fields[19], NumberStyles.None, CultureInfo.InvariantCulture, out var started)
            ? new ProcessStamp(started, session, TryReadText(Path.Join(root, "proc/sys/kernel/random/boot_id"))?.Trim() ?? "")
            : null;
    }

    /// <summary>The text of a kernel file; null when it does not exist or may not be read.</summary>
    internal static string? TryReadText(string path)
    {
        // Some files are always missing on some machines, and an exception costs more than this check.
        if (!File.Exists(path))
            return null;
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The number in a line <c>name 123</c> or <c>name: 123 kB</c>, ignoring the unit; null without such a line.</summary>
    internal static long? FindNumber(string text, string name)
    {
        foreach (var line in text.AsSpan().EnumerateLines())
        {
            if (!line.StartsWith(name, StringComparison.Ordinal) || line.Length == name.Length || !(line[name.Length] is ' ' or ':'))
                continue;
            var number = line[(name.Length + 1)..].Trim();
            var end = number.IndexOf(' ');
            return long.TryParse(end < 0 ? number : number[..end], NumberStyles.None, CultureInfo.InvariantCulture, out var value)
                ? value
                : null;
        }

        return null;
    }

    private (long Total, long Free) ReadMemInfo()
    {
        var path = Path.Join(root, "proc/meminfo");
        var text = TryReadText(path) ?? "";
        return FindNumber(text, "MemTotal") is { } total && FindNumber(text, "MemAvailable") is { } available
            ? (total * 1024, available * 1024)
            : throw new IOException($"Cannot measure memory: '{path}' contains no MemTotal and MemAvailable. Is /proc mounted?");
    }
}
