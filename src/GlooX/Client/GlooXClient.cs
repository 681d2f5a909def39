using GlooX.Client;
using System.Runtime.CompilerServices;
using GlooX.Channels;
using GlooX.Contracts;
using GlooX.Payloads;
using GlooX.Slots;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX;

/// <summary>
/// Talks to an agent, or to a worker that an agent spawned. Connects on the first call, and again when the connection was lost.
/// All members are safe for concurrent use.
/// </summary>
public sealed partial class GlooXClient : IAsyncDisposable
{
    // Where the agent's store is nearly full, a bundle may be dropped between being sent and being used.
    private const int MaxSendings = 3;
    private const int MaxAttempts = 10;
    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_nodeTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_endGrace = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_endLimit = TimeSpan.FromSeconds(10);

    private readonly RpcClient _rpc;
    private readonly NodeConnections _nodes;
    private readonly IAgentService _agent;
    private readonly IAgentService _commands; // what only an agent may be told: a child that took its agent's port must not get it
    private readonly IChannelService _channels;
    private readonly ILogger _channelLog;
    private readonly BundleUpload _bundles;
    private int _isDisposed;

    /// <summary>Makes a client; nothing is sent before the first call.</summary>
    /// <param name="url">An agent or a worker, as <c>host:port</c>; 0.0.0.0 means this machine.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <exception cref="ArgumentException">The URL is malformed.</exception>
    public GlooXClient(string url, RpcClientOptions? options = null)
    {
        _nodes = new NodeConnections(options);
        _rpc = _nodes.Acquire(url);
        _agent = _rpc.As<IAgentService>(IAgentService.ServiceName);
        _commands = _rpc.As<IAgentService>(IAgentService.ServiceName, RpcRole.Agent);
        _channels = _rpc.As<IChannelService>(IChannelService.ServiceName);
        _channelLog = (options?.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Channels");
        _bundles = new BundleUpload(_rpc.As<IBundleService>(IBundleService.ServiceName, RpcRole.Agent));
    }

    /// <summary>Whom it talks to, as <c>host:port</c>.</summary>
    public string Url => _rpc.Url;

    internal IAgentService Service => _agent;

    /// <summary>Asks whether the other side answers.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>True: it answers. False: nothing listens there, it stops, or it did not answer in time.</returns>
    /// <exception cref="RpcException">Something answers that is not trusted, or that does not trust this client: its certificate or role
    /// says no.</exception>
    public async ValueTask<bool> AliveAsync(CancellationToken ct = default)
    {
        try
        {
            return await _agent.AliveAsync(ct).ConfigureAwait(false);
        }
        catch (RpcException e) when (e.Code is RpcError.Connection or RpcError.Timeout or RpcError.ShuttingDown)
        {
            return false;
        }
    }

    /// <summary>How the node describes itself.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Its description.</returns>
    /// <exception cref="RpcException">It does not answer.</exception>
    public ValueTask<NodeInfo> InfoAsync(CancellationToken ct = default) => _agent.InfoAsync(ct);

    /// <summary>All nodes of the grid as the asked agent knows them: each tells the others its state when it changes, and every five seconds.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>One entry for each member, by URL; one that the agent does not reach has the state <see cref="NodeState.Unreachable"/>.</returns>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public async Task<IReadOnlyList<NodeInfo>> NodesAsync(CancellationToken ct = default) => await _agent.NodesAsync(ct).ConfigureAwait(false);

    /// <summary>
    /// Spawns a process on the node of the grid that has the most room. Its files travel: the node needs neither them nor an SDK.
    /// </summary>
    /// <param name="className">A class that derives from <see cref="Worker"/>, with or without its namespace; for an executable, any name
    /// for the process.</param>
    /// <param name="path">
    /// A <c>.cs</c> file or a <c>.csproj</c>, built here when it has changed; a <c>.dll</c>; a folder; or an executable. See
    /// <c>docs/bundles.md</c>.
    /// </param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the operation; a process that was starting is killed.</param>
    /// <returns>The process, which answers; an executable has just started.</returns>
    /// <exception cref="SpawnException">The file is missing or faulty, it fits nowhere, or the process did not start.</exception>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public Task<SpawnedProcess> SpawnAsync(string className, string path, SpawnOptions? options = null, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(className);
        return SpawnNamedAsync(className, path, options, ct);
    }

