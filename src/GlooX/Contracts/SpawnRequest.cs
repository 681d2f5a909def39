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

    /// <summary>Why a process cannot have a variable; null: it can.</summary>
    public static string? FaultOf(string name, string? value) =>
        name.Length == 0 || name.Contains('=') || name.Contains('\0') || value is null || value.Contains('\0') ? $"'{name}' is no name of a variable, or its value cannot be one"
        : name.StartsWith(Reserved, StringComparison.Ordinal) ? $"the variable '{name}' is GlooX's own: choose a name that does not begin with {Reserved}"
        : null;
}

/// <summary>What came of it: a process, or why there is none; refused: another node may be asked.</summary>
internal sealed record SpawnReply(string Id, int Pid, string Node, string Url, string Error, bool Refused)
{
    /// <summary>The asked agent does not have the bundle: send it, and ask again.</summary>
    public bool NeedsBundle { get; init; }

    /// <summary>When.</summary>
    public DateTimeOffset Started { get; init; }

    /// <summary>Its own folder.</summary>
    public string TmpDir { get; init; } = "";

    public static SpawnReply Failed(string node, string error) => new("", 0, node, "", error, false);
}
