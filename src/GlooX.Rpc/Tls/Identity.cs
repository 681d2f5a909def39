using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Runtime.CompilerServices;
using System.Security.Cryptography.X509Certificates;
using GlooX.Protocol;
using GlooX.Tls;
using GlooX.Tls.Join;

namespace GlooX;

/// <summary>
/// The certificates of this process and the authority it trusts: one authority, one certificate for answering, one for calling. Thread-safe;
/// share one instance for the life of the process.
/// </summary>
/// <remarks>
/// Without explicit certificates, <see cref="Load"/> takes them from the seven variables <c>RAKTR_TLS_*</c> if one of them is set, else from the
/// user's store in <c>$GLOOX_HOME</c> (by default <c>~/.gloox</c>), which is created on first use with a private authority. A loaded identity
/// follows its files: when they change, or a certificate of the store is about to end, new connections use the new certificates, and open
/// connections continue. Unusable files leave the identity unchanged.
/// </remarks>
public sealed class Identity
{
    private static readonly TimeSpan s_checkEvery = TimeSpan.FromSeconds(1);
    private static readonly ConcurrentDictionary<string, Identity> s_loaded = new(StringComparer.Ordinal);
    private static Identity? s_process;

    private readonly ConditionalWeakTable<SslStream, Peer> _connections = [];
    private readonly IIdentitySource? _source;
    private readonly Identity? _agentOf;
    private readonly Lock _gate = new();
    private IdentityParts _parts;
    private string _stamp = "";
    private long _checkedAt;

    /// <summary>Creates an identity from certificates; both must include their private keys.</summary>
    /// <param name="authority">The one authority that this process trusts.</param>
    /// <param name="server">Shown to processes that connect to this one.</param>
    /// <param name="client">Shown to processes that this one connects to.</param>
    /// <exception cref="IdentityException">A private key is missing, or a certificate is not signed by the authority or not valid now.</exception>
    public Identity(X509Certificate2 authority, X509Certificate2 server, X509Certificate2 client)
        : this(new IdentityParts(authority, server, client, [], null, new RevokedSerials()).Checked("server certificate", "client certificate"))
    {
    }

    /// <summary>Fixed, and not checked.</summary>
    internal Identity(IdentityParts parts) => _parts = parts;

    private Identity(Identity agentOf) => (_agentOf, _parts) = (agentOf, agentOf._parts);

    /// <summary>Follows its source.</summary>
    /// <exception cref="IdentityException">The source cannot be used.</exception>
    internal Identity(IIdentitySource source, IReadOnlyCollection<string> hosts)
    {
        _source = source;
        _stamp = source.Stamp();
        _parts = source.Load(hosts, new RevokedSerials());
        _checkedAt = source.Time.GetTimestamp();
    }

    /// <summary>The authority that this process trusts.</summary>
    public X509Certificate2 Authority => Current.Authority;

    /// <summary>Shown to processes that connect to this one.</summary>
    public X509Certificate2 Server => Current.Server;

    /// <summary>Shown to processes that this one connects to.</summary>
    public X509Certificate2 Client => Current.Client;

    /// <summary>The revoked serial numbers, from <see cref="Revoke"/> here or elsewhere in the grid.</summary>
    public IReadOnlyCollection<string> RevokedSerials => Current.RevokedSerials.Serials;

    /// <summary>The certificates of this moment.</summary>
    internal IdentityParts Current => For(null);

    /// <summary>The store that the identity follows; null: it has another source.</summary>
    internal IdentityStore? Store => _agentOf is null ? _source as IdentityStore : _agentOf.Store;

    /// <summary>Why the files could not be used at the last check; null: they could.</summary>
    internal IdentityException? Problem { get; private set; }

    /// <summary>The identity of this process: of a spawned process, the one it was given; else from the seven variables, else from the user's store.</summary>
    /// <param name="names">Host names and addresses by which this process is reached, in addition to those of this machine; the store's certificate will carry them.</param>
    /// <returns>The identity; the same instance each time.</returns>
    /// <exception cref="IdentityException">A variable or file is unusable; the message names it and what to do.</exception>
    /// <exception cref="ArgumentException">A name is no host name or address.</exception>
    public static Identity Load(params IEnumerable<string> names) =>
        Volatile.Read(ref s_process) ?? Follow((IIdentitySource?)RaktrVariables.Source() ?? IdentityStore.Open(), names);

