using System.Globalization;
using System.Text.Json;
using GlooX.Bundles;

namespace GlooX.Spawning;

/// <summary>
/// An executable or script of any language as a process. It finds its options as JSON on its standard input, and those that are no secret in
/// variables that begin with GLOOX_; it begins in the folder of its files. That it has started is all that is known of it until it ends.
/// </summary>
internal static class Executable
{
    /// <param name="request">What is asked.</param>
    /// <param name="bundle">Its files.</param>
    /// <param name="node">This node.</param>
    /// <param name="room">Where its log and its folder are.</param>
    /// <param name="exitFile">Where one that outlives its agent leaves its exit code, by its id.</param>
    /// <exception cref="FileNotFoundException">This node has no such command.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The system could not start it.</exception>
    public static Host Start(SpawnRequest request, BundleLease bundle, string node, AgentRoom room, Func<string, string> exitFile)
    {
        string program = Find(request.Command[0], bundle.Folder);
        (string id, string log, string own) = room.New();
        ProcessOptions options = request.Options with { TmpDir = own };
        Dictionary<string, string> variables = new(AgentRoom.Variables(own), StringComparer.Ordinal)
        {
            ["GLOOX_ID"] = id,
            ["GLOOX_NODE"] = node,
            ["GLOOX_URL"] = options.Url,
            ["GLOOX_PARENT_URL"] = options.ParentUrl,
            ["GLOOX_PPID"] = options.Ppid.ToString(CultureInfo.InvariantCulture),
            ["GLOOX_DAEMONIZE"] = options.Daemonize ? "1" : "0",
        };
        var start = new ProgramStart(bundle.Folder, Input(id, node, options), variables, bundle.LockFile, options.Daemonize ? exitFile(id) : null);
        try
        {
            return new Host(id, log, own, LinuxProcess.Start(program, request.Command[1..], log, start), Warm: false);
        }
        catch
        {
            Guard.RemoveFolder(own);
            ChildOutput.Delete(log);
            throw;
        }
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
