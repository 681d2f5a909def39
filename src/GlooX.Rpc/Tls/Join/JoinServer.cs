using System.Net;
using GlooX.Protocol;
using GlooX.Server;
using Microsoft.Extensions.Logging;

namespace GlooX.Tls.Join;

/// <summary>
/// The agent's side of joining: serves <c>gloox-join/1</c> on the one port, open to callers without a certificate. It issues certificates for a
/// token, or for a certificate that is still valid. The joiner verifies this agent before it sends the token.
/// </summary>
internal sealed partial class JoinServer(Identity identity, ILogger logger, TimeProvider? time = null, RpcAudit? audit = null)
{
    private const int MaxFarewells = 64;
    private static readonly AdmissionLimits s_limits = new(Waiting: 64, Active: 16, ActivePerSource: 12, FairTime: TimeSpan.FromSeconds(2));
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_farewell = TimeSpan.FromSeconds(1);

    // Callers with a trusted certificate, who renew it, have room and attempts of their own: strangers cannot take these from them.
    private readonly AdmissionQueue _strangers = new(s_limits, time ?? TimeProvider.System);
    private readonly AdmissionQueue _known = new(s_limits, time ?? TimeProvider.System);
    private readonly AttemptLimiter _attempts = new(time ?? TimeProvider.System);
    private readonly SemaphoreSlim _farewells = new(MaxFarewells);
    private readonly LogThrottle _refusals = new(logger, LogLevel.Warning, "joins that were refused", time);

    /// <summary>Serves one joiner, within a deadline. One that has not sent its request gives way when others need its place, and is told so.</summary>
    public async Task ServeAsync(TlsConnection connection, CancellationToken ct)
    {
        // A node chooses the serial numbers of its children's certificates, so these count as the one that issued them.
        string? known = connection.Peer.Serials is [.., var issued] ? issued : null;
        using AdmissionQueue.Entry entry = known is null ? _strangers.Enter(SourceAddress.Of(connection.Remote)) : _known.Enter(known);
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct, entry.Late);
            limit.CancelAfter(s_limit);
            JoinReply reply;
            try
            {
                await JoinMessages.WriteAsync(connection.Stream, new JoinOffer(JoinMessages.Version, identity.Authority.RawData), limit.Token).ConfigureAwait(false);
                JoinRequest request = await JoinMessages.ReadAsync<JoinRequest>(connection.Stream, limit.Token).ConfigureAwait(false);
                await entry.StartAsync(limit.Token).ConfigureAwait(false);
                reply = Answer(request, connection, known);
            }
            catch (JoinException e)
            {
                Refused(connection, e.Message);
                reply = JoinReply.Failed(e);
            }
            catch (OperationCanceledException) when (entry.Late.IsCancellationRequested && !ct.IsCancellationRequested)
            {
                var e = new JoinException(JoinFailure.TooManyAttempts, "too many are joining here at once; try again in a moment");
                Refused(connection, e.Message);
                reply = JoinReply.Failed(e);
            }

            entry.Dispose();
            await ReplyAsync(connection, reply, ct).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            Refused(connection, e is OperationCanceledException ? "it took too long" : e.Message);
        }
    }

    /// <summary>Sends the reply, and waits until the joiner has read it and closed; not long, and not for many at once.</summary>
    private async Task ReplyAsync(TlsConnection connection, JoinReply reply, CancellationToken ct)
    {
        bool isShort = reply.Failure != JoinFailure.None;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(isShort ? s_farewell : s_limit);
        if (isShort && !_farewells.Wait(0, CancellationToken.None))
        {
            return;
        }

        try
        {
            await JoinMessages.WriteAsync(connection.Stream, reply, limit.Token).ConfigureAwait(false);
            await connection.Stream.ShutdownAsync().WaitAsync(limit.Token).ConfigureAwait(false);
            await connection.Stream.ReadAsync(new byte[1], limit.Token).ConfigureAwait(false);
        }
        finally
        {
            if (isShort)
            {
                _farewells.Release();
            }
        }
    }

    private void Refused(TlsConnection connection, string reason)
    {
        audit?.NotJoined(connection.Peer, connection.Remote, reason);
        if (_refusals.MayWrite())
        {
            LogRefused(logger, connection.Remote, ForeignText.Of(reason));
        }
    }

    private JoinReply Answer(JoinRequest request, TlsConnection connection, string? known)
    {
        if (identity.Store is not { KeepsBook: true } store)
        {
            throw new JoinException(JoinFailure.NoAuthority, "this agent does not hold the authority's key, so it cannot issue certificates; join at an agent of the machine where the token was created");
        }

        string who = known ?? SourceAddress.Of(connection.Remote);
        if (!_attempts.MayTry(who, isKnown: known is not null || store.Tokens.Has(request.Token)))
        {
            throw new JoinException(JoinFailure.TooManyAttempts, $"joining failed too often; wait {AttemptLimiter.Refill.TotalSeconds:0} seconds");
        }

        try
        {
            if (request is not { Version: JoinMessages.Version, Token: not null, Secret: not null, Requests: { Length: 3 } requests } || requests.Any(r => r is null))
            {
                throw new JoinException(JoinFailure.Protocol, "the request is malformed, or of another version");
            }

            if (request.Token.Length == 0)
            {
                return Renew(store, requests, connection);
            }

            JoinGrant grant = store.Tokens.Take(request.Token, request.Secret);
            string node = IdentityStore.NewNode();
            JoinReply reply = new StoreAuthority(store).IssueFor(node, grant, requests);
            LogJoined(logger, connection.Remote, node, CertificateNames.Describe(grant.Role));
            audit?.Joined(connection.Peer, connection.Remote, node, CertificateNames.Describe(grant.Role));
            return reply;
        }
        catch (JoinException)
        {
            _attempts.Failed(who, isKnown: known is not null);
            throw;
        }
    }

    // The shown certificate was issued here, by the authority itself: a node chooses the serial numbers of its children's certificates.
    private JoinReply Renew(IdentityStore store, byte[][] requests, TlsConnection connection)
    {
        IssuedCertificate shown = (connection.Peer.Serials is [var serial] ? store.Issued.Find(serial) : null)
            ?? throw new JoinException(JoinFailure.UnknownToken, "without a token, a valid certificate that was issued here must be shown");
        string? from = IPEndPoint.TryParse(connection.Remote, out IPEndPoint? remote) ? CertificateNames.Normal(remote.Address.ToString()) : null;
        JoinReply reply = new StoreAuthority(store).IssueFor(shown.Node, new JoinGrant(shown.Role, []), requests, new Renewal(shown, from));
        if (reply.Failure == JoinFailure.None)
        {
            LogRenewed(logger, connection.Remote, shown.Node);
            audit?.Joined(connection.Peer, connection.Remote, shown.Node, CertificateNames.Describe(shown.Role));
        }

        return reply;
    }

    [LoggerMessage(1101, LogLevel.Warning, "{Remote} did not join: {Reason}")]
    private static partial void LogRefused(ILogger logger, string remote, string reason);

    [LoggerMessage(1102, LogLevel.Warning, "{Remote} joined as node {Node} with the role {Role}")]
    private static partial void LogJoined(ILogger logger, string remote, string node, string role);

    [LoggerMessage(1103, LogLevel.Information, "{Remote} renewed the certificates of node {Node}")]
    private static partial void LogRenewed(ILogger logger, string remote, string node);
}
