using GlooX.Hosts;
using GlooX.Slots;
using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>How an agent behaves. Immutable.</summary>
public sealed record AgentOptions
{
    /// <summary>Who the agent is and whom it trusts. Null (default): <see cref="GlooX.Identity.Load"/>.</summary>
    public Identity? Identity { get; init; }

    /// <summary>
    /// The <c>host:port</c> by which other agents reach this one. Null (default): the bound address, or, when all addresses are bound, the
    /// one by which the first peer is reached. Set it where agents of one grid are on this machine and on others at once, or behind NAT.
    /// </summary>
    public string? AdvertisedUrl { get; init; }

    /// <summary>
    /// Host names and addresses, beside this machine's own, those of the URL and of <see cref="AdvertisedUrl"/>, by which others reach this
    /// agent and its children. A certificate of the user's store will carry them; others must carry them already.
    /// </summary>
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>
    /// Whether <see cref="Agent.StartAsync"/> fails when no peer answers (default), or the agent starts alone and joins as soon as one does.
    /// </summary>
    public bool RequirePeer { get; init; } = true;

    /// <summary>How long joining a required peer may take before <see cref="Agent.StartAsync"/> fails. Default 20 s; a port that refuses fails after 5 s.</summary>
    public TimeSpan JoinTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>What the agent may hand out. Null (default): all of the machine's memory, and the disk of its temporary folder.</summary>
    public Capacity? Capacity { get; init; }

    /// <summary>
    /// What the agent may hand out besides, by names of its owner's: <c>[new("gpu", 2), new("licence.matlab", 5)]</c>. Processes ask for them
    /// by the same names, in whole or fractional amounts. <c>cores</c> is always there: those of the machine, unless it is named here.
    /// </summary>
    public ResourceAmounts Resources { get; init; } = ResourceAmounts.None;

    /// <summary>How many processes the agent runs at most, whatever they need. Null (default): as many as fit.</summary>
    public int? MaxSlots { get; init; }

    /// <summary>
    /// The control group (Linux) in which each process gets one of its own, so that the kernel holds it to its memory and cores: its path as
    /// <c>/proc/self/cgroup</c> shows it, for example <c>/gloox</c>. It must be the agent's alone to manage, and is made if it is missing.
    /// Null (default): none; see <see cref="Enforcement"/> for what holds then.
    /// </summary>
    public string? ControlGroup { get; init; }

    /// <summary>How much this agent is preferred over others when a process is placed: 2 counts its room twice. Default 1; more than 0.</summary>
    public double Weight { get; init; } = 1;

    /// <summary>
    /// How many processes to keep started and warm at least, so that a spawn of a class takes milliseconds. Default 1; 0: none, whatever
    /// <see cref="MaxWarmHosts"/> says. Each costs about 50 MB while it waits, and half a second of a processor to get warm.
    /// </summary>
    public int WarmHosts { get; init; } = 1;

    /// <summary>
    /// How many to keep at most when many classes are spawned; fewer as soon as it is quiet for a minute, or memory is short. Default 4; less than
    /// <see cref="WarmHosts"/> counts as that. Those that <see cref="GlooXClient.PrepareAsync(string, SpawnOptions?, CancellationToken)"/> asks for are
    /// among them. See <c>docs/hosts.md</c>.
    /// </summary>
    public int MaxWarmHosts { get; init; } = 4;

    /// <summary>
    /// By what the agent starts its processes. Default: <see cref="ProcessLauncher.Local"/>, as what they are. See <c>docs/hosts.md</c>.
    /// </summary>
    public IProcessLauncher Launcher { get; init; } = ProcessLauncher.Local;

    /// <summary>
    /// Names of this process's variables that the processes of the agent get, beside the usual ones (<c>PATH</c>, <c>HOME</c>, <c>LANG</c>,
    /// <c>DOTNET_*</c> and the like: see <c>docs/spawning.md</c>); one that ends in <c>*</c> means all that begin so. Default: none, so that what
    /// an agent was given, such as passwords, is not every payload's to read. Variables that begin with <c>RAKTR_TLS_</c> or <c>GLOOX_TLS_</c> are never passed on.
    /// </summary>
    public IReadOnlyList<string> PassEnvironment { get; init; } = [];

