using GlooX.Bundles;
using GlooX.Hosts;
using GlooX.Processes;
using GlooX.Slots;
using GlooX.Trust;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Lifecycle;

/// <summary>What an agent makes of its options.</summary>
internal static class AgentSetup
{
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="IdentityException">The home is not this user's alone.</exception>
    public static void Check(AgentOptions options)
    {
        GlooXHome.Create();
        if (!(options.Weight > 0 && double.IsFinite(options.Weight)))
        {
            throw new ArgumentException($"the weight {options.Weight} is not more than 0", nameof(options));
        }

        if (options.WarmHosts < 0)
        {
            throw new ArgumentException($"{options.WarmHosts} warm hosts is negative: give 0 or more", nameof(options));
        }

        if (options.MaxWarmHosts < 0)
        {
            throw new ArgumentException($"{options.MaxWarmHosts} warm hosts at most is negative: give 0 or more", nameof(options));
        }

        if (options.MaxBundleBytes <= 0)
        {
            throw new ArgumentException($"{options.MaxBundleBytes} bytes leave no room for the files of any payload", nameof(options));
        }

        if (options.PassEnvironment.Select(LaunchRule.FaultOf).FirstOrDefault(static f => f is not null) is { } variable)
        {
            throw new ArgumentException(variable, nameof(options));
        }

        if (options.RequireUser && !OtherUser.IsRoot)
        {
            throw new ArgumentException("the agent does not run as root: RequireUser (--only-users) is for agents that do", nameof(options));
        }

        LaunchRule launching = LaunchingOf(options);
        IEnumerable<string> users = options.SpawnUser is { } one ? options.AllowedUsers.Append(one) : options.AllowedUsers;
        if (users.Select(u => OtherUser.Fault(u) ?? launching.RootFault(u)).FirstOrDefault(static f => f is not null) is { } user)
        {
            throw new ArgumentException($"the agent {user}", nameof(options));
        }
    }

    /// <summary>Null: there is none.</summary>
    /// <exception cref="ArgumentException">The file cannot be written.</exception>
    public static AuditFile? AuditOf(AgentOptions options)
    {
        try
        {
            return options.AuditFile is { } file ? new AuditFile(file, (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Agent")) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ArgumentException($"the audit log cannot be written to {options.AuditFile}: {e.Message} Set AgentOptions.AuditFile (--audit)", nameof(options), e);
        }
    }

    public static LaunchRule LaunchingOf(AgentOptions options) =>
        new(options.Launcher, options.PassEnvironment, options.AllowedUsers, options.SpawnUser, options.RequireUser);

    /// <summary>None is kept where no process would take it, as none runs as the agent's user.</summary>
    public static PoolRule PoolOf(AgentOptions options) =>
        options.SpawnUser is null && !options.RequireUser ? new PoolRule(options.WarmHosts, options.MaxWarmHosts) : new PoolRule(0, 0);

    /// <exception cref="ArgumentException">An agent cannot listen there.</exception>
    public static RpcEndpoint EndpointOf(string url) => RpcEndpoint.Parse(url) is { Path: null } endpoint ? endpoint
        : throw new ArgumentException(
            $"an agent cannot listen on '{url}', for its grid is reached over the network: give host:port", nameof(url));

    /// <summary>The host names and addresses that an agent's certificate must carry.</summary>
    public static IReadOnlyList<string> NamesOf(AgentOptions options, RpcEndpoint endpoint) =>
    [
        .. ((RpcEndpoint?[])[endpoint, options.AdvertisedUrl is { } known ? RpcEndpoint.Parse(known) : null])
            .OfType<RpcEndpoint>().Where(static e => !e.IsAny).Select(static e => e.Host),
        .. options.Names,
    ];

    /// <summary>What keeps the code that clients send from the authority's key, in a sentence; null: nothing.</summary>
    public static string? KeyProtectionOf(AgentOptions options) =>
        !options.Spawns ? "this agent spawns nothing and attaches no add-ons of clients"
        : options.RequireUser ? "this agent runs what others send as other users only"
        : null;

    public static ControlGroups? GroupsOf(AgentOptions options)
    {
        try
        {
            return options.ControlGroup is { } group ? ControlGroups.Open(group) : null;
        }
        catch (Exception e) when (e is IOException or PlatformNotSupportedException)
        {
            throw new ArgumentException(e.Message, nameof(options), e);
        }
    }

    public static Capacity CapacityOf(AgentOptions options, MachineStatus machine)
    {
        if (options.MaxSlots < 0)
        {
            throw new ArgumentException($"{options.MaxSlots} slots is negative: give 0 or more", nameof(options));
        }

        Capacity all = options.Capacity ?? new Capacity(machine.TotalMemoryBytes, machine.TotalDiskBytes);
        return all with
        {
            Resources = ResourceAmounts.Create([new(ResourceAmounts.Cores, machine.Cores)]).With(all.Resources).With(options.Resources),
            MaxSlots = options.MaxSlots ?? all.MaxSlots,
        };
    }

    public static BundleStore OpenStore(AgentOptions options)
    {
        string folder = options.BundleFolder ?? Path.Combine(GlooXHome.Path, "bundles");
        try
        {
            return new BundleStore(folder, options.MaxBundleBytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ArgumentException(
                $"the files of payloads cannot be kept in {folder}: {e.Message} Set AgentOptions.BundleFolder", nameof(options), e);
        }
    }

    /// <summary>The state of the agent.</summary>
    /// <exception cref="IOException">The state file of a data folder cannot be opened, or is in use.</exception>
    public static AgentState OpenState(AgentOptions options, ILogger logger, BundleStore store)
    {
        try
        {
            return new AgentState(options.DataFolder, logger);
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }
}
