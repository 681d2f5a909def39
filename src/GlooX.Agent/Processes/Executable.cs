using System.Globalization;
using System.Text.Json;
using GlooX.Contracts;
using GlooX.Payloads;
using GlooX.Workers;

namespace GlooX.Processes;

/// <summary>
/// An executable or script of any language as a process. It finds its options as JSON on its standard input, and those that are no secret in
/// variables that begin with GLOOX_; it begins in the folder of its files. That it has started is all that is known of it until it ends.
/// </summary>
internal static class Executable
{
    /// <param name="request">What is asked, with its folder.</param>
    /// <param name="files">The folder with its files.</param>
    /// <param name="lockFile">What keeps them there.</param>
    /// <param name="node">This node.</param>
    /// <param name="rule">How.</param>
    /// <param name="user">As whom; null: as this process's user.</param>
    /// <param name="group">What it is in from its first instruction on; null: nothing of its own.</param>
    /// <param name="id">Names the process.</param>
    /// <param name="log">Where its standard output goes.</param>
    /// <param name="exitFile">Where it leaves its exit code if it outlives its agent.</param>
    /// <exception cref="FileNotFoundException">This node has no such command.</exception>
    /// <exception cref="IOException">It could not be started.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The system could not start it.</exception>
    public static ChildProcess Start(SpawnRequest request, string files, string lockFile, string node, LaunchRule rule, OtherUser? user, ControlGroup? group, string id, string log, string exitFile)
    {
        string program = Find(request.Command[0], files);
        ProcessOptions options = request.Options;
        Dictionary<string, string> variables = new(AgentWorkspace.Variables(options.TmpDir), StringComparer.Ordinal)
        {
            [LinuxMark.Variable] = id,
            ["GLOOX_NODE"] = node,
            ["GLOOX_URL"] = options.Url,
            ["GLOOX_PARENT_URL"] = options.ParentUrl,
            ["GLOOX_PPID"] = options.Ppid.ToString(CultureInfo.InvariantCulture),
            ["GLOOX_READY_FILE"] = Readiness.FileIn(options.TmpDir),
            ["GLOOX_DAEMONIZE"] = options.Daemonize ? "1" : "0",
        };
        foreach ((string name, string value) in request.Environment)
        {
            variables[name] = value;
        }

        var start = new ProgramStart(files, Input(id, node, options), variables, lockFile, options.Daemonize ? exitFile : null) { User = user, Group = group };
        return ChildProcess.Start(rule, program, request.Command[1..], log, start);
    }

    // A file of its own, else a command of the node's.
    private static string Find(string program, string folder)
    {
        string own = Path.GetFullPath(Path.Combine(folder, program));
        if (own.StartsWith(folder + Path.DirectorySeparatorChar, StringComparison.Ordinal) && File.Exists(own))
        {
            return own;
        }

        if (program == "dotnet")
        {
            return DotnetPath.Muxer;
        }

        IEnumerable<string> places = program.Contains('/')
            ? [program]
            : (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Select(p => Path.Combine(p, program));
        return places.FirstOrDefault(static p => Path.IsPathRooted(p) && IsExecutable(p))
            ?? throw new FileNotFoundException($"has no command '{program}', and no such file came with the payload");
    }

    private static bool IsExecutable(string file) =>
        File.Exists(file) && (OperatingSystem.IsWindows() || (File.GetUnixFileMode(file) & (UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) != UnixFileMode.None);

    private static byte[] Input(string id, string node, ProcessOptions options)
    {
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text))
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            json.WriteString("node", node);
            json.WriteString("url", options.Url);
            json.WriteString("parentUrl", options.ParentUrl);
            json.WriteNumber("ppid", options.Ppid);
            json.WriteString("tmpDir", options.TmpDir);
            json.WriteBoolean("daemonize", options.Daemonize);
            json.WriteStartObject("values");
            foreach ((string name, string value) in options.Values)
            {
                json.WriteString(name, value);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        text.WriteByte((byte)'\n');
        return text.ToArray();
    }
}