    /// <summary>
    /// As which users of this machine, by their names, a spawn may ask for its process to run (<see cref="SpawnOptions.User"/>). Default: none but the
    /// agent's own. Only an agent that runs as root, on Linux, can do it. Clients that may spawn can then do what these users can.
    /// </summary>
    public IReadOnlyList<string> AllowedUsers { get; init; } = [];

    /// <summary>
    /// As which user of this machine a process runs for which no user was named; that user may be named too. Null (default): as the agent's own.
    /// Only an agent that runs as root, on Linux, can do it. Then no host is warm, and nothing can outlive the agent (<see cref="SpawnOptions.Daemonize"/>).
    /// </summary>
    public string? SpawnUser { get; init; }

    /// <summary>
    /// Whether an agent that runs as root starts nothing as root: a spawn must name a user of <see cref="AllowedUsers"/>, or there is a
    /// <see cref="SpawnUser"/>. Clients can then attach no add-on to it either, and it takes none of the grid, since add-ons run in the agent itself.
    /// Default: false.
    /// </summary>
    public bool RequireUser { get; init; }

    /// <summary>
    /// Whether the agent runs what others send. False: it spawns nothing, and attaches no add-ons but <see cref="Addons"/>; it is a member of the grid,
    /// keeps channels and lets machines join, so that an authority's key can be on its machine. Default true.
    /// </summary>
    public bool Spawns { get; init; } = true;

    /// <summary>
    /// Whether spawned classes may be given the agent's own certificates and keys, where there is nothing to issue others with: certificates from
    /// variables without <c>GLOOX_TLS_CHILDREN_CERTIFICATE</c>. Each of them can then act as the agent. Default false: such an agent spawns no classes.
    /// Processes of another user never get them.
    /// </summary>
    public bool ShareIdentity { get; init; }

    /// <summary>What the agent offers besides from its start; <see cref="Agent.StartAsync"/> fails when one cannot be attached. Default: nothing.</summary>
    public IReadOnlyList<AddonSpec> Addons { get; init; } = [];

    /// <summary>
    /// Where the agent keeps its durable channels, for itself alone; made if it is missing. Null (default): nowhere; durable channels of the
    /// grid are then in its memory only, and it cannot create any.
    /// </summary>
    public string? DataFolder { get; init; }

    /// <summary>
    /// Where the agent keeps the files of payloads; agents of one user may share it. Null (default): <c>bundles</c> in <c>$GLOOX_HOME</c>, or in
    /// <c>~/.gloox</c>. See <c>docs/bundles.md</c>.
    /// </summary>
    public string? BundleFolder { get; init; }

    /// <summary>
    /// How many bytes the files of payloads may take. Default 10 GB. Those that were not used for longest go first, but never those of what runs: a
    /// spawn for whose files there is no room then goes to another node, or fails. Less costs sending them again.
    /// </summary>
    public long MaxBundleBytes { get; init; } = 10_000_000_000;

    /// <summary>
    /// Receives each line that the agent's processes write, as <c>Name | text</c>: <c>Console.WriteLine</c>, for example. Null (default): lines go to
    /// the logs of the processes only. Called in the background, one line at a time. While the callback blocks, up to 1,000,000 characters wait;
    /// further lines are dropped here and stay in the logs. An exception of the callback is logged.
    /// </summary>
    public Action<string>? Output { get; init; }

    /// <summary>
    /// A file to which the agent appends who did what, one JSON object a line: spawns, ends, add-ons, channels, joins, renewals, revocations, and
    /// calls that were refused. Made for this user alone. While the disk is slow or full up to 10,000 records wait, and then it is counted how
    /// many are lost; the agent goes on. Null (default): they go to the category <c>GlooX.Audit</c> of <see cref="LoggerFactory"/> only.
    /// </summary>
    public string? AuditFile { get; init; }

    /// <summary>Where the agent logs. Null (default): nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
