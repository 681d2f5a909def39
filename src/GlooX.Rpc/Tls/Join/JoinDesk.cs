using GlooX.Protocol;
using Microsoft.Extensions.Logging;

namespace GlooX.Tls.Join;

/// <summary>
/// The side of joining that an agent serves as <c>gloox-join/1</c> on its one port, open to callers without a certificate: a token, or a
/// certificate that is still good, buys certificates. The joiner has verified this agent before it sends the token.
/// </summary>
internal sealed partial class JoinDesk(Identity identity, ILogger logger, TimeProvider? time = null)
{
    private const int MaxAtOnce = 16;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(15);
    private readonly AttemptLimiter _attempts = new(time ?? TimeProvider.System);
    private readonly SemaphoreSlim _places = new(MaxAtOnce);

    /// <summary>Serves one joiner, to its end or that of the deadline.</summary>
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
            await connection.Stream.ReadAsync(new byte[1], limit.Token).ConfigureAwait(false); // until it has read the answer and hung up
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
            throw new JoinException(JoinFailure.TooManyAttempts, $"joining failed too often from this address, or altogether; wait {AttemptLimiter.Refill.TotalSeconds:0} seconds");
        }

        try
        {
            if (identity.Store is not { Issues: true } store)
            {
                throw new JoinException(JoinFailure.NoAuthority, "this agent cannot make certificates, for it does not hold the authority's key; ask the one where the token was made");
            }

            if (request is not { Version: JoinMessages.Version, Token: not null, Secret: not null, Requests: { Length: 3 } requests } || requests.Any(r => r is null))
            {
                throw new JoinException(JoinFailure.Protocol, "the request is malformed, or of another version");
            }

            string node;
            JoinPermit permit;
            if (request.Token.Length > 0)
            {
                permit = store.Permits.Take(request.Token, request.Secret);
                node = IdentityStore.NewNode();
            }
            else
            {
                // The certificate shown was made here for a node that joined: whatever it is good for, it may be renewed for.
                (node, RpcRole role) = (connection.Peer.Serials is [var leaf, ..] ? store.Issued.NodeOf(leaf) : null)
                    ?? throw new JoinException(JoinFailure.UnknownToken, "without a token, a certificate that was made here and is still good must be shown");
                permit = new JoinPermit(role, []);
            }

            JoinReply reply = store.IssueFor(node, permit, requests);
            LogJoined(logger, connection.Remote, node, CertificateNames.Describe(permit.Role));
            return reply;
        }
        catch (JoinException e) when (e.Failure != JoinFailure.NoAuthority)
        {
            _attempts.Failed(who);
            throw;
        }
    }

    [LoggerMessage(1101, LogLevel.Warning, "{Remote} did not join: {Reason}")]
    private static partial void LogRefused(ILogger logger, string remote, string reason);

    [LoggerMessage(1102, LogLevel.Warning, "{Remote} has certificates now, as node {Node} with the role {Role}")]
    private static partial void LogJoined(ILogger logger, string remote, string node, string role);
}
