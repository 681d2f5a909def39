using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GlooX.Protocol;

namespace GlooX.Tls.Join;

/// <summary>The joining side. The keys are created here and never sent; no secret is sent before the other side is verified.</summary>
internal static class JoinClient
{
    /// <exception cref="JoinException">Joining failed; the store is unchanged.</exception>
    /// <exception cref="RpcException">The agent cannot be reached.</exception>
    public static async Task<IReadOnlyList<string>> JoinAsync(IdentityStore store, string url, string text, JoinOptions options, CancellationToken ct)
    {
        JoinToken token = JoinToken.Parse(text);
        store.CheckMayJoin(options.Replace);
        return await AskAsync(store, url, token, null, options, ct).ConfigureAwait(false);
    }

    /// <summary>Replaces the certificates of the store with new ones from the agent that issued them.</summary>
    /// <exception cref="JoinException">Joining failed; the store is unchanged.</exception>
    /// <exception cref="RpcException">The agent cannot be reached.</exception>
    public static Task<IReadOnlyList<string>> RenewAsync(IdentityStore store, Identity identity, IReadOnlyList<string> names, CancellationToken ct) =>
        AskAsync(store, store.JoinedAt ?? throw new InvalidOperationException("the store did not join another authority"), null, identity, new JoinOptions { Names = names }, ct);

