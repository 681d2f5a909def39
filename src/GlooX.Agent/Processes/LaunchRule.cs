using System.Collections;
using GlooX.Contracts;

namespace GlooX.Processes;

/// <summary>How an agent starts its processes: by which launcher, with which of its own variables, and as which users. Thread-safe.</summary>
/// <param name="launcher">By what.</param>
/// <param name="passed">Names of variables that are passed on beside the usual; one may end in <c>*</c>.</param>
/// <param name="users">As whom a process may be asked for, beside this agent's own user.</param>
internal sealed class LaunchRule(IProcessLauncher launcher, IReadOnlyList<string> passed, IReadOnlyList<string> users)
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

    /// <summary>Why this node cannot start a process as it was asked to; null: it can.</summary>
    public string? Fault(SpawnRequest request)
    {
        if (request.User.Length == 0)
        {
            return null;
        }

        return !users.Contains(request.User, StringComparer.Ordinal) ? $"runs nothing as the user '{request.User}': it was not started with --allow-user {request.User} (AgentOptions.AllowedUsers)"
            : request.Options.Daemonize ? $"runs nothing as the user '{request.User}' that outlives it"
            : OtherUser.Fault(request.User);
    }

    private static bool Contains(IReadOnlyList<string> names, string name) =>
        names.Any(n => n.EndsWith('*') ? name.StartsWith(n[..^1], StringComparison.Ordinal) : n == name);
}