    /// <summary>Spawns an executable, a program in source, or the only class of a payload that derives from <see cref="Worker"/>.</summary>
    /// <param name="path">As of <see cref="SpawnAsync(string, string, SpawnOptions?, CancellationToken)"/>.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the operation; a process that was starting is killed.</param>
    /// <returns>The process, which answers; an executable has just started.</returns>
    /// <exception cref="SpawnException">The file is missing or faulty, it fits nowhere, or the process did not start.</exception>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    /// <example><code>await using var job = await client.SpawnAsync("count.py", new SpawnOptions { Provision = new("200MB", "0") });
    /// ExitStatus end = await job.WaitForExitAsync();</code></example>
    public Task<SpawnedProcess> SpawnAsync(string path, SpawnOptions? options = null, CancellationToken ct = default) =>
        SpawnNamedAsync(null, path, options, ct);

    /// <summary>
    /// Runs a program to its end on the node that has the most room; its two outputs go to those of this process, line by line.
    /// </summary>
    /// <param name="executable">A file or folder as for a spawn, which travels; or, without a file of that name, a command that the
    /// nodes have.</param>
    /// <param name="arguments">Its arguments; they show in the node's process list.</param>
    /// <returns>How it ended.</returns>
    /// <exception cref="SpawnException">It could not be started, or it is a class, which does not end by itself.</exception>
    /// <exception cref="RpcException">The agent does not answer, or its node went away.</exception>
    /// <example><code>ExitStatus end = await client.RunAsync("wc", "-l", "/var/log/messages");</code></example>
    public Task<ExitStatus> RunAsync(string executable, params string[] arguments) =>
        RunAsync(executable, arguments, static line => (line.Stream == OutputStream.Error ? Console.Error : Console.Out)
            .WriteLine(line.Text));

    /// <summary>Runs a program to its end; a callback receives each line that it writes.</summary>
    /// <param name="executable">What to run.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="output">Called for each line, one after the other; an exception ends the process and comes out here.</param>
    /// <param name="options">Null: the defaults. Its command must be empty.</param>
    /// <param name="ct">Cancels the operation: the process is asked to end and killed two seconds later.</param>
    /// <returns>How it ended.</returns>
    /// <exception cref="SpawnException">It could not be started, or it is a class, which does not end by itself.</exception>
    /// <exception cref="ArgumentException">The options have a command.</exception>
    /// <exception cref="RpcException">The agent does not answer, or its node went away.</exception>
    public async Task<ExitStatus> RunAsync(
        string executable, IReadOnlyList<string> arguments, Action<LogLine> output, SpawnOptions? options = null,
            CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(output);
        if (options is { Command.Count: > 0 })
        {
            throw new ArgumentException(
                "the program to run and its arguments are given already: leave SpawnOptions.Command empty", nameof(options));
        }

        SpawnedProcess process = await SpawnNamedAsync(null, executable, options, ct, arguments).ConfigureAwait(false);
        await using (process.ConfigureAwait(false))
        {
            try
            {
                await foreach (LogLine line in process.LogsAsync(follow: true, ct: ct).ConfigureAwait(false))
                {
                    output(line);
                }

                return await process.WaitForExitAsync(ct).ConfigureAwait(false);
            }
            catch
            {
                await EndRunAsync(process).ConfigureAwait(false);
                throw;
            }
        }
    }

