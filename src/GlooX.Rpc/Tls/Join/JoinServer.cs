using System.Net;
using GlooX.Protocol;
using Microsoft.Extensions.Logging;

namespace GlooX.Tls.Join;

/// <summary>
/// The agent's side of joining: serves <c>gloox-join/1</c> on the one port, open to callers without a certificate. It issues certificates for a
/// token, or for a certificate that is still valid. The joiner verifies this agent before it sends the token.
/// </summary>
internal sealed partial class JoinServer(Identity identity, ILogger logger, TimeProvider? time = null)
{
    private const int MaxAtOnce = 16;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(15);
    private readonly AttemptLimiter _attempts = new(time ?? TimeProvider.System);
    private readonly SemaphoreSlim _places = new(MaxAtOnce);

    /// <summary>Serves one joiner, within a deadline.</summary>
    public async Task ServeAsync(TlsConnection connection, CancellationToken ct)
    {
        if (!await _places.WaitAsync(0, ct).ConfigureAwait(false))
        {
            LogRefused(logger, connection.Remote, $"{MaxAtOnce} are joining already");
            return;
        }

        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
            limit.CancelAfter(s_limit);
            await JoinMessages.WriteAsync(connection.Stream, new JoinOffer(JoinMessages.Version, identity.Authority.RawData), limit.Token).ConfigureAwait(false);
            JoinReply reply;
            try
            {
                JoinRequest request = await JoinMessages.ReadAsync<JoinRequest>(connection.Stream, limit.Token).ConfigureAwait(false);
                reply = Answer(request, connection);
            }
            catch (JoinException e)
            {
                LogRefused(logger, connection.Remote, e.Message);
                reply = JoinReply.Failed(e);
            }

            await JoinMessages.WriteAsync(connection.Stream, reply, limit.Token).ConfigureAwait(false);
            await connection.Stream.ShutdownAsync().WaitAsync(limit.Token).ConfigureAwait(false);
            await connection.Stream.ReadAsync(new byte[1], limit.Token).ConfigureAwait(false); // until the joiner has read the reply and closed
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            LogRefused(logger, connection.Remote, e is OperationCanceledException ? "it took too long" : e.Message);
        }
        finally
        {
            _places.Release();
        }
    }

    private JoinReply Answer(JoinRequest request, TlsConnection connection)
    {
        string who = AttemptLimiter.Key(connection.Remote);
        if (!_attempts.MayTry(who))
        {
            throw new JoinException(JoinFailure.TooManyAttempts, $"joining failed too often; wait {AttemptLimiter.Refill.TotalSeconds:0} seconds");
        }

        try
        {
            if (identity.Store is not { Issues: true } store)
            {
                throw new JoinException(JoinFailure.NoAuthority, "this agent does not hold the authority's key, so it cannot issue certificates; join at an agent of the machine where the token was created");
            }

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
            JoinReply reply = store.IssueFor(node, grant, requests);
            LogJoined(logger, connection.Remote, node, CertificateNames.Describe(grant.Role));
            return reply;
        }
        catch (JoinException e) when (e.Failure != JoinFailure.NoAuthority)
        {
            _attempts.Failed(who);
            throw;
        }
    }

    // The shown certificate was issued here, by the authority itself: a node chooses the serial numbers of its children's certificates.
    private JoinReply Renew(IdentityStore store, byte[][] requests, TlsConnection connection)
    {
        IssuedCertificate shown = (connection.Peer.Serials is [var serial] ? store.Issued.Find(serial) : null)
            ?? throw new JoinException(JoinFailure.UnknownToken, "without a token, a valid certificate that was issued here must be shown");
        string? from = IPEndPoint.TryParse(connection.Remote, out IPEndPoint? remote) ? CertificateNames.Normal(remote.Address.ToString()) : null;
        JoinReply reply = store.IssueFor(shown.Node, new JoinGrant(shown.Role, []), requests, new Renewal(shown, from));
        if (reply.Failure == JoinFailure.None)
        {
            LogRenewed(logger, connection.Remote, shown.Node);
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
