using System.Net;
using GlooX.Contracts;

namespace GlooX.Placement;

/// <summary>
/// The addresses of this agent and of the processes that it starts, as other machines reach them: a process listens where its agent listens, and is known
/// by the host that the agent advertises. Thread-safe.
/// </summary>
/// <param name="listening">Where the agent listens.</param>
/// <param name="advertised">The agent's address in the grid; null while it is not known.</param>
internal sealed class AgentAddress(RpcEndpoint listening, Func<string?> advertised)
{
    private volatile IPAddress? _reached;

    /// <summary>The agent, as <c>host:port</c>. An agent on all addresses that no member has reached yet is known by the address that a client used.</summary>
    public string Url => advertised() ?? (_reached is { } reached && listening.IsAny ? listening.WithHost(reached.ToString()) : listening).ToString();

    /// <summary>The host by which others reach a process that listens on all addresses.</summary>
    public string Host => RpcEndpoint.Parse(Url).Host;

    /// <summary>Where a process listens: a class for which the caller chose no URL listens on the agent's host, on any free port.</summary>
    public string ForProcess(SpawnRequest request) =>
        request.Options.Url.Length > 0 || request.Command.Length > 0 ? request.Options.Url : listening.WithPort(0).ToString();

    /// <summary>A caller has reached this agent.</summary>
    /// <param name="at">The local address of the connection; null: a UNIX-domain socket.</param>
    public void ReachedAt(IPAddress? at)
    {
        if (at is not null && (_reached is not { } known || IPAddress.IsLoopback(known)))
        {
            _reached = at.IsIPv4MappedToIPv6 ? at.MapToIPv4() : at;
        }
    }
}
