using GlooX.Contracts;
using GlooX.Payloads;

namespace GlooX;

/// <summary>What is done ahead of spawns.</summary>
public sealed partial class GlooXClient
{
    /// <summary>
    /// Readies a payload in advance, so that its first spawn is as quick as later ones: builds it, gets its files to all nodes of the grid,
    /// and has each keep a warm process that has loaded a class's assemblies, as far as its <c>AgentOptions.MaxWarmHosts</c> allow. None of
    /// its code is run. An agent keeps such a process until it ends, or until payloads that were used later need the room.
    /// </summary>
    /// <param name="className">As of the spawn.</param>
    /// <param name="path">As of the spawn.</param>
    /// <param name="options">As of the spawn; its command and its progress count. Null: the defaults.</param>
    /// <param name="ct">Cancels the operation; what was sent stays there.</param>
    /// <returns>The nodes that have the files now, by URL; their processes get warm in the background. A node that does not answer or has
    /// no room is left out.</returns>
    /// <exception cref="SpawnException">The file is missing or faulty, or does not get to the agent.</exception>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public Task<IReadOnlyList<string>> PrepareAsync(
        string className, string path, SpawnOptions? options = null, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(className);
        return PrepareNamedAsync(className, path, options ?? new SpawnOptions(), ct);
    }

    /// <summary>
    /// Overload that infers the class when the payload has exactly one, and for programs, whose files are sent to the nodes.
    /// </summary>
    /// <param name="path">As of the spawn.</param>
    /// <param name="options">As of the spawn; its command and its progress count. Null: the defaults.</param>
    /// <param name="ct">Cancels the operation; what was sent stays there.</param>
    /// <returns>The nodes that have the files now, by URL.</returns>
    /// <exception cref="SpawnException">The file is missing or faulty, or does not get to the agent.</exception>
    /// <exception cref="RpcException">The agent does not answer, or the other side is not an agent.</exception>
    public Task<IReadOnlyList<string>> PrepareAsync(string path, SpawnOptions? options = null, CancellationToken ct = default) =>
        PrepareNamedAsync(null, path, options ?? new SpawnOptions(), ct);

    private async Task<IReadOnlyList<string>> PrepareNamedAsync(string? name, string path, SpawnOptions options, CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(path);
        await RequireAgentAsync(ct).ConfigureAwait(false);
        Payload payload = await Payload.PrepareAsync(name, path, options, ct).ConfigureAwait(false);
        var request = new PrepareRequest(payload.Files.Manifest.Id, payload.Assembly, "");
        try
        {
            for (int round = 0; ; round++)
            {
                PrepareReply reply = await _commands.PrepareAsync(request, ct).ConfigureAwait(false);
                if (!reply.NeedsBundle || round == MaxSendings)
                {
                    return reply.NeedsBundle
                        ? throw new BundleException(
                        "they are dropped as they come: there is not enough room among the bundles of the agent") : reply.Nodes;
                }

                await _bundles.SendAsync(payload.Files, options.Progress, ct).ConfigureAwait(false);
            }
        }
        catch (BundleException e)
        {
            throw new SpawnException($"{payload.Name} was not prepared: its files did not get to {Url}: {e.Message}", e);
        }
    }
}
