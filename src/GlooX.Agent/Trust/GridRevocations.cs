using System.Collections.Concurrent;
using GlooX.Contracts;
using Microsoft.Extensions.Logging;

namespace GlooX.Trust;

/// <summary>
/// Revokes certificates in the whole grid, and allows them again. Each agent tells every other what it has revoked itself, until the other has
/// confirmed it (decision 17). The agents of the node that holds the authority's key know what was issued; others ask them. Where the authority is a
/// process of its own, which is no member of the grid, agents ask that, and hear what it has revoked.
/// </summary>
/// <param name="identity">The agent's.</param>
/// <param name="peers">The addresses of the other agents that are reachable now.</param>
/// <param name="client">A client of an address, which must show the role agent.</param>
/// <param name="toProcesses">Tells the processes of this agent.</param>
/// <param name="logger">Where it logs.</param>
internal sealed partial class GridRevocations(
    Identity identity,
    Func<IReadOnlyList<string>> peers,
    Func<string, RpcClient> client,
    Func<IReadOnlyList<Revocation>, CancellationToken, Task> toProcesses,
    ILogger logger)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_askAuthority = TimeSpan.FromSeconds(10);
    private readonly ConcurrentDictionary<string, string> _told = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _changed = new(0, 1);

    private string Self => identity.Node ?? "";

    /// <summary>What this node has revoked, or allowed again: lines of <see cref="Revocation.ToString"/>.</summary>
    public string[] Said() => [.. identity.Revocations.Where(r => r.By.Length == 0 || r.By == Self).Select(static r => r.ToString())];

    /// <summary>Revokes for an admin, here and in the whole grid.</summary>
    /// <exception cref="ArgumentException">A target is unknown, or must not be revoked; nothing was revoked.</exception>
    public async Task<RevokedTarget[]> RevokeAsync(string[] targets, CancellationToken ct)
    {
        string[] all = Parsed(targets);
        if (identity.IsIssuer)
        {
            return RevokeIssued(all);
        }

        RevokedTarget[]? counted = identity.IssuerNode is null ? null : await AskIssuerAsync(all, ct).ConfigureAwait(false);
        if (counted is null && identity.IssuerNode is { } issuer && all.FirstOrDefault(t => !t.StartsWith("node/", StringComparison.Ordinal)) is { } serial)
        {
            throw new ArgumentException(
                $"which node has the certificate {serial} is known at the node {issuer} only, and no agent of it can be reached: revoke the certificate's node by its id",
                nameof(targets));
        }

        // Also when the issuer has done it: who answered in its place could lie.
        string[] own = [.. all.Where(t => identity.IssuerNode is null || t.StartsWith("node/", StringComparison.Ordinal))];
        identity.Revoke(own);
        Changed(own, "revoked");
        return counted ?? [.. all.Select(static t => new RevokedTarget(t, t.StartsWith("node/", StringComparison.Ordinal) ? t[5..] : "", null))];
    }

    /// <summary>Revokes, where the book of the authority is, what it has issued.</summary>
    /// <exception cref="ArgumentException">A target is unknown, or must not be revoked; nothing was revoked.</exception>
    public RevokedTarget[] RevokeIssued(string[] targets)
    {
        string[] all = Parsed(targets);
        CertificateInfo[] issued = [.. identity.Certificates().Where(static c => !c.Own && c.ValidUntil >= DateTime.UtcNow)];
        RevokedTarget[] found = [.. all.Select(t => Find(t, issued))];
        identity.Revoke(all);
        Changed(all, "revoked");
        return found;
    }

    /// <summary>As <see cref="RevokeIssued"/>, for another agent.</summary>
    public RevokedReply TryRevokeIssued(string[] targets)
    {
        try
        {
            return identity.IsIssuer ? new RevokedReply(true, "", RevokeIssued(targets)) : new RevokedReply(false, "", []);
        }
        catch (ArgumentException e)
        {
            return new RevokedReply(true, e.Message, []);
        }
    }

    /// <summary>Allows again for an admin what was revoked.</summary>
    /// <exception cref="ArgumentException">A target is not revoked, or this agent cannot allow it.</exception>
    public RevokedTarget[] Allow(string[] targets)
    {
        string[] all = Parsed(targets);
        IReadOnlyList<Revocation> known = identity.Revocations;
        foreach (string target in all)
        {
            if (!identity.Revoked.Contains(target, StringComparer.Ordinal))
            {
                throw new ArgumentException($"{target} is not revoked", nameof(targets));
            }

            if (!identity.IsIssuer && identity.IssuerNode is { } issuer && known.Any(r => r.Target == target && r.IsRevoked && r.By != Self))
            {
                throw new ArgumentException(
                    $"{target} was revoked elsewhere: only an agent of the node {issuer}, where the authority's key is, can allow it again (--agent)", nameof(targets));
            }
        }

        CertificateInfo[] issued = [.. identity.Certificates().Where(static c => !c.Own && c.ValidUntil >= DateTime.UtcNow)];
        identity.Allow(all);
        Changed(all, "allowed again");
        return [.. all.Select(t => identity.IsIssuer ? Count(t, issued) : new RevokedTarget(t, "", null))];
    }

    /// <summary>Another agent tells what it has revoked.</summary>
    /// <param name="said">Its words.</param>
    /// <param name="teller">The node in its certificate; of other authorities, the serial number.</param>
    /// <param name="isAdmin">Whether the certificate has the role admin.</param>
    /// <exception cref="ArgumentException">A line is malformed.</exception>
    public void Hear(string[] said, string teller, bool isAdmin)
    {
        bool keepsBook = identity.IsIssuer;
        HashSet<string> issued = keepsBook ? identity.Certificates().Where(static c => !c.Own).Select(static c => c.Node).ToHashSet(StringComparer.Ordinal) : [];
        IReadOnlyList<Revocation> news = identity.Record(RevocationRule.Believed(
            said, teller, isAdmin, identity.Revocations, identity.IssuerNode, node => !keepsBook || issued.Contains(node)));
        if (news.Count == 0)
        {
            return;
        }

        LogHeard(logger, teller, string.Join(", ", news.Take(10).Select(static r => $"{r.Target} {(r.IsRevoked ? "revoked" : "allowed")}")));
        if (keepsBook && teller != Self)
        {
            identity.Revoke(news.Where(static r => r.IsRevoked).Select(static r => r.Target)); // so it outlives the agent that said it, and can be taken back
        }

        Wake();
    }

    public void OnGridChange(GridChange change)
    {
        if (change.Kind is GridChangeKind.Removed or GridChangeKind.Joined)
        {
            _told.TryRemove(change.Member.Address, out _); // another process may have its address now
        }

        Wake();
    }

    /// <summary>Tells the other agents and the processes of this one, until cancelled.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        IReadOnlyList<Revocation> last = [];
        string[] lines = [];
        string text = "";
        long askNotBefore = 0;
        while (true)
        {
            await _changed.WaitAsync(TimerCoalescing.Round(s_interval, TimeProvider.System), ct).ConfigureAwait(false);
            _ = identity.Server; // other processes of the store may have revoked: the files are looked at
            IReadOnlyList<Revocation> now = identity.Revocations;
            if (now != last)
            {
                last = now;
                lines = Said();
                text = string.Join('\n', lines);
            }

            IReadOnlyList<string> others = peers();
            List<Task> work = [toProcesses(now, ct), .. others.Where(p => _told.GetValueOrDefault(p, "") != text).Select(p => TellAsync(p, lines, text, ct))];
            if (identity is { JoinedAt: { } authority, IssuerNode: { } issuer }
                && Environment.TickCount64 >= askNotBefore && !others.Contains(authority, StringComparer.Ordinal))
            {
                askNotBefore = Environment.TickCount64 + (long)s_askAuthority.TotalMilliseconds;
                work.Add(HearAuthorityAsync(authority, issuer, lines, text, ct));
            }

            await Task.WhenAll(work).ConfigureAwait(false);
        }
    }

    private static string[] Parsed(string[] targets) => targets.Length is > 0 and <= RevocationRule.MaxOfAgent
        ? [.. targets.Select(Revocation.TargetOf).Distinct(StringComparer.Ordinal)]
        : throw new ArgumentException($"name 1 to {RevocationRule.MaxOfAgent} nodes or serial numbers, not {targets.Length}", nameof(targets));

    private RevokedTarget Find(string target, CertificateInfo[] issued)
    {
        bool isOwn = identity.Certificates().Any(c => c.Own && (target == $"node/{c.Node}" || target == c.Serial));
        if (isOwn)
        {
            throw new ArgumentException(
                $"{target} is of this node, {Self}, which holds the authority's key: it cannot be revoked. Begin a new authority instead (docs/theft.md)", nameof(target));
        }

        RevokedTarget found = Count(target, issued);
        return found.Certificates > 0
            ? found
            : throw new ArgumentException($"no valid certificate was issued here for {target}: gloox certs shows the nodes and serial numbers", nameof(target));
    }

    private static RevokedTarget Count(string target, CertificateInfo[] issued)
    {
        CertificateInfo[] of = [.. issued.Where(c => target == $"node/{c.Node}" || target == c.Serial)];
        return new RevokedTarget(target, of.FirstOrDefault()?.Node ?? "", of.Length);
    }

    // Null: no agent with the book can be reached.
    private async Task<RevokedTarget[]?> AskIssuerAsync(string[] targets, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_timeout);
        RevokedReply[] replies = await Task.WhenAll(peers().Append(identity.JoinedAt).OfType<string>().Distinct(StringComparer.Ordinal).Select(async url =>
        {
            try
            {
                return await Trust(url).RevokeIssuedAsync(targets, limit.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is RpcException or ObjectDisposedException || (e is OperationCanceledException && !ct.IsCancellationRequested))
            {
                return new RevokedReply(false, "", []);
            }
        })).ConfigureAwait(false);
        return replies.FirstOrDefault(static r => r.HasBook) switch
        {
            null => null,
            { Fault: { Length: > 0 } fault } => throw new ArgumentException(fault, nameof(targets)),
            var reply => reply.Targets,
        };
    }

    private async Task TellAsync(string url, string[] lines, string text, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_timeout);
        try
        {
            await Trust(url).RevokedAsync(lines, limit.Token).ConfigureAwait(false);
            _told[url] = text;
        }
        catch (Exception e) when (e is RpcException or ObjectDisposedException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            // it is told again at the next turn, or it is gone
        }
    }

    // The authority's own process knows no agents: they ask it. Another process at that address is not believed.
    private async Task HearAuthorityAsync(string url, string issuer, string[] lines, string text, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_timeout);
        try
        {
            RpcPeer who = await client(url).OpenAsync(limit.Token).ConfigureAwait(false);
            if (who.Node == issuer && who.Roles.HasFlag(RpcRole.Admin))
            {
                Hear(await Trust(url).SaidAsync(limit.Token).ConfigureAwait(false), issuer, isAdmin: true);
                if (lines.Length > 0 && _told.GetValueOrDefault(url, "") != text)
                {
                    await TellAsync(url, lines, text, ct).ConfigureAwait(false);
                }
            }
        }
        catch (Exception e) when (e is RpcException or ObjectDisposedException or ArgumentException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            // it is asked again
        }
    }

    private ITrustService Trust(string url) => client(url).As<ITrustService>(ITrustService.ServiceName);

    private void Changed(string[] targets, string what)
    {
        LogChanged(logger, what, string.Join(", ", targets.Take(10)));
        Wake();
    }

    private void Wake()
    {
        try
        {
            _changed.Release();
        }
        catch (SemaphoreFullException)
        {
            // a turn is due already
        }
    }

    [LoggerMessage(4101, LogLevel.Warning, "Certificates are {What} from now on: {Targets}")]
    private static partial void LogChanged(ILogger logger, string what, string targets);

    [LoggerMessage(4104, LogLevel.Warning, "The node {Teller} tells: {Targets}")]
    private static partial void LogHeard(ILogger logger, string teller, string targets);
}