    /// <summary>The identity of this user from the store in <c>$GLOOX_HOME</c>, whatever the variables say and however this process was started.</summary>
    /// <param name="names">As for <see cref="Load"/>.</param>
    /// <returns>The identity; the same instance each time.</returns>
    /// <exception cref="IdentityException">A file is unusable; the message names it and what to do.</exception>
    /// <exception cref="ArgumentException">A name is no host name or address.</exception>
    public static Identity LoadStore(params IEnumerable<string> names) => Follow(IdentityStore.Open(), names);

    /// <summary>
    /// Creates a token with which another machine joins the authority of this user's store, at any agent that uses the store. The token works once,
    /// and is a secret until it expires.
    /// </summary>
    /// <param name="options">Null: the defaults.</param>
    /// <returns>The token, for <see cref="JoinAsync"/> or <c>gloox join</c>.</returns>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="JoinException">The store does not hold its authority's key.</exception>
    /// <exception cref="IdentityException">The store cannot be used.</exception>
    public static string CreateJoinToken(JoinTokenOptions? options = null) => IdentityStore.Open().CreateToken(options ?? new JoinTokenOptions());

    /// <summary>
    /// Joins the authority of an agent's store: this machine creates the keys, the agent issues the certificates, and from then on the processes of
    /// both machines trust each other. The files that the store had are kept in a folder beside it. The token is sent only to the agent that it
    /// was created for.
    /// </summary>
    /// <param name="url">An agent on the machine where the token was created, as <c>host:port</c>.</param>
    /// <param name="token">A token from <see cref="CreateJoinToken"/> or <c>gloox token</c> there.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the operation; the store stays as it was.</param>
    /// <returns>The new identity of this machine.</returns>
    /// <exception cref="JoinException">Joining failed; <see cref="JoinException.Failure"/> says why.</exception>
    /// <exception cref="RpcException">The agent cannot be reached.</exception>
    /// <exception cref="ArgumentException">The URL or a name is malformed.</exception>
    /// <exception cref="IdentityException">The store cannot be used.</exception>
    public static async Task<JoinResult> JoinAsync(string url, string token, JoinOptions? options = null, CancellationToken ct = default)
    {
        IReadOnlyList<string> withheld = await JoinClient.JoinAsync(IdentityStore.Open(), url, token, options ?? new JoinOptions(), ct).ConfigureAwait(false);
        return new JoinResult(LoadStore(), withheld);
    }

    /// <summary>
    /// Asks the agent where this machine joined for new certificates, if those of the store are about to end. Nothing happens for an identity
    /// that did not come from joining.
    /// </summary>
    /// <param name="ct">Cancels the operation; the store stays as it was.</param>
    /// <returns>The agent that issued new certificates; null: none were due.</returns>
    /// <exception cref="JoinException">The agent refused; <see cref="JoinException.Failure"/> says why.</exception>
    /// <exception cref="RpcException">The agent cannot be reached.</exception>
    /// <exception cref="IdentityException">The store cannot be used.</exception>
    public async Task<string?> RenewAsync(CancellationToken ct = default)
    {
        IdentityParts parts = Current;
        if (Store is not { } store || !store.ShouldRenew(parts))
        {
            return null;
        }

        await JoinClient.RenewAsync(store, this, [.. parts.Hosts], ct).ConfigureAwait(false);
        return store.JoinedAt;
    }

    /// <summary>
    /// Revokes certificates: they are refused from now on although they are valid, and connections made with them are closed. An agent spreads this
    /// to its grid; a loaded identity also saves it to disk.
    /// </summary>
    /// <param name="serials">Serial numbers in hexadecimal, as <c>gloox certs</c> and <c>openssl x509 -serial</c> show them.</param>
    /// <exception cref="ArgumentException">A text is no serial number.</exception>
    /// <exception cref="IdentityException">The serial numbers cannot be saved; they are refused until this process ends.</exception>
    public void Revoke(params IEnumerable<string> serials)
    {
        if (_agentOf is not null)
        {
            _agentOf.Revoke(serials);
            return;
        }

        IdentityParts parts = Current;
        IReadOnlyList<string> added = parts.RevokedSerials.Add(serials);
        if (added.Count > 0)
        {
            CloseRevoked(parts.RevokedSerials);
            _source?.Remember(added);
        }
    }