    /// <summary>A process of the grid, wherever it runs, by its id; also one that has ended not long ago.</summary>
    /// <param name="id">As <see cref="ProcessInfo.Id"/> or <see cref="SpawnedProcess.Id"/>.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The process; null: no node that answers knows it.</returns>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public async Task<SpawnedProcess?> AttachAsync(string id, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(id);
        return await _agent.FindAsync(id, ct).ConfigureAwait(false) is { } found
            ? new SpawnedProcess(found.Id, found.Pid, found.Node, found.Url, found.ProcessName, found.Started, found.TmpDir, _nodes)
            : null;
    }

    private static async Task EndRunAsync(SpawnedProcess process)
    {
        using var limit = new CancellationTokenSource(s_endLimit);
        try
        {
            await process.KillAsync(s_endGrace, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException)
        {
            // the node is gone, with the process, or does not answer: the caller is told what happened before
        }
    }

    private async Task<SpawnedProcess> SpawnNamedAsync(
        string? name, string path, SpawnOptions? options, CancellationToken ct, IReadOnlyList<string>? arguments = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        options ??= new SpawnOptions();
        if (SpawnRequest.FaultOf(options.Strategy, options.StartTimeout, options.Restart, options.Environment) is { } fault)
        {
            throw new ArgumentException(fault, nameof(options));
        }

        await RequireAgentAsync(ct).ConfigureAwait(false);
        using Payload payload = arguments is null
            ? await Payload.PrepareAsync(name, path, options, ct).ConfigureAwait(false)
            : await Payload.PrepareProgramAsync(path, arguments, options, ct).ConfigureAwait(false);
        if (payload.Command.Length == 0 && options.Ready != ReadyWhen.Started)
        {
            throw new SpawnException(
                $"{payload.Name} is a class, which is ready when its OnStartedAsync is over: leave SpawnOptions.Ready out");
        }

        Provision need = options.Provision ?? payload.Provision ?? Provision.None;
        var process = new ProcessOptions
        {
            Url = options.Url ?? "", ParentUrl = options.ParentUrl ?? "", Daemonize = options.Daemonize, KeepTmpDir = options.KeepTmpDir,
            Values = options.Values,
        };
        var request = new SpawnRequest(
            payload.Assembly, payload.Name, need.MemoryBytes, need.DiskBytes, options.Strategy, process,
            (int)options.StartTimeout.TotalMilliseconds, options.AllowSpawn)
        {
            Resources = new(need.Amounts, StringComparer.Ordinal),
            MaxPerNode = need.MaxPerNode,
            Kind = need.Kind.Length > 0 ? need.Kind : payload.Name,
            Bundle = payload.Files.Manifest.Id,
            Command = payload.Command,
            ReadyFile = options.Ready.NeedsFile,
            ReadyLine = options.Ready.Text,
            Restart = options.Restart,
            Environment = options.Environment,
            User = options.User ?? "",
        };
        SpawnReply reply = await AskAsync(request, payload, options, ct).ConfigureAwait(false);
        if (reply.Error.Length > 0)
        {
            throw new SpawnException($"{payload.Name} was not spawned: {reply.Error}");
        }

        var spawned = new SpawnedProcess(reply.Id, reply.Pid, reply.Node, reply.Url, reply.ProcessName, reply.Started, reply.TmpDir, _nodes);
        if (ct.IsCancellationRequested)
        {
            await using (spawned.ConfigureAwait(false))
            {
                await EndRunAsync(spawned).ConfigureAwait(false);
                ct.ThrowIfCancellationRequested();
            }
        }

        return spawned;
    }

    // Whether the agent has the files is told by asking for the spawn itself: then one that has them costs nothing.
    private async Task<SpawnReply> AskAsync(SpawnRequest request, Payload payload, SpawnOptions options, CancellationToken ct)
    {
        for (int round = 0; ; round++)
        {
            options.Progress?.Report(new SpawnProgress(SpawnStage.Starting, 0, 0));
            request = request with { Ticket = Guid.NewGuid().ToString("N") };
            SpawnReply reply;
            try
            {
                reply = await AskUnderTicketAsync(request, ct).ConfigureAwait(false);
            }
            catch (Exception e) when (e is OperationCanceledException or RpcException)
            {
                await AbandonAsync(request.Ticket).ConfigureAwait(false);
                throw;
            }

            if (!reply.NeedsBundle || round == MaxSendings)
            {
                return reply;
            }

            try
            {
                await _bundles.SendAsync(payload.Files, options.Progress, ct).ConfigureAwait(false);
            }
            catch (BundleException e)
            {
                throw new SpawnException($"{payload.Name} was not spawned: its files did not get to {Url}: {e.Message}", e);
            }
        }
    }

    // A connection that breaks after the question was sent is made again: under the same ticket the agent gives the same answer.
    private async Task<SpawnReply> AskUnderTicketAsync(SpawnRequest request, CancellationToken ct)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                SpawnReply reply = await _commands.SpawnAsync(request, ct).ConfigureAwait(false);
                return reply.Outcome != SpawnOutcome.Started || await _commands.ClaimAsync(request.Ticket, ct).ConfigureAwait(false)
                    ? reply
                    : SpawnReply.Failed(reply.Node, $"the connection to {Url} was lost for so long that the agent ended the process");
            }
            catch (RpcException e) when (e.Code == RpcError.Connection && attempt < MaxAttempts && (e.Method is not null || attempt > 1))
            {
                await Task.Delay(s_again, ct).ConfigureAwait(false);
            }
        }
    }

    // The answer may have been under way already when the spawn was given up.
    private async Task AbandonAsync(string ticket)
    {
        using var limit = new CancellationTokenSource(s_endGrace);
        try
        {
            await _commands.AbandonAsync(ticket, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException)
        {
            // it answers no more: what it started shows in the list of processes, and ends with it
        }
    }

    /// <summary>How many processes of a kind the agent has room for.</summary>
    /// <param name="provision">What one of them needs.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The numbers at this moment, of this node alone; they promise nothing.</returns>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public ValueTask<SlotCount> SlotsAsync(Provision provision, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(provision);
        return _agent.SlotsAsync(
            provision.MemoryBytes, provision.DiskBytes, new(provision.Amounts, StringComparer.Ordinal), provision.MaxPerNode,
            provision.Kind, ct);
    }

    /// <summary>
    /// Overload for a class that is not loaded here: its provision is read from its file, and no code of the file is run.
    /// </summary>
    /// <param name="className">A class that derives from <see cref="Worker"/>, with or without its namespace.</param>
    /// <param name="path">A <c>.cs</c> file, built on first use, or a <c>.dll</c>.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The numbers at this moment, of this node alone; they promise nothing.</returns>
    /// <exception cref="SpawnException">The file is missing or faulty, or has no such class.</exception>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public async Task<SlotCount> SlotsAsync(string className, string path, CancellationToken ct = default)
    {
        using Payload payload = await Payload.PrepareAsync(className, path, new SpawnOptions(), ct).ConfigureAwait(false);
        return await SlotsAsync((payload.Provision ?? Provision.None) with { Kind = payload.Name }, ct).ConfigureAwait(false);
    }

    /// <summary>The processes of all nodes of the grid; a node that does not answer is left out.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The processes that run, by node and start.</returns>
    /// <exception cref="RpcException">The agent itself does not answer.</exception>
    public async Task<IReadOnlyList<ProcessInfo>> ProcessesAsync(CancellationToken ct = default)
    {
        await RequireAgentAsync(ct).ConfigureAwait(false);
        NodeInfo node = await InfoAsync(ct).ConfigureAwait(false);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_nodeTimeout);
        ProcessInfo[][] others = await Task.WhenAll(node.Peers.Select(async peer =>
        {
            try
            {
                return await _nodes.AskAsync(peer, a => a.ListAsync(limit.Token)).ConfigureAwait(false);
            }
            catch (Exception e) when (e is RpcException || (e is OperationCanceledException && !ct.IsCancellationRequested))
            {
                return []; // the node went away between the look and the call, or is silent
            }
        })).ConfigureAwait(false);
        IEnumerable<ProcessInfo> all = [.. await _agent.ListAsync(ct).ConfigureAwait(false), .. others.SelectMany(static o => o)];
        return [.. all.OrderBy(p => p.Node, StringComparer.Ordinal).ThenBy(p => p.Started)];
    }

    /// <summary>
    /// What happens to processes from now on: of one until it has ended for good, or of all on the nodes that are reachable, those that
    /// join or come back too. The first word of each node is <see cref="ProcessEventKind.Watching"/>: what happens there after it is told.
    /// </summary>
    /// <param name="id">Of this process alone, wherever it runs; one that has ended is told of at once. Null (default): of all.</param>
    /// <param name="ct">Ends the stream.</param>
    /// <returns>
    /// The events, those of a node in order. A watcher for which more than 1,024 events wait loses the oldest of them; their number is in
    /// <see cref="ProcessEvent.Missed"/> of the next. A slow watcher never delays others. The stream ends also when the asked agent stops
    /// in order.
    /// </returns>
    /// <exception cref="RpcException">The agent does not answer or goes away, the other side is not an agent, or no node that answers knows
    /// such a process.</exception>
    public async IAsyncEnumerable<ProcessEvent> WatchProcessesAsync(
        string? id = null, [EnumeratorCancellation] CancellationToken ct = default)
    {
        await foreach (ProcessEvent[] some in _agent.WatchAsync(id, ct).ConfigureAwait(false))
        {
            foreach (ProcessEvent happened in some)
            {
                yield return happened;
            }
        }
    }

    /// <summary>Ends a process for good, wherever in the grid it runs, with all that it started.</summary>
    /// <param name="id">As <see cref="ProcessInfo.Id"/> or <see cref="SpawnedProcess.Id"/>.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>True if it ran or was to be started again, which it is not any more; false if there is no such process.</returns>
    /// <exception cref="RpcException">The agent does not answer.</exception>
    public async Task<bool> KillAsync(string id, CancellationToken ct = default)
    {
        if (await _agent.FindAsync(id, ct).ConfigureAwait(false) is not { State: ProcessState.Running or ProcessState.Restarting } process)
        {
            return false;
        }

        return await _nodes.AskAsync(process.Node, a => a.KillAsync(id, ct)).ConfigureAwait(false);
    }

    /// <summary>
    /// Has certificates refused by the whole grid from now on, although they are valid, and the connections ended that were made with them. Needs the role
    /// admin: the machine that holds the authority's key has it, and who joined with it.
    /// </summary>
    /// <param name="targets">Nodes or serial numbers, as <c>gloox certs</c> shows them; see <see cref="Revocation.TargetOf"/>.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>What was revoked. The other nodes hear of it within seconds, or as soon as they are reachable.</returns>
    /// <exception cref="RpcException">The agent does not answer, the role admin is missing, or a target is unknown: then nothing was revoked.</exception>
    public async Task<IReadOnlyList<RevokedTarget>> RevokeAsync(IEnumerable<string> targets, CancellationToken ct = default)
    {
        await RequireAgentAsync(ct).ConfigureAwait(false);
        return await _commands.RevokeAsync([.. targets], ct).ConfigureAwait(false);
    }

    /// <summary>Has certificates accepted again that were revoked. Needs the role admin.</summary>
    /// <param name="targets">Nodes or serial numbers, as for <see cref="RevokeAsync"/>.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>What was allowed again.</returns>
    /// <exception cref="RpcException">The agent does not answer, the role admin is missing, a target is not revoked, or this agent cannot allow it again.</exception>
    public async Task<IReadOnlyList<RevokedTarget>> AllowAsync(IEnumerable<string> targets, CancellationToken ct = default)
    {
        await RequireAgentAsync(ct).ConfigureAwait(false);
        return await _commands.AllowAsync([.. targets], ct).ConfigureAwait(false);
    }

    /// <summary>The add-ons of the node.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Their names.</returns>
    /// <exception cref="RpcException">The node does not answer.</exception>
    public async Task<IReadOnlyList<string>> AddonsAsync(CancellationToken ct = default) =>
        await _agent.AddonsAsync(ct).ConfigureAwait(false);

    /// <summary>Has the node load an add-on, in a context of its own.</summary>
    /// <param name="name">The name by which it is called.</param>
    /// <param name="source">Where its code lies on the node's machine.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Completes when it can be called.</returns>
    /// <exception cref="AddonException">It cannot be attached; nothing was changed.</exception>
    /// <exception cref="RpcException">The node does not answer, or the other side is not an agent.</exception>
    public async Task AttachAddonAsync(string name, AddonSource source, AddonOptions? options = null, CancellationToken ct = default)
    {
        await RequireAgentAsync(ct).ConfigureAwait(false);
        (await _commands.AttachAddonAsync(AddonRequest.Of(name, source, options), ct).ConfigureAwait(false)).Check();
    }

    /// <summary>Has the node detach an add-on; its calls in flight go on.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Completes when it has ended.</returns>
    /// <exception cref="AddonException">There is no add-on of that name.</exception>
    /// <exception cref="RpcException">The node does not answer.</exception>
    public async Task DetachAddonAsync(string name, CancellationToken ct = default) =>
        (await _commands.DetachAddonAsync(name, ct).ConfigureAwait(false)).Check();

    /// <summary>Has all nodes of the grid load an add-on, those that join later too: its code travels from the agent's machine.</summary>
    /// <param name="name">The name by which it is called.</param>
    /// <param name="source">Where its code lies on the agent's machine.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the wait.</param>
    /// <returns>Completes when all reachable nodes have it.</returns>
    /// <exception cref="AddonException">It cannot be attached, or a node does not have it after a minute.</exception>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public async Task AttachAddonEverywhereAsync(
        string name, AddonSource source, AddonOptions? options = null, CancellationToken ct = default)
    {
        await RequireAgentAsync(ct).ConfigureAwait(false);
        (await _commands.SpreadAddonAsync(AddonRequest.Of(name, source, options), ct).ConfigureAwait(false)).Check();
    }

    /// <summary>Has all nodes detach an add-on that was attached to all.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="ct">Cancels the wait.</param>
    /// <returns>Completes when no reachable node has it any more.</returns>
    /// <exception cref="AddonException">There is no add-on of that name on all nodes, or a node still has it after a minute.</exception>
    /// <exception cref="RpcException">The agent does not answer.</exception>
    public async Task DetachAddonEverywhereAsync(string name, CancellationToken ct = default) =>
        (await _commands.WithdrawAddonAsync(name, ct).ConfigureAwait(false)).Check();

    /// <summary>Calls an add-on that is a delegate, or a method of another.</summary>
    /// <typeparam name="T">What it returns; with <see cref="object"/> whatever comes.</typeparam>
    /// <param name="name">Its name, or <c>name/method</c>.</param>
    /// <param name="arguments">Its arguments. A <see cref="CancellationToken"/> at the end is not sent: it cancels the call.</param>
    /// <returns>The result.</returns>
    /// <exception cref="ArgumentException">A <see cref="CancellationToken"/> is among the arguments, and not at the end.</exception>
    /// <exception cref="RpcException">The call failed; <see cref="RpcError.ServiceNotFound"/>: there is no such add-on.</exception>
    public ValueTask<T?> CallAddonAsync<T>(string name, params object?[] arguments) => _rpc.CallAsync<T>(MethodOfAddon(name), arguments);

    /// <inheritdoc cref="CallAddonAsync{T}(string, object?[])"/>
    /// <param name="name">Its name, or <c>name/method</c>.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="ct">Cancels the operation.</param>
    public ValueTask<T?> CallAddonAsync<T>(string name, object?[] arguments, CancellationToken ct) =>
        _rpc.CallAsync<T>(MethodOfAddon(name), arguments, ct);

    /// <summary>An add-on as a contract.</summary>
    /// <typeparam name="T">An interface with <see cref="RpcServiceAttribute"/>.</typeparam>
    /// <param name="name">Its name.</param>
    /// <returns>A proxy; keep it.</returns>
    public T Addon<T>(string name)
        where T : class => _rpc.As<T>(AddonRequest.ServiceOf(name));

    /// <summary>The names of all channels of the grid.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The names, as far as the agent has heard.</returns>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public async Task<IReadOnlyList<string>> ChannelsAsync(CancellationToken ct = default) =>
        await _channels.NamesAsync(ct).ConfigureAwait(false);

    /// <summary>Creates a channel in the whole grid; does nothing if it exists.</summary>
    /// <param name="name">Its name: 1 to 1,024 bytes of UTF-8.</param>
    /// <param name="options">Fixed for good. Null: the defaults, or whatever it has if it exists.</param>
    /// <param name="ct">Cancels the wait; it may exist all the same.</param>
    /// <returns>The channel, once all reachable nodes have it.</returns>
    /// <exception cref="ChannelException">It exists with other options, or a reachable node has not confirmed it within 5 s.</exception>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public async Task<IChannel<object?>> CreateChannelAsync(string name, ChannelOptions? options = null, CancellationToken ct = default)
    {
        (await _channels.CreateAsync(name, options?.Checked(), ct).ConfigureAwait(false)).OrThrow(name);
        return Channel(name);
    }

    /// <summary>Removes a channel in the whole grid, with all that is in it.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="ct">Cancels the wait; it may be removed all the same.</param>
    /// <returns>False: there was none.</returns>
    /// <exception cref="ChannelException">It is the built-in one, or a reachable node has not confirmed within 5 s.</exception>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public async Task<bool> RemoveChannelAsync(string name, CancellationToken ct = default) =>
        (await _channels.RemoveAsync(name, ct).ConfigureAwait(false)).OrThrow(name).Number != 0;

    /// <summary>A channel by its name; nothing is sent before it is used, and a name that does not exist is told then.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The channel, with values of any type.</returns>
    public IChannel<object?> Channel(string name) => Channel<object?>(name);

    /// <inheritdoc cref="Channel(string)"/>
    /// <typeparam name="T">The type of its values.</typeparam>
    public IChannel<T> Channel<T>(string name) => new ClientChannel<T>(_channels, name, _channelLog);

    /// <summary>The other side as a contract.</summary>
    /// <typeparam name="T">An interface with <see cref="RpcServiceAttribute"/>.</typeparam>
    /// <param name="service">Which service; empty: the process's own methods.</param>
    /// <returns>A proxy; keep it.</returns>
    public T As<T>(string service = "")
        where T : class => _rpc.As<T>(service);

    /// <inheritdoc cref="RpcClient.CallAsync{T}(string, object?[])"/>
    public ValueTask<T?> CallAsync<T>(string method, params object?[] arguments) => _rpc.CallAsync<T>(method, arguments);

    /// <inheritdoc cref="RpcClient.CallAsync{T}(string, object?[], CancellationToken)"/>
    public ValueTask<T?> CallAsync<T>(string method, object?[] arguments, CancellationToken ct) => _rpc.CallAsync<T>(method, arguments, ct);

    private static string MethodOfAddon(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return AddonRequest.ServiceOf(name.Contains('/', StringComparison.Ordinal) ? name : $"{name}/{AddonRequest.DelegateMethod}");
    }

    // What is spawned may hold secrets: a child that took its agent's port must not get them.
    private async Task RequireAgentAsync(CancellationToken ct)
    {
        RpcPeer peer = await _rpc.OpenAsync(ct).ConfigureAwait(false);
        if (!peer.Roles.HasFlag(RpcRole.Agent))
        {
            throw new RpcException(
                RpcError.Tls, $"{Url} is no agent: its certificate '{peer.Subject}' has the role {peer.Roles.ToString().ToLowerInvariant()}") { Url = Url };
        }
    }

    /// <summary>Closes the connection; calls in flight fail.</summary>
    /// <returns>Completes when it is closed.</returns>
    public ValueTask DisposeAsync() => Interlocked.Exchange(ref _isDisposed, 1) == 0 ? _nodes.ReleaseAsync(Url) : default;
}
