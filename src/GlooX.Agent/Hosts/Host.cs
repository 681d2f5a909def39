using GlooX.Payloads;
using GlooX.Processes;
using GlooX.Workers;

namespace GlooX.Hosts;

/// <summary>A host: a process that waits for its one assignment.</summary>
/// <param name="Id">Names the host.</param>
/// <param name="Log">The file of its standard output.</param>
/// <param name="Folder">The folder of the process.</param>
/// <param name="Process">The process.</param>
/// <param name="Warm">Whether the host comes from the pool.</param>
/// <param name="Workspace">The workspace of the log and the folder.</param>
internal sealed record Host(string Id, string Log, string Folder, ChildProcess Process, bool Warm, AgentWorkspace Workspace)
{
    /// <summary>The assembly that the host has loaded already; empty: none.</summary>
    public string Prepared { get; init; } = "";

    /// <exception cref="IOException">The host could not be started.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The system could not start the host.</exception>
    public static Host Start(
        AgentWorkspace workspace, LaunchRule launching, bool warm, string id, string log, string folder,
        Dictionary<string, string> variables, OtherUser? user)
    {
        user?.Give(folder);
        string[] arguments = [.. Command(), .. warm ? [HostProcess.WarmArgument] : Array.Empty<string>()];
        return new Host(id, log, folder,
            ChildProcess.Start(launching, DotnetPath.Muxer, arguments, log, [.. AgentWorkspace.Variables(folder), new(LinuxMark.Variable, id), .. variables],
                user),
            warm, workspace);
    }

    /// <summary>Removes the files of a host that has ended.</summary>
    public void Discard()
    {
        Process.Control!.Dispose();
        Workspace.RemoveLog(Log);
        Workspace.Remove(Folder);
    }

    public async Task EndAsync()
    {
        Process.KillAll();
        await Process.Exited.ConfigureAwait(false);
        Discard();
    }

    // In an application on a larger framework, such as ASP.NET, some assemblies that GlooX needs are not beside it but in that framework:
    // the host then runs on the application's frameworks.
    private static string[] Command()
    {
        string beside = Path.GetDirectoryName(typeof(Agent).Assembly.Location) is { Length: > 0 } folder ? folder
            : AppContext.BaseDirectory;
        string host = Path.Combine(beside, "gloox-host.dll");
        string? application = System.Reflection.Assembly.GetEntryAssembly()?.GetName().Name;
        string configuration = Path.Combine(beside, $"{application}.runtimeconfig.json");
        return File.Exists(Path.Combine(beside, "Microsoft.Extensions.Logging.Abstractions.dll")) || !File.Exists(configuration)
            ? ["exec", host]
            : ["exec", "--runtimeconfig", configuration, host];
    }
}
