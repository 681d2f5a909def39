using System.Globalization;

namespace GlooX.Workers;

/// <summary>
/// The exit code that a process which outlives its agent leaves in a file, for the agent after; one that is killed leaves none.
/// </summary>
internal static class ExitNote
{
    private const int SignalBase = 128;

    /// <summary>By the process itself, at its end.</summary>
    public static void Write(string file, int code)
    {
        try
        {
            File.WriteAllText(file + ".new", code.ToString(CultureInfo.InvariantCulture));
            File.Move(file + ".new", file, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"the exit code {code} cannot be written to {file}: {e.Message}");
        }
    }

    /// <param name="file">Its name.</param>
    /// <param name="byShell">A shell wrote it, which counts a signal as 128 and more.</param>
    public static ExitStatus Read(string file, bool byShell)
    {
        try
        {
            return !int.TryParse(File.ReadAllText(file).Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int code)
                ? ExitStatus.Unknown
                : byShell && code > SignalBase ? new ExitStatus(0, code - SignalBase)
                : new ExitStatus(code & 0xFF, 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ExitStatus.Unknown;
        }
    }
}
