using System.Security.Cryptography.X509Certificates;
using GlooX.Tls.Join;

namespace GlooX.Tls;

/// <summary>What a store's authority does for others: tokens, certificates for machines that join, and where and how its key is kept.</summary>
internal sealed class StoreAuthority(IdentityStore store)
{
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="JoinException"><see cref="JoinFailure.NoAuthority"/>.</exception>
    public string CreateToken(JoinTokenOptions options)
    {
        if (options.Role is not (RpcRole.Agent or RpcRole.Client or RpcRole.Observer or RpcRole.Admin))
        {
            throw new ArgumentException($"a machine joins as agent, client, observer or admin, not as {CertificateNames.Describe(options.Role)}", nameof(options));
        }

        if (options.ValidFor <= TimeSpan.Zero || options.ValidFor > TimeSpan.FromDays(1))
        {
            throw new ArgumentException($"ValidFor must be more than zero and at most one day, not {options.ValidFor}", nameof(options));
        }

        if (options.Names.FirstOrDefault(n => !CertificateNames.IsHost(n)) is { } bad)
        {
            throw new ArgumentException($"'{bad}' is no host name or address", nameof(options));
        }

        Identity identity = store.Load();
        if (store.KeepsBook && !store.Issues)
        {
            throw new JoinException(JoinFailure.NoAuthority, "the authority's key is locked: the passphrase is needed (JoinTokenOptions.Passphrase)");
        }

        if (!store.Issues)
        {
            throw new JoinException(JoinFailure.NoAuthority, $"this machine joined at {store.JoinedAt} and does not hold the authority's key; create the token there");
        }

        var token = JoinToken.Create(identity.Authority.RawData);
        byte[]? key = null;
        if (store.Authority.State == AuthorityKeyState.Locked)
        {
            using X509Certificate2 opened = store.Authority.Open(options.Passphrase!);
            key = AuthorityKey.Wrap(opened, token.Secret);
        }

        store.Tokens.Add(token, new JoinGrant(options.Role, options.Names) { Key = key }, options.ValidFor);
        return token.ToString();
    }

    /// <summary>Issues certificates for another machine.</summary>
    /// <param name="node">The machine's identity.</param>
    /// <param name="grant">The role, and names beside those that are requested.</param>
    /// <param name="requests">The keys and names, from the machine.</param>
    /// <param name="renewal">What is shown to get new certificates; null: the machine joins.</param>
    /// <exception cref="JoinException">They are not granted.</exception>
    public JoinReply IssueFor(string node, JoinGrant grant, byte[][] requests, Renewal? renewal = null)
    {
        using FileStream held = store.Lock();
        var revoked = new RevocationList();
        revoked.Add(store.RevokedFile.Read());
        using X509Certificate2 authority = (grant is { Key: { } wrapped, Secret: { } secret } ? store.Authority.Unwrap(wrapped, secret) : store.ReadAuthority())
            ?? throw new JoinException(JoinFailure.NoAuthority, "the authority's key is locked: certificates are issued for tokens only. Join again with a token");
        using X509Certificate2? own = store.ReadPair("server");
        return JoinIssuer.Issue(authority, own is null ? [] : CertificateNames.Hosts(own), store.Issued, revoked, node, grant, requests, store.Time.GetUtcNow(), renewal);
    }

    /// <summary>Moves the authority to another folder, and joins this machine to it: its certificates are entered in the book, so that they are renewed there.</summary>
    /// <exception cref="JoinException">The store holds no authority's key.</exception>
    /// <exception cref="IdentityException">The files cannot be moved.</exception>
    public void MoveAuthority(string folder, string url)
    {
        IdentityParts parts = store.Load([], new RevocationList());
        if (store.Authority.State != AuthorityKeyState.Readable)
        {
            throw new JoinException(JoinFailure.NoAuthority, $"the store in {store.Folder} holds no authority's key, or it is locked (gloox authority unlock)");
        }

        try
        {
            using FileStream held = store.Lock();
            using X509Certificate2 authority = store.ReadPair("ca")!;
            string node = CertificateNames.Node(parts.Server) ?? "";
            store.Issued.Add(IdentityStore.Pairs.Select(p =>
            {
                // As of any other machine, without the role admin.
                string[] hosts = p.Use == CertificateUse.Client ? [] : [.. parts.Hosts];
                var order = new CertificateOrder($"gloox {p.Name} of {Environment.UserName} on {Environment.MachineName}", node, hosts, p.Roles & ~RpcRole.Admin, p.Use);
                X509Certificate2 made = store.Make(p.Name, () => CertificateAuthority.Issue(authority, order, store.Time.GetUtcNow()));
                return new IssuedCertificate(Revocation.SerialOf(made.SerialNumber), node, p.Name, RpcRole.Agent, DateOnly.FromDateTime(made.NotAfter.ToUniversalTime()), hosts);
            }));
            GlooXHome.CreateFolder(folder);
            File.Copy(store.Path("ca.crt"), Path.Combine(folder, "ca.crt"));
            foreach (string file in new[] { "issued", RevokedFile.Name, "ca.key" }.Where(f => File.Exists(store.Path(f))))
            {
                string moved = Path.Combine(folder, file);
                if (file == RevokedFile.Name)
                {
                    File.Copy(store.Path(file), moved);
                }
                else
                {
                    File.Move(store.Path(file), moved);
                }
            }

            string issuer = CertificateNames.Node(new IdentityStore(folder, store.Time).Load().Server) ?? "";
            IdentityStore.Write(store.Path(IdentityStore.JoinedFile), $"{url}\n{issuer}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IdentityException(store.Folder, $"the authority cannot be moved to {folder}: {e.Message}", e);
        }
    }

    /// <summary>Puts the authority's key under a passphrase, or takes that away.</summary>
    /// <exception cref="JoinException">There is no such key here.</exception>
    public void SetLock(string passphrase, bool isLocked)
    {
        store.Load();
        using FileStream held = store.Lock();
        using X509Certificate2? plain = isLocked ? store.ReadPair("ca") : null;
        if (isLocked ? plain is null : store.Authority.State != AuthorityKeyState.Locked)
        {
            throw new JoinException(JoinFailure.NoAuthority, $"the store in {store.Folder} holds no authority's key that is {(isLocked ? "not locked yet" : "locked")}");
        }

        if (isLocked)
        {
            store.Authority.Lock(plain!, passphrase);
        }
        else
        {
            store.Authority.Unlock(passphrase);
        }
    }
}
