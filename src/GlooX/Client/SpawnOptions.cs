namespace GlooX;

/// <summary>How a process is to be spawned. Immutable.</summary>
public sealed record SpawnOptions
{
    /// <summary>Which of the nodes with room the process goes to. Default: the one with the most room.</summary>
    public PlacementStrategy Strategy { get; init; }

    /// <summary>
    /// Where the process listens, as <c>host:port</c>. Null (default): where its agent listens, on any free port; other machines reach the process by the
    /// host of its node. With <c>127.0.0.1:8888</c> only its own machine reaches the process, with <c>0.0.0.0:8888</c> every machine that reaches its node.
    /// Executables do not listen; they find this text in <c>GLOOX_URL</c>.
    /// </summary>
    public string? Url { get; init; }

    /// <summary>The agent that the process can call with <see cref="Worker.ConnectToParent"/>. Null (default): the one that spawns it.</summary>
    public string? ParentUrl { get; init; }

    /// <summary>Whether the process outlives its agent. Default false: it ends with its agent, however that ends.</summary>
    public bool Daemonize { get; init; }

    /// <summary>
    /// Whether the process may itself spawn and kill, anywhere in the grid. Default false: its certificate has the role child alone. With it,
    /// it has the role client too, so an intruder in the process can run code on every node.
    /// </summary>
    public bool AllowSpawn { get; init; }

    /// <summary>What the process needs. Null (default): what its class's <see cref="ProvisionAttribute"/> says, else the payload's manifest (<c>gloox.json</c>), else nothing.</summary>
    public Provision? Provision { get; init; }

    /// <summary>The user's own values, which the process finds in its <see cref="Worker.Options"/>; they travel by pipe and never show in a process list.</summary>
    public Dictionary<string, string> Values { get; init; } = [];

    /// <summary>
    /// Variables of the process, beside those that its agent passes on (<c>AgentOptions.PassEnvironment</c>), and before them. Names that begin with
    /// <c>GLOOX_</c> are GlooX's own. They are no place for secrets, which belong into <see cref="Values"/>. A class has them before any of its code
    /// runs; with names that begin with <c>DOTNET_</c> or <c>LD_</c> no warm host is used. Default: none.
    /// </summary>
    public Dictionary<string, string> Environment { get; init; } = [];

    /// <summary>
    /// The user, by name, as whom the process runs, on a node that allows it (<c>AgentOptions.AllowedUsers</c>); others are not asked. It
    /// gets a copy of its files, and a host that is started for it, so it starts cold; it cannot <see cref="Daemonize"/>. Null (default): the agent's own user.
    /// </summary>
    public string? User { get; init; }

    /// <summary>
    /// How an executable is run: the program, then its arguments. The program is a file of the payload or a command of the node's; the process
    /// begins in the folder of its files. Arguments show in the node's process list. Empty (default): as its <c>gloox.json</c> says, else the file itself.
    /// </summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    /// <summary>
    /// When an executable counts as ready. Default: as soon as it runs. A class is ready when it answers and <see cref="Worker.OnStartedAsync"/> is over; it
    /// takes nothing else. See <c>docs/hosts.md</c>.
    /// </summary>
    public ReadyWhen Ready { get; init; } = ReadyWhen.Started;

    /// <summary>
    /// Whether the process is started again when it has ended, on the same node, with the same id, reservation, files, options, folder and log.
    /// Default: never. A process that does not get ready at its first start is not spawned, whatever this says.
    /// </summary>
    public RestartPolicy Restart { get; init; } = RestartPolicy.Never;

    /// <summary>
    /// Whether the process's own folder (<see cref="ProcessOptions.TmpDir"/>) stays on its node's machine when it has ended; the caller then removes
    /// it some day. Default false: it goes with the process. See <see cref="SpawnedProcess.TmpDir"/>.
    /// </summary>
    public bool KeepTmpDir { get; init; }

    /// <summary>Told how far the spawn is, on any thread. Null (default): nobody.</summary>
    public IProgress<SpawnProgress>? Progress { get; init; }

    internal static readonly TimeSpan MaxStartTimeout = TimeSpan.FromMinutes(9);

    /// <summary>How long the process may take until it answers, or until an executable is <see cref="Ready"/>. Default 30 s; at most 9 minutes.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>What a spawned process was given.</summary>
public sealed record ProcessOptions
{
    /// <summary>Where it was told to listen.</summary>
    public string Url { get; init; } = "";

    /// <summary>The agent to call with <see cref="Worker.ConnectToParent"/>.</summary>
    public string ParentUrl { get; init; } = "";

    /// <summary>Process id of the agent that spawned it.</summary>
    public int Ppid { get; init; }

    /// <summary>A folder for its files, its own: it goes with the process, unless it was told otherwise, and what it holds is held against the disk that was reserved.</summary>
    public string TmpDir { get; init; } = "";

    /// <summary>Whether its folder stays when it has ended.</summary>
    public bool KeepTmpDir { get; init; }

    /// <summary>Whether it outlives its agent.</summary>
    public bool Daemonize { get; init; }

    /// <summary>The user's own values.</summary>
    public Dictionary<string, string> Values { get; init; } = [];
}

/// <summary>A process could not be spawned; the message says why, with what it wrote last.</summary>
public sealed class SpawnException : GlooXException
{
    internal SpawnException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }

    /// <summary>What the compiler found, where the payload is source that does not compile; else empty.</summary>
    public IReadOnlyList<BuildDiagnostic> Diagnostics { get; internal init; } = [];
}
