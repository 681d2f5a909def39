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
/// Who this process is to others and whom it trusts: one authority, a certificate for answering, one for calling.
/// Safe for concurrent use; share one for the life of the process.
/// </summary>
/// <remarks>
/// Without explicit certificates they come from the seven variables <c>RAKTR_TLS_*</c> if any of them is set, else from the user's
/// own store in <c>$GLOOX_HOME</c> (default <c>~/.gloox</c>), which is made on first use with a private authority. An identity that was
/// loaded follows its files: when they change, or a certificate of the store is about to end, new connections use the new certificates;
/// those that are open live on. Files that cannot be used leave it as it was.
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

    /// <summary>An identity from certificates at hand; both must hold their private keys.</summary>
    /// <param name="authority">The one authority that this process trusts.</param>
    /// <param name="server">Shown to those who connect to this process.</param>
    /// <param name="client">Shown to those that this process connects to.</param>
    /// <exception cref="IdentityException">A private key is missing, or a certificate is not signed by the authority or not valid now.</exception>
    public Identity(X509Certificate2 authority, X509Certificate2 server, X509Certificate2 client)
        : this(new IdentityParts(authority, server, client, [], null, new Denials()).Checked("server certificate", "client certificate"))
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
        _parts = source.Load(hosts, new Denials());
        _checkedAt = source.Time.GetTimestamp();
    }

    /// <summary>The authority that this process trusts.</summary>
    public X509Certificate2 Authority => Current.Authority;

    /// <summary>Shown to those who connect to this process.</summary>
    public X509Certificate2 Server => Current.Server;

    /// <summary>Shown to those that this process connects to.</summary>
    public X509Certificate2 Client => Current.Client;

    /// <summary>The serial numbers that <see cref="Deny"/> was told, here or by others of the grid.</summary>
    public IReadOnlyCollection<string> DeniedSerials => Current.Denials.Serials;

    /// <summary>The certificates as they are now.</summary>
    internal IdentityParts Current => For(null);

    /// <summary>The store that it follows; null: it has other sources.</summary>
    internal IdentityStore? Store => _agentOf is null ? _source as IdentityStore : _agentOf.Store;

    /// <summary>Why the files could not be followed when they were last looked at; null: they could.</summary>
    internal IdentityException? Problem { get; private set; }

    /// <summary>The identity of this process: of a spawned process, what it was given; else from the seven variables, else from the user's store.</summary>
    /// <param name="names">Host names and addresses, beside this machine's own, by which this process is reached: the store's certificate will carry them.</param>
    /// <returns>The identity; the same one each time.</returns>
    /// <exception cref="IdentityException">A variable or file is unusable; the message names it and the cure.</exception>
    /// <exception cref="ArgumentException">A name is no host name or address.</exception>
    public static Identity Load(params IEnumerable<string> names) =>
        Volatile.Read(ref s_process) ?? Follow((IIdentitySource?)RaktrVariables.Source() ?? IdentityStore.Open(), names);

    /// <summary>The identity of this user from the store in <c>$GLOOX_HOME</c>, whatever the variables say and however this process was started.</summary>
    /// <param name="names">As for <see cref="Load"/>.</param>
    /// <returns>The identity; the same one each time.</returns>
    /// <exception cref="IdentityException">A file is unusable; the message names it and the cure.</exception>
    /// <exception cref="ArgumentException">A name is no host name or address.</exception>
    public static Identity LoadStore(params IEnumerable<string> names) => Follow(IdentityStore.Open(), names);

    /// <summary>
    /// Makes a token with which another machine joins the authority of this user's store, at any agent of this store. The token works once
    /// and is a secret while it lasts.
    /// </summary>
    /// <param name="options">Null: the defaults.</param>
    /// <returns>The token, for <see cref="JoinAsync"/> or <c>gloox join</c>.</returns>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="JoinException">The store does not hold its authority's key.</exception>
    /// <exception cref="IdentityException">The store cannot be used.</exception>
    public static string CreateJoinToken(JoinTokenOptions? options = null) => IdentityStore.Open().CreateToken(options ?? new JoinTokenOptions());

    /// <summary>
    /// Joins the authority of an agent's store: keys are made here, certificates come from there, and from then on this machine's processes
    /// and that one's trust each other. What this store had is kept in a folder beside it. The token is sent only to the agent that it was
    /// made for.
    /// </summary>
    /// <param name="url">An agent where the token was made, as <c>host:port</c>.</param>
    /// <param name="token">What <see cref="CreateJoinToken"/> or <c>gloox token</c> gave there.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Gives up; the store is as it was.</param>
    /// <returns>This machine's identity now.</returns>
    /// <exception cref="JoinException">It did not work; <see cref="JoinException.Failure"/> says why.</exception>
    /// <exception cref="RpcException">The agent cannot be reached.</exception>
    /// <exception cref="ArgumentException">The URL or a name is malformed.</exception>
    /// <exception cref="IdentityException">The store cannot be used.</exception>
    public static async Task<JoinResult> JoinAsync(string url, string token, JoinOptions? options = null, CancellationToken ct = default)
    {
        IReadOnlyList<string> withheld = await Tls.Join.JoinClient.JoinAsync(IdentityStore.Open(), url, token, options ?? new JoinOptions(), ct).ConfigureAwait(false);
        return new JoinResult(LoadStore(), withheld);
    }

    /// <summary>
    /// Refuses a certificate from now on although it is valid, and ends the connections that were made with it. An agent tells its grid;
    /// an identity that was loaded remembers it on disk.
    /// </summary>
    /// <param name="serials">Serial numbers in hexadecimal, as <c>gloox certs</c> and <c>openssl x509 -serial</c> show them.</param>
    /// <exception cref="ArgumentException">One is no serial number.</exception>
    /// <exception cref="IdentityException">They cannot be written to disk; they are refused nonetheless, until the process ends.</exception>
    public void Deny(params IEnumerable<string> serials)
    {
        if (_agentOf is not null)
        {
            _agentOf.Deny(serials);
            return;
        }

        IdentityParts parts = Current;
        IReadOnlyList<string> added = parts.Denials.Add(serials);
        if (added.Count > 0)
        {
            EndDenied(parts.Denials);
            _source?.Remember(added);
        }
    }

    /// <summary>The certificates of this identity, and those that its store's authority has made for other machines.</summary>
    /// <returns>One entry for each.</returns>
    /// <exception cref="IdentityException">The store cannot be read.</exception>
    public IReadOnlyList<CertificateInfo> Certificates()
    {
        IdentityParts parts = Current;
        CertificateInfo Own(string kind, X509Certificate2 c) => new(
            kind, Denials.Normal(c.SerialNumber), CertificateNames.Node(c) ?? "", CertificateNames.Roles(c) ?? RpcRole.Any, c.NotAfter.ToUniversalTime(), CertificateNames.Hosts(c), parts.Denials.Contains(Denials.Normal(c.SerialNumber)), Own: true);
        IEnumerable<CertificateInfo> others = (Store?.Issued.Read() ?? []).Select(i => new CertificateInfo(
            i.Kind, i.Serial, i.Node, i.Role, i.Until.ToDateTime(TimeOnly.MaxValue, DateTimeKind.Utc), i.Hosts, parts.Denials.Contains(i.Serial), Own: false));
        return [Own("server", parts.Server), Own("client", parts.Client), .. parts.Children is { } children ? [Own("children", children)] : Array.Empty<CertificateInfo>(), .. others];
    }

    /// <summary>An identity that nobody else has: its own authority, gone with the process. For tests and for warming up.</summary>
    internal static Identity Ephemeral(string name)
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
            new Denials()));
    }

    /// <summary>As <see cref="Deny"/>, for as long as the process runs.</summary>
    internal void DenyForNow(IEnumerable<string> serials)
    {
        Denials denials = Current.Denials;
        if (denials.Add(serials).Count > 0)
        {
            EndDenied(denials);
        }
    }

    /// <summary>This one is what <see cref="Load"/> gives in this process from now on.</summary>
    internal void UseForProcess() => Volatile.Write(ref s_process, this);

    /// <summary>This identity as it calls other agents: with the certificate of the role agent, where it has one for calling.</summary>
    internal Identity AsAgent() => new(this);

    /// <summary>For handing to a child over its private line.</summary>
    internal byte[][] Export() => Current.Export();

    /// <summary>What <see cref="Export"/> gave.</summary>
    internal static Identity Import(byte[][] parts) => new(IdentityParts.Import(parts));

    /// <summary>
    /// The certificates as they are now, for a connection that reached this machine at an address. An address that this machine did not
    /// have when its certificate was made gets into a new one now.
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

    /// <summary>This identity, whose certificate now carries these names too, where its source can make such a one.</summary>
    /// <exception cref="ArgumentException">A name is no host name or address.</exception>
    /// <exception cref="IdentityException">The source cannot be used (any more).</exception>
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

    /// <summary>A connection that is ended when the other side's certificate is denied.</summary>
    internal void Watch(SslStream stream, Peer peer)
    {
        if (_agentOf is not null)
        {
            _agentOf.Watch(stream, peer);
            return;
        }

        _connections.Add(stream, peer);
        if (Volatile.Read(ref _parts).Denials.Refusal(peer) is not null)
        {
            stream.Dispose(); // denied just now
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

    /// <summary>Under the lock: looks at the files, and adds hosts to the certificate where it can.</summary>
    private IdentityParts Refresh(IReadOnlyCollection<string> hosts)
    {
        string stamp = _source!.Stamp();
        if (stamp != _stamp || Problem is not null || (hosts.Count > 0 && _source.Issues) || _source.IsDue(_parts))
        {
            try
            {
                IdentityParts parts = _source.Load(hosts, _parts.Denials);
                Volatile.Write(ref _parts, parts);
                Problem = null;
                EndDenied(parts.Denials);
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

    private void EndDenied(Denials denials)
    {
        foreach ((SslStream stream, Peer peer) in _connections)
        {
            if (denials.Refusal(peer) is not null)
            {
                stream.Dispose();
            }
        }
    }
}

/// <summary>A certificate, as it is shown to people.</summary>
/// <param name="Kind">server: shown to callers; client: shown when calling; children: makes those of spawned processes.</param>
/// <param name="Serial">Its serial number, for <see cref="Identity.Deny"/>.</param>
/// <param name="Node">The node that it is for.</param>
/// <param name="Role">What its holder may do.</param>
/// <param name="ValidUntil">When it ends (UTC).</param>
/// <param name="Names">The hosts and addresses that it is made for.</param>
/// <param name="Denied">Whether it is denied.</param>
/// <param name="Own">Whether it is this machine's own.</param>
public sealed record CertificateInfo(string Kind, string Serial, string Node, RpcRole Role, DateTime ValidUntil, IReadOnlyList<string> Names, bool Denied, bool Own);

/// <summary>Where an identity's certificates come from, again and again.</summary>
internal interface IIdentitySource
{
    /// <summary>Tells sources apart.</summary>
    string Key { get; }

    TimeProvider Time { get; }

    /// <summary>Whether it can make certificates for hosts that are asked for.</summary>
    bool Issues { get; }

    /// <summary>Changes when a file does.</summary>
    string Stamp();

    /// <summary>Whether a certificate should be renewed by now.</summary>
    bool IsDue(IdentityParts parts);

    /// <exception cref="IdentityException">It cannot be used.</exception>
    IdentityParts Load(IReadOnlyCollection<string> hosts, Denials denials);

    /// <summary>Keeps denied serial numbers for the next process.</summary>
    /// <exception cref="IdentityException">It cannot be written.</exception>
    void Remember(IReadOnlyList<string> serials);
}

/// <summary>Files that are followed.</summary>
internal static class FileStamp
{
    /// <summary>Changes when one of the files does; a missing file is one of the states.</summary>
    public static string Of(IEnumerable<string> files, Func<string, string> path) => Of(files.Select(path));

    /// <inheritdoc cref="Of(IEnumerable{string}, Func{string, string})"/>
    public static string Of(IEnumerable<string> paths) => string.Join(';', paths.Select(path =>
    {
        try
        {
            var file = new FileInfo(path);
            FileSystemInfo real = file.LinkTarget is null ? file : file.ResolveLinkTarget(returnFinalTarget: true) ?? file;
            return real is FileInfo { Exists: true } there ? $"{there.FullName}:{there.LastWriteTimeUtc.Ticks}:{there.Length}" : "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ""; // loading says what is wrong
        }
    }));
}
