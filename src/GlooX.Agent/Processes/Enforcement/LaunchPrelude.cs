using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;
using GlooX.Workers;
using Microsoft.Win32.SafeHandles;

namespace GlooX.Processes;

/// <summary>
/// What stands between a launcher and a program when the program runs as another user or in a control group: a shell that joins the group, and
/// <c>setpriv</c>. All of that runs with hardly any variables; the program's own are set behind it, by a shell that is already the program's user.
/// So no variable that a spawn asks for (<c>LD_PRELOAD</c>, <c>LD_LIBRARY_PATH</c>) acts on what still is root. The variables are read from a
/// descriptor, since all users of the machine can read arguments. Each step ends with <c>exec</c>: the process id stays.
/// </summary>
internal static class LaunchPrelude
{
    /// <summary>The descriptor from which the variables are read.</summary>
    public const int Descriptor = Control.Descriptor + 2;

    private const string Shell = "/bin/sh";
    private const string Join = """
        while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done
        shift
        exec "$@"
        """;

    private static readonly string s_setVariables = $"""
        . /proc/self/fd/{Descriptor}
        exec {Descriptor}<&-
        exec "$@"
        """;

    // Those that a shell does not let anybody set, or takes as an order to itself.
    private static readonly string[] s_ofShells = ["_", "BASHOPTS", "EUID", "GROUPS", "IFS", "LINENO", "OPTIND", "PPID", "SHELLOPTS", "UID"];

    /// <summary>A launch with all that is to be done before.</summary>
    /// <param name="launch">The program, with the variables that it is to have.</param>
    /// <param name="outer">The variables of all that comes before the program.</param>
    /// <param name="user">As whom the program runs; null: as this process's user.</param>
    /// <param name="group">What the program is in from its first instruction on; null: nothing of its own.</param>
    /// <param name="variables">The descriptor that is to be kept open until the process has started.</param>
    /// <exception cref="Win32Exception">The system has no descriptor left, or not the interpreter that the program names.</exception>
    public static ProcessLaunch Before(ProcessLaunch launch, IReadOnlyDictionary<string, string> outer, OtherUser? user, ControlGroup? group, out SafeFileHandle variables)
    {
        RequireInterpreter(launch.File);
        IReadOnlyDictionary<string, string> all = user?.Variables(launch.Environment) ?? launch.Environment;
        string[] join = group is null ? [] : [Shell, "-c", Join, "gloox", .. group.JoinFiles, "--"];
        string[] command =
        [
            .. join, .. user?.Command ?? [], Shell, "-c", s_setVariables, "gloox",
            .. Setting(all), launch.File, .. launch.Arguments,
        ];
        variables = LinuxDescriptors.Input(Encoding.UTF8.GetBytes(Script(all, outer)));
        return launch with
        {
            File = command[0],
            Arguments = command[1..],
            Environment = outer,
            Descriptors = new Dictionary<int, SafeHandle>(launch.Descriptors) { [Descriptor] = variables },
        };
    }

    /// <summary>The command that sets what no shell can set or passes on, and then becomes what follows; empty when there is nothing of that kind.</summary>
    public static string[] Setting(IReadOnlyDictionary<string, string> variables)
    {
        string[] odd = [.. variables.Where(static v => !IsSettable(v.Key)).Select(static v => $"{v.Key}={v.Value}")];
        return odd.Length == 0 ? odd : ["/usr/bin/env", .. odd];
    }

    private static string Script(IReadOnlyDictionary<string, string> all, IReadOnlyDictionary<string, string> outer)
    {
        var script = new StringBuilder();
        foreach (string name in outer.Keys.Where(n => !all.ContainsKey(n) && IsSettable(n)))
        {
            script.Append($"unset {name}\n");
        }

        foreach ((string name, string value) in all.Where(static v => IsSettable(v.Key)))
        {
            script.Append($"export {name}='{value.Replace("'", "'\\''", StringComparison.Ordinal)}'\n");
        }

        return script.ToString();
    }

    private static bool IsSettable(string name) =>
        !char.IsAsciiDigit(name[0]) && name.All(static c => char.IsAsciiLetterOrDigit(c) || c == '_')
        && !s_ofShells.Contains(name, StringComparer.Ordinal) && !name.StartsWith("BASH_", StringComparison.Ordinal);

    // A shell that cannot start a program ends with 126 or 127; a launcher would have said why.
    private static void RequireInterpreter(string program)
    {
        string line;
        try
        {
            Span<byte> start = stackalloc byte[256];
            using FileStream file = new(program, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            line = Encoding.UTF8.GetString(start[..file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)]).Split('\n')[0];
        }
        catch (UnauthorizedAccessException)
        {
            return; // it may be executed, and not read: it is no script
        }

        string interpreter = line.StartsWith("#!", StringComparison.Ordinal) ? line[2..].Trim().Split([' ', '\t'])[0].TrimEnd('\r') : "";
        if (interpreter.Length > 0 && !File.Exists(interpreter))
        {
            throw new Win32Exception(2, $"{program}: there is no {interpreter}, by which it is to be run");
        }
    }
}