    private static async Task<IReadOnlyList<string>> AskAsync(IdentityStore store, string url, JoinToken? token, Identity? identity, JoinOptions options, CancellationToken ct)
    {
        RpcEndpoint endpoint = RpcEndpoint.Parse(url).Dialable;
        string[] hosts = [.. CertificateNames.OfThisMachine().Union(options.Names.Select(CertificateNames.Normal), StringComparer.Ordinal)];
        if (hosts.FirstOrDefault(h => !CertificateNames.IsHost(h)) is { } bad)
        {
            throw new ArgumentException($"'{bad}' is no host name or address", nameof(options));
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(options.Timeout);
        try
        {
            X509Certificate2? shown = null;
            List<X509Certificate2> between = [];
            TlsConnection connection = await TlsConnection.DialAsync(endpoint, TlsConnection.Join, Options(identity, (certificate, chain) =>
            {
                shown = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
                between.AddRange(chain.ChainPolicy.ExtraStore.Select(c => X509CertificateLoader.LoadCertificate(c.RawData)));
            }), static () => (null, Peer.Anonymous), limit.Token).ConfigureAwait(false);
            await using (connection.ConfigureAwait(false))
            {
                JoinOffer offer = await JoinMessages.ReadAsync<JoinOffer>(connection.Stream, limit.Token).ConfigureAwait(false);
                using X509Certificate2 authority = Verified(offer, token, identity, shown, between, options.ServerName ?? endpoint.Host);
                ECDsa[] keys = [.. Enumerable.Range(0, 3).Select(_ => ECDsa.Create(ECCurve.NamedCurves.nistP256))];
                byte[][] requests = [.. keys.Select(k => Request(k, hosts))];
                await JoinMessages.WriteAsync(connection.Stream, new JoinRequest(JoinMessages.Version, token?.Id ?? [], token?.Secret ?? [], requests), limit.Token).ConfigureAwait(false);
                JoinReply reply = await JoinMessages.ReadAsync<JoinReply>(connection.Stream, limit.Token).ConfigureAwait(false);
                if (reply.Failure != JoinFailure.None)
                {
                    if (identity is not null && reply.Withheld.Length > 0)
                    {
                        store.Withhold(reply.Withheld);
                    }

                    throw new JoinException(reply.Failure, $"{endpoint}: {reply.Message}");
                }

                store.Adopt(authority, Pairs(reply, keys, authority), endpoint.ToString(), reply.Withheld, options.Replace || identity is not null);
                return reply.Withheld;
            }
        }
        catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
        {
            throw new RpcException(RpcError.Timeout, $"{endpoint} did not answer within {options.Timeout.TotalSeconds:0.#} s", e) { Url = endpoint.ToString() };
        }
        catch (IOException e)
        {
            throw new RpcException(RpcError.Connection, $"{endpoint} ended the connection: {e.Message}", e) { Url = endpoint.ToString() };
        }
    }

    private static SslClientAuthenticationOptions Options(Identity? identity, Action<X509Certificate, X509Chain> shown) => new()
    {
        ClientCertificateContext = identity?.Current.AsAgent.ClientContext,
        EnabledSslProtocols = SslProtocols.Tls13,
        CertificateChainPolicy = new X509ChainPolicy { RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true, TrustMode = X509ChainTrustMode.CustomRootTrust },
#pragma warning disable CA5359 // verified as soon as the authority is known and before anything is sent
        RemoteCertificateValidationCallback = (_, certificate, chain, _) =>
        {
            if (certificate is not null && chain is not null)
            {
                shown(certificate, chain);
            }

            return true;
        },
#pragma warning restore CA5359
    };

    /// <summary>The authority, after verification: it is the pinned one, and it signed the other side's certificate as that of an agent with the dialled name.</summary>
    private static X509Certificate2 Verified(JoinOffer offer, JoinToken? token, Identity? identity, X509Certificate2? shown, List<X509Certificate2> between, string name)
    {
        if (offer is not { Version: JoinMessages.Version, Authority.Length: > 0 } || shown is null)
        {
            throw new JoinException(JoinFailure.Protocol, $"{name} speaks another version of the join protocol");
        }

        bool pinned = token?.Pins(offer.Authority) ?? identity!.Authority.RawData.AsSpan().SequenceEqual(offer.Authority);
        X509Certificate2 authority;
        try
        {
            authority = pinned
                ? X509CertificateLoader.LoadCertificate(offer.Authority)
                : throw new JoinException(JoinFailure.WrongAuthority, $"{name} belongs to another authority than the token: it is the wrong agent, or an attacker is in between. The token was not sent");
        }
        catch (CryptographicException e)
        {
            throw new JoinException(JoinFailure.WrongAuthority, $"{name} sent no certificate of an authority: {e.Message}", e);
        }

        using var chain = new X509Chain { ChainPolicy = CertificateAuthority.Policy(authority, server: true) };
        chain.ChainPolicy.ExtraStore.AddRange(between.ToArray());
        SslPolicyErrors errors = chain.Build(shown) ? SslPolicyErrors.None : SslPolicyErrors.RemoteCertificateChainErrors;
        string? refusal = PeerVerifier.Verify(shown, chain, errors, authority, new RevokedSerials(), name, out Peer? peer);
        if (refusal is null && !peer!.Roles.HasFlag(RpcRole.Agent))
        {
            refusal = $"the certificate '{peer.Subject}' does not have the role agent";
        }

        return refusal is null ? authority : throw new JoinException(JoinFailure.WrongAuthority, $"{name} is not trusted: {refusal}. The token was not sent");
    }

    private static byte[] Request(ECDsa key, string[] hosts)
    {
        var request = new CertificateRequest("CN=gloox", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(CertificateNames.Extension(hosts, null, RpcRole.None));
        return request.CreateSigningRequest();
    }

    private static X509Certificate2?[] Pairs(JoinReply reply, ECDsa[] keys, X509Certificate2 authority)
    {
        try
        {
            X509Certificate2?[] pairs = [.. reply.Certificates.Zip(keys, (der, key) =>
            {
                using (key)
                {
                    if (der.Length == 0)
                    {
                        return null;
                    }

                    using X509Certificate2 bare = X509CertificateLoader.LoadCertificate(der);
                    return bare.CopyWithPrivateKey(key);
                }
            })];
            return pairs is [_, not null, _] && pairs.OfType<X509Certificate2>().All(c => CertificateAuthority.IsSignedBy(c, authority))
                ? pairs
                : throw new JoinException(JoinFailure.Protocol, "the received certificates are not signed by the authority, or some are missing");
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new JoinException(JoinFailure.Protocol, $"the received certificates cannot be used: {e.Message}", e);
        }
    }
}
