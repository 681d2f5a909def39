using GlooX.Channels.Replication;
using GlooX.Contracts;

namespace GlooX.Channels;

/// <summary>
/// Who may read and write a channel through an agent: the roles in its options, and what its name says. Agents may do everything, since each
/// holds the channel. Pure.
/// </summary>
internal static class ChannelAccess
{
    /// <summary>How the names of channels begin that agents alone may read and write: their content decides which code runs in every agent.</summary>
    public const string AgentsOnly = "gloox.";

    /// <summary>How the names of the channels of add-ons begin: their code runs in agents, so agents alone may write.</summary>
    private static readonly string s_writtenByAgents = AddonRequest.ServiceOf("");

    public static bool MayRead(string channel, ChannelSpec spec, RpcRole caller) => Has(caller, IsForAgents(channel) ? RpcRole.None : (RpcRole)spec.Readers);

    public static bool MayWrite(string channel, ChannelSpec spec, RpcRole caller) =>
        Has(caller, IsForAgents(channel) || IsOfAddon(channel) ? RpcRole.None : (RpcRole)spec.Writers);

    /// <summary>The name, if the caller may read; <paramref name="spec"/> is null when there is no such channel.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Forbidden"/>.</exception>
    public static string Readable(string channel, ChannelSpec? spec, RpcRole caller) => MayRead(channel, spec ?? ChannelSpec.Default, caller)
        ? channel
        : throw Refusal(channel, IsForAgents(channel) ? null : spec?.Readers, "read", caller);

    /// <summary>The name, if the caller may write; <paramref name="spec"/> is null when there is no such channel.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Forbidden"/>.</exception>
    public static string Writable(string channel, ChannelSpec? spec, RpcRole caller) => MayWrite(channel, spec ?? ChannelSpec.Default, caller)
        ? channel
        : throw Refusal(channel, IsForAgents(channel) || IsOfAddon(channel) ? null : spec?.Writers, "written", caller);

    /// <exception cref="RpcException"><see cref="RpcError.Forbidden"/>: the name is reserved.</exception>
    public static void CheckCreation(string channel, RpcRole caller)
    {
        if ((IsForAgents(channel) || IsOfAddon(channel)) && !Has(caller, RpcRole.None))
        {
            throw Refusal(channel, null, "created", caller);
        }
    }

    private static bool IsForAgents(string channel) => channel.StartsWith(AgentsOnly, StringComparison.Ordinal);

    private static bool IsOfAddon(string channel) => channel.StartsWith(s_writtenByAgents, StringComparison.Ordinal);

    private static bool Has(RpcRole caller, RpcRole roles) => (caller & (roles | RpcRole.Agent)) != RpcRole.None;

    private static RpcException Refusal(string channel, int? roles, string done, RpcRole caller) => new(
        RpcError.Forbidden,
        roles is { } needed
            ? $"the channel '{channel}' may be {done} by {(RpcRole)needed | RpcRole.Agent}; the caller is {caller}"
            : $"the channel '{channel}' may be {done} by agents alone: names that begin with '{(IsForAgents(channel) ? AgentsOnly : s_writtenByAgents)}' are reserved");
}