    /// <summary>The certificates of this identity, and those that its store's authority issued for other machines.</summary>
    /// <returns>One entry for each certificate.</returns>
    /// <exception cref="IdentityException">The store cannot be read.</exception>
    public IReadOnlyList<CertificateInfo> Certificates()
    {
        IdentityParts parts = Current;
        CertificateInfo Own(string kind, X509Certificate2 c) => CertificateInfo.Of(kind, c, parts.RevokedSerials);
        IEnumerable<CertificateInfo> others = (Store?.Issued.Read() ?? []).Select(i => CertificateInfo.Of(i, parts.RevokedSerials));
        return [Own("server", parts.Server), Own("client", parts.Client), .. parts.Children is { } children ? [Own("children", children)] : Array.Empty<CertificateInfo>(), .. others];
    }

    /// <summary>Creates an identity with an authority of its own, which exists in this process alone. For tests.</summary>
    /// <param name="name">A name for its certificates.</param>
    /// <returns>The identity; trusted by processes that <see cref="Import"/> it, or a child's, and by no others.</returns>
    public static Identity Ephemeral(string name)
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        X509Certificate2 authority = CertificateAuthority.Create(name, now);
        X509Certificate2 Issue(string what, RpcRole roles, CertificateUse use) =>
            CertificateAuthority.Issue(authority, new CertificateOrder($"{name} {what}", name, CertificateNames.OfThisMachine(), roles, use), now);
        return new Identity(new IdentityParts(
            authority,
            Issue("server", RpcRole.Agent, CertificateUse.Server | CertificateUse.Client),
            Issue("client", RpcRole.Client, CertificateUse.Client),
            [],
            Issue("children", RpcRole.Child | RpcRole.Client, CertificateUse.Children),
            new RevokedSerials()));
    }

    /// <summary>As <see cref="Revoke"/>, without saving.</summary>
    internal void RevokeInMemory(IEnumerable<string> serials)
    {
        RevokedSerials revoked = Current.RevokedSerials;
        if (revoked.Add(serials).Count > 0)
        {
            CloseRevoked(revoked);
        }
    }

    /// <summary>Makes this identity what <see cref="Load"/> returns in this process from now on.</summary>
    public void UseForProcess() => Volatile.Write(ref s_process, this);

    /// <summary>This identity as an agent calls others: with the server certificate, which has the role agent, if it is made for calling too.</summary>
    /// <returns>An identity that follows this one.</returns>
    public Identity AsAgent() => new(this);

    /// <summary>
    /// Creates an identity for a process that this one starts: a certificate and key of its own, for the names of this process, with no more
    /// than its roles.
    /// </summary>
    /// <param name="roles">The child's roles.</param>
    /// <param name="url">Where the child will listen; an address of this machine there is added to its certificate. Null: not known.</param>
    /// <returns>The child's identity; null: this identity holds no certificate that may sign others.</returns>
    public Identity? TryCreateChild(RpcRole roles, string? url = null)
    {
        IdentityParts mine = For(url is null ? null : OwnAddress(url));
        return mine.Children is null ? null : new Identity(mine.ForChild(roles, DateTimeOffset.UtcNow));
    }

    /// <summary>The certificates and private keys, to be handed to another process over a private channel and given to <see cref="Import"/> there.</summary>
    /// <returns>Opaque parts. They are secret.</returns>
    public byte[][] Export() => Current.Export();

    /// <summary>The identity that another process exported; its certificates are not verified again.</summary>
    /// <param name="parts">What <see cref="Export"/> returned.</param>
    /// <returns>The identity.</returns>
    public static Identity Import(byte[][] parts) => new(IdentityParts.Import(parts));

    /// <summary>
    /// The certificates of this moment, for a connection that reached this machine at an address. If the certificate lacks that address, a new
    /// certificate is issued with it.
    /// </summary>
    internal IdentityParts For(IPAddress? reachedAt)
    {
        if (_agentOf is not null)
        {
            return _agentOf.For(reachedAt).AsAgent;
        }

        IdentityParts parts = Volatile.Read(ref _parts);
        if (_source is null)
        {
            return parts;
        }

        string? host = reachedAt is not null && _source.Issues && CertificateNames.IsStable(reachedAt) ? CertificateNames.Normal(reachedAt.ToString()) : null;
        bool known = host is null || parts.Hosts.Contains(host);
        if (known && _source.Time.GetElapsedTime(Volatile.Read(ref _checkedAt)) < s_checkEvery)
        {
            return parts;
        }

        lock (_gate)
        {
            return Refresh(known ? [] : [host!]);
        }
    }

    /// <summary>This identity, whose certificate now carries these names too if its source can issue one.</summary>
    /// <exception cref="ArgumentException">A name is no host name or address.</exception>
    /// <exception cref="IdentityException">The source cannot be used, or no longer.</exception>
    internal Identity ReachedBy(IEnumerable<string> names)
    {
        string[] hosts = [.. names.Select(CertificateNames.Normal)];
        if (hosts.FirstOrDefault(h => !CertificateNames.IsHost(h)) is { } bad)
        {
            throw new ArgumentException($"'{bad}' is no host name or address", nameof(names));
        }

        if (_source is null)
        {
            return this;
        }

        lock (_gate)
        {
            Refresh([.. hosts.Where(h => !_parts.Hosts.Contains(h))]);
            return Problem is { } problem ? throw problem : this;
        }
    }

    /// <summary>This identity, for a process that answers.</summary>
    /// <exception cref="IdentityException">Its certificate is for calling only.</exception>
    internal Identity Answering() => CertificateAuthority.IsForAnswering(Server)
        ? this
        : throw new IdentityException(
            Store is null ? "server certificate" : GlooXHome.Path,
            $"this machine joined as {CertificateNames.Describe(CertificateNames.Roles(Server) ?? RpcRole.None)}: its certificate is for calling, not for answering");

    /// <summary>Registers a connection, which is closed when the other side's certificate is revoked.</summary>
    internal void Watch(SslStream stream, Peer peer)
    {
        if (_agentOf is not null)
        {
            _agentOf.Watch(stream, peer);
            return;
        }

        _connections.Add(stream, peer);
        if (Volatile.Read(ref _parts).RevokedSerials.Refusal(peer) is not null)
        {
            stream.Dispose(); // revoked just now
        }
    }

    // Only an address of this machine: nobody gets another machine's address into a certificate by starting a process.
    private static IPAddress? OwnAddress(string url)
    {
        try
        {
            return IPAddress.TryParse(RpcEndpoint.Parse(url).Host, out IPAddress? address)
                && (IPAddress.IsLoopback(address) || CertificateNames.OfThisMachine().Contains(CertificateNames.Normal(address.ToString()), StringComparer.Ordinal))
                ? address
                : null;
        }
        catch (ArgumentException)
        {
            return null; // the process says so, with the reason
        }
    }

    private static Identity Follow(IIdentitySource source, IEnumerable<string> names)
    {
        if (!s_loaded.TryGetValue(source.Key, out Identity? identity))
        {
            identity = s_loaded.GetOrAdd(source.Key, new Identity(source, []));
        }

        return identity.ReachedBy(names);
    }

    /// <summary>Under the lock: checks the files, and adds hosts to the certificate where possible.</summary>
    private IdentityParts Refresh(IReadOnlyCollection<string> hosts)
    {
        string stamp = _source!.Stamp();
        if (stamp != _stamp || Problem is not null || (hosts.Count > 0 && _source.Issues) || _source.IsDue(_parts))
        {
            try
            {
                IdentityParts parts = _source.Load(hosts, _parts.RevokedSerials);
                Volatile.Write(ref _parts, parts);
                Problem = null;
                CloseRevoked(parts.RevokedSerials);
            }
            catch (IdentityException e)
            {
                Problem = e; // half of a rotation may be done: looked at again next time
            }
        }

        _stamp = stamp;
        Volatile.Write(ref _checkedAt, _source.Time.GetTimestamp());
        return _parts;
    }

    private void CloseRevoked(RevokedSerials revoked)
    {
        foreach ((SslStream stream, Peer peer) in _connections)
        {
            if (revoked.Refusal(peer) is not null)
            {
                stream.Dispose();
            }
        }
    }
}
