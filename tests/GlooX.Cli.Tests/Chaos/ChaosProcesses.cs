using System.Diagnostics;
using System.Text;

namespace GlooX.Cli.Tests.Chaos;

/// <summary>The processes of one run, told from all others by a variable that each inherits.</summary>
internal static class ChaosProcesses
{
    public const string Variable = "GLOOX_CHAOS_MARK";

    /// <summary>Those that live.</summary>
    public static IReadOnlyList<(int Pid, string Command)> Of(string mark)
    {
        List<(int, string)> all = [];
        foreach (string folder in Directory.EnumerateDirectories("/proc").Where(static p => char.IsAsciiDigit(p["/proc/".Length])))
        {
            try
            {
                string stat = File.ReadAllText($"{folder}/stat");
                if (stat[(stat.LastIndexOf(')') + 2)..][0] is not ('Z' or 'X') && Text($"{folder}/environ").Contains($"{Variable}={mark}", StringComparison.Ordinal))
                {
                    all.Add((int.Parse(Path.GetFileName(folder), null), Text($"{folder}/cmdline").Replace('\0', ' ').Trim()));
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // another user's, or it has just ended
            }
        }

        return all;
    }

    /// <summary>Who a process is that nobody knows.</summary>
    public static string Describe(int pid)
    {
        try
        {
            string stat = Text($"/proc/{pid}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return $"{pid} (parent {fields[1]}, group {fields[2]}, start {fields[19]}, {string.Join(' ', Text($"/proc/{pid}/environ").Split('\0').Where(static v => v.StartsWith("GLOOX_", StringComparison.Ordinal)))}) {Text($"/proc/{pid}/cmdline").Replace('\0', ' ')}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{pid}, which has just ended";
        }
    }

    /// <summary>As <c>kill -9</c>, if it is of this run and lives.</summary>
    public static void Kill(string mark, int pid)
    {
        if (Of(mark).Any(p => p.Pid == pid))
        {
            try
            {
                using Process process = Process.GetProcessById(pid);
                process.Kill();
            }
            catch (Exception e) when (e is ArgumentException or InvalidOperationException)
            {
                // it has just ended
            }
        }
    }

    private static string Text(string file) => Encoding.UTF8.GetString(File.ReadAllBytes(file));
}
