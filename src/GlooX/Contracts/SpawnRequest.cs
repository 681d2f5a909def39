namespace GlooX.Contracts;

/// <summary>What is asked of an agent.</summary>
internal sealed record SpawnRequest(string Assembly, string Class, long MemoryBytes, long DiskBytes, PlacementStrategy Strategy, ProcessOptions Options, int StartTimeoutMilliseconds, bool AllowSpawn)
{
    private const string Reserved = "GLOOX_";

    /// <summary>Cores and other named resources.</summary>
    public Dictionary<string, decimal> Resources { get; init; } = [];

    /// <summary>The id of the bundle with its files; the assembly is a path in it.</summary>
    public string Bundle { get; init; } = "";

    /// <summary>The agent that has the bundle.</summary>
    public string Source { get; init; } = "";

    /// <summary>Program and arguments of an executable; empty: a class.</summary>
    public string[] Command { get; init; } = [];

    /// <summary>Whether it is started again.</summary>
    public RestartPolicy Restart { get; init; } = RestartPolicy.Never;

    /// <summary>Whether an executable is ready only when it has made its file.</summary>
    public bool ReadyFile { get; init; }

    /// <summary>What an executable writes when it is ready; empty: nothing.</summary>
    public string ReadyLine { get; init; } = "";

    /// <summary>Whether the process has to say that it is ready.</summary>
    public bool AwaitsReadiness => ReadyFile || ReadyLine.Length > 0;

    /// <summary>How many of its kind a node runs at most; null: as many as fit.</summary>
    public int? MaxPerNode { get; init; }

    /// <summary>What counts as one kind.</summary>
    public string Kind { get; init; } = "";

    /// <summary>Names this spawn, for its caller alone, who may give it up.</summary>
    public string Ticket { get; init; } = "";

    /// <summary>Variables beside those that the agent passes on.</summary>
    public Dictionary<string, string> Environment { get; init; } = [];

    /// <summary>As whom it runs; empty: as its agent's user.</summary>
    public string User { get; init; } = "";

    /// <summary>Whether a host that runs already will not do: variables that the system or the runtime read at the start come too late for it.</summary>
    public bool NeedsColdHost => Options.KeepTmpDir || User.Length > 0 || Environment.Keys.Any(static n => n.StartsWith("DOTNET_", StringComparison.Ordinal) || n.StartsWith("LD_", StringComparison.Ordinal));

    public Provision Need() => Provision.FromBytes(MemoryBytes, DiskBytes, Resources) with { MaxPerNode = MaxPerNode, Kind = Kind };

    /// <summary>Why the request can be followed nowhere; null: it can.</summary>
    public string? Fault() => FaultOf(Strategy, TimeSpan.FromMilliseconds(StartTimeoutMilliseconds), Restart, Environment);

    /// <summary>The one check of what a spawn asks for: the caller makes it before anything is sent, the node again.</summary>
    public static string? FaultOf(PlacementStrategy strategy, TimeSpan startTimeout, RestartPolicy restart, IReadOnlyDictionary<string, string> environment) =>
        !Enum.IsDefined(strategy) ? $"there is no placement strategy {strategy}; there are {string.Join(", ", Enum.GetNames<PlacementStrategy>())}"
        : startTimeout <= TimeSpan.Zero || startTimeout > SpawnOptions.MaxStartTimeout ? $"the start timeout must be more than 0 and at most {SpawnOptions.MaxStartTimeout.TotalMinutes} minutes"
        : restart.Fault() ?? environment.Select(static v => FaultOf(v.Key, v.Value)).FirstOrDefault(static f => f is not null);

    /// <summary>Why a process cannot have a variable; null: it can.</summary>
    private static string? FaultOf(string name, string? value) =>
        name.Length == 0 || name.Contains('=') || name.Contains('\0') || value is null || value.Contains('\0') ? $"'{name}' is no name of a variable, or its value cannot be one"
        : name.StartsWith(Reserved, StringComparison.Ordinal) ? $"the variable '{name}' is GlooX's own: choose a name that does not begin with {Reserved}"
        : null;
}

/// <summary>How a spawn ended.</summary>
internal enum SpawnOutcome
{
    /// <summary>The process runs and is ready.</summary>
    Started,

    /// <summary>This node cannot start it now; another node may be able to: no room, draining, a full disk, a port in use, a missing command.</summary>
    TryElsewhere,

    /// <summary>It would fail on every node.</summary>
    Fatal,
}

/// <summary>The process that a spawn has led to, or the reason why there is none.</summary>
internal sealed record SpawnReply(string Id, int Pid, string Node, string Url, string Error, SpawnOutcome Outcome)
{
    /// <summary>The agent does not have the bundle: send it, and ask again.</summary>
    public bool NeedsBundle { get; init; }

    /// <summary>When the process was started, by its node's clock.</summary>
    public DateTimeOffset Started { get; init; }

    /// <summary>The folder of the process's own.</summary>
    public string TmpDir { get; init; } = "";

    /// <summary>The name in the certificate of the process; empty: it has none of its own.</summary>
    public string ProcessName { get; init; } = "";

    public static SpawnReply Failed(string node, string error) => new("", 0, node, "", error, SpawnOutcome.Fatal);

    public static SpawnReply Elsewhere(string node, string error) => new("", 0, node, "", error, SpawnOutcome.TryElsewhere);
}
