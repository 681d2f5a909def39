using GlooX.Bundles;
using GlooX.Processes;
using GlooX.Slots;

namespace GlooX.Lifecycle;

/// <summary>What an agent makes of its options.</summary>
internal static class AgentSetup
{
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public static void Check(AgentOptions options)
    {
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

        if (options.AllowedUsers.Select(OtherUser.Fault).FirstOrDefault(static f => f is not null) is { } user)
        {
            throw new ArgumentException($"the agent {user}", nameof(options));
        }
    }

    /// <summary>What keeps the code that clients send from the authority's key, in a sentence; null: nothing.</summary>
    public static string? KeyProtectionOf(AgentOptions options) => options.Spawns ? null : "this agent spawns nothing and attaches no add-ons of clients";

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
            throw new ArgumentException($"the files of payloads cannot be kept in {folder}: {e.Message} Set AgentOptions.BundleFolder", nameof(options), e);
        }
    }
}
