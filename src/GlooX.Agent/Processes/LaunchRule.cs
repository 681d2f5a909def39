using System.Collections;
using GlooX.Contracts;
using GlooX.Workers;

namespace GlooX.Processes;

/// <summary>How an agent starts its processes: by which launcher, with which of its own variables, and as which users. Thread-safe.</summary>
/// <param name="launcher">By what.</param>
/// <param name="passed">Names of variables that are passed on beside the usual; one may end in <c>*</c>.</param>
/// <param name="users">As whom a process may be asked for, beside this agent's own user.</param>
/// <param name="spawnUser">As whom a process runs for which no user was named; null: as this agent's.</param>
/// <param name="requireUser">Whether nothing may run as this agent's user, which is root.</param>
internal sealed class LaunchRule(
    IProcessLauncher launcher, IReadOnlyList<string> passed, IReadOnlyList<string> users, string? spawnUser = null, bool requireUser = false)
{
    // Where programs and their settings are found, how people are spoken to, and what the runtime is told. None of these is a secret.
    private static readonly string[] s_usual =
    [
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "LANG", "LANGUAGE", "LC_*", "TMPDIR", "XDG_*", "LD_LIBRARY_PATH",
        "DOTNET_*", "NUGET_PACKAGES", "SSL_CERT_FILE", "SSL_CERT_DIR", "GLOOX_HOME", "GLOOX_AGENT", "GLOOX_TMPDIR", "GLOOX_OUTER_TMPDIR",
    ];

    // A process has its own identity, from its agent.
    private static readonly string[] s_never = ["GLOOX_TLS_*", "RAKTR_TLS_*"];

    public IProcessLauncher Launcher { get; } = launcher;

    /// <summary>For what an agent of this user starts for itself.</summary>
    public static LaunchRule Plain { get; } = new(ProcessLauncher.Local, [], []);

    /// <summary>Why a name is none that can be passed on; null: it is one.</summary>
    public static string? FaultOf(string passed) =>
        passed.Length > 0 && !passed.Contains('=') && !passed.Contains('\0') && !passed[..^1].Contains('*') ? null : $"'{passed}' is no name of a variable: write NAME, NAME* for all that begin so, or * for all";

    /// <summary>Those of this process's variables that its processes get.</summary>
    public Dictionary<string, string> Variables()
    {
        Dictionary<string, string> variables = new(StringComparer.Ordinal);
        foreach (DictionaryEntry entry in Environment.GetEnvironmentVariables())
        {
            string name = (string)entry.Key;
            if ((Contains(s_usual, name) || Contains(passed, name)) && !Contains(s_never, name))
            {
                variables[name] = (string?)entry.Value ?? "";
            }
        }

        return variables;
    }

    /// <summary>
    /// The variables of what comes before a program, if anything must: of <c>setpriv</c>, of the shell that joins a control group, and, where this
    /// process is root's, of a launcher of the user's own, which may become another user too. None of them is the spawn's.
    /// </summary>
    /// <returns>Null: nothing comes before, and the launcher gets the program's own variables.</returns>
    public IReadOnlyDictionary<string, string>? Outer(ProcessLaunch launch, OtherUser? user, ControlGroup? group)
    {
        bool isOwn = Launcher == ProcessLauncher.Local;
        if (user is null && group is null && (isOwn || !OtherUser.IsRoot))
        {
            return null;
        }

        Dictionary<string, string> outer = isOwn ? new(StringComparer.Ordinal) : Variables();
        if (launch.Environment.TryGetValue(LinuxMark.Variable, out string? id))
        {
            outer[LinuxMark.Variable] = id; // by which it is found if this process is killed meanwhile
        }

        return outer;
    }

    /// <summary>The same, with the user as whom the process runs here.</summary>
    public SpawnRequest WithUser(SpawnRequest request) => request.User.Length == 0 && spawnUser is not null ? request with { User = spawnUser } : request;

    /// <summary>Why this node cannot start a process as it was asked to; null: it can.</summary>
    public string? Fault(SpawnRequest request)
    {
        string user = request.User;
        if (user.Length == 0)
        {
            return requireUser ? $"runs nothing as root (--only-users): name one of its users with --user (SpawnOptions.User): {string.Join(", ", users)}" : null;
        }

        bool isDefault = user == spawnUser;
        return !isDefault && !users.Contains(user, StringComparer.Ordinal)
                ? $"runs nothing as the user '{user}': it was not started with --allow-user {user} (AgentOptions.AllowedUsers)"
            : request.Options.Daemonize ? $"runs nothing as the user '{user}' that outlives it{(isDefault ? ", and all that names no user as that one (--spawn-user)" : "")}"
            : OtherUser.Fault(user) ?? RootFault(user);
    }

    /// <summary>Why nothing may run as a user here, as that is root by another name; null: it may.</summary>
    public string? RootFault(string user) => requireUser && OtherUser.Find(user)?.IsSuperuser == true ? $"runs nothing as root (--only-users), and '{user}' is root" : null;

    private static bool Contains(IReadOnlyList<string> names, string name) =>
        names.Any(n => n.EndsWith('*') ? name.StartsWith(n[..^1], StringComparison.Ordinal) : n == name);
}
