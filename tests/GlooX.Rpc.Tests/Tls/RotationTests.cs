using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GlooX.Client;
using GlooX.Rpc.Tests.RpcRuntime;
using GlooX.Server;
using GlooX.Tls;

namespace GlooX.Rpc.Tests.Tls;

/// <summary>Certificates change and end while processes run.</summary>
public sealed class RotationTests : IDisposable
{
    private static readonly TimeSpan s_aLook = TimeSpan.FromSeconds(2); // longer than between two looks at the files
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"gloox-rotation-{Guid.NewGuid():N}");
    private readonly FakeTime _time = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        if (Directory.Exists(_folder))
        {
            Directory.Delete(_folder, recursive: true);
        }
    }

    [Fact]
    public async Task New_files_are_used_by_new_connections_and_open_ones_live_on()
    {
        using OpenSsl files = new OpenSsl().Authority("ca").Certificate("server", "ca", "serverAuth").Certificate("client", "ca", "clientAuth");
        Identity identity = Follow(files);
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = identity }, new RpcClientOptions { Identity = identity });
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
        ClientConnection first = await it.Client.ConnectionAsync(Ct);

        files.Certificate("server", "ca", "serverAuth", "rsa:2048").Certificate("client", "ca", "clientAuth");
        _time.Pass(s_aLook);
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
        Assert.Same(first, await it.Client.ConnectionAsync(Ct));
        await using RpcClient second = new RpcClient(it.Server.Url, new RpcClientOptions { Identity = identity });
        ClientConnection after = await second.ConnectionAsync(Ct);
        Assert.NotEqual(first.Peer.Serials[0], after.Peer.Serials[0]);
        Assert.Equal(Serial(files["server.crt"]), after.Peer.Serials[0]);
    }

    [Fact]
    public async Task Another_authority_takes_over_without_a_restart()
    {
        using OpenSsl files = new OpenSsl().Authority("ca").Certificate("server", "ca", "serverAuth").Certificate("client", "ca", "clientAuth");
        Identity identity = Follow(files);
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = identity }, new RpcClientOptions { Identity = identity });
        await it.Client.OpenAsync(Ct);
        files.Authority("ca").Certificate("server", "ca", "serverAuth").Certificate("client", "ca", "clientAuth");
        _time.Pass(s_aLook);
        await using RpcClient second = new RpcClient(it.Server.Url, new RpcClientOptions { Identity = Follow(files) });
        await second.OpenAsync(Ct);
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public void Half_a_rotation_changes_nothing_until_it_is_whole()
    {
        using OpenSsl files = new OpenSsl().Authority("ca").Certificate("server", "ca", "serverAuth").Certificate("client", "ca", "clientAuth");
        Identity identity = Follow(files);
        string before = identity.Server.SerialNumber;
        byte[] oldKey = File.ReadAllBytes(files["server.key"]);
        files.Certificate("server", "ca", "serverAuth");
        byte[] newKey = File.ReadAllBytes(files["server.key"]);
        File.WriteAllBytes(files["server.key"], oldKey);
        _time.Pass(s_aLook);
        Assert.Equal(before, identity.Server.SerialNumber);
        Assert.Equal(RaktrVariables.ServerPrivateKey, identity.Problem?.Origin);

        File.WriteAllBytes(files["server.key"], newKey);
        _time.Pass(s_aLook);
        Assert.NotEqual(before, identity.Server.SerialNumber);
        Assert.Null(identity.Problem);
    }

    [Theory]
    [InlineData("server")]
    [InlineData("client")]
    [InlineData("children")]
    public void What_the_store_made_is_renewed_before_it_ends(string which)
    {
        var identity = new Identity(new IdentityStore(_folder, _time), []);
        X509Certificate2 Of() => which switch { "server" => identity.Server, "client" => identity.Client, _ => identity.Current.Children! };
        (RpcRole Roles, CertificateUse Use) what = which switch
        {
            "server" => (RpcRole.Agent | RpcRole.Admin, CertificateUse.Server | CertificateUse.Client),
            "client" => (RpcRole.Client | RpcRole.Admin, CertificateUse.Client),
            _ => (RpcRole.Child | RpcRole.Client, CertificateUse.Children),
        };
        using X509Certificate2 authority = X509Certificate2.CreateFromPemFile(Path.Combine(_folder, "ca.crt"), Path.Combine(_folder, "ca.key"));
        string node = CertificateNames.Node(identity.Server)!;
        string Put(int daysLeft)
        {
            using X509Certificate2 old = CertificateAuthority.Issue(
                authority, new CertificateOrder("old", node, CertificateNames.OfThisMachine(), what.Roles, what.Use), DateTimeOffset.UtcNow.AddYears(-1).AddDays(daysLeft));
            using ECDsa key = old.GetECDsaPrivateKey()!;
            IdentityStore.Write(Path.Combine(_folder, which + ".key"), key.ExportPkcs8PrivateKeyPem());
            IdentityStore.Write(Path.Combine(_folder, which + ".crt"), old.ExportCertificatePem());
            _time.Pass(s_aLook);
            return old.SerialNumber;
        }

        Assert.Equal(Put(daysLeft: 31), Of().SerialNumber);
        Assert.NotEqual(Put(daysLeft: 29), Of().SerialNumber);
        Assert.True(Of().NotAfter > DateTime.Now.AddDays(300));
        Assert.Equal(node, CertificateNames.Node(Of()));
    }

    [Fact]
    public async Task A_revoked_caller_loses_its_connection_and_gets_no_other()
    {
        var (server, caller) = Pair();
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = server }, new RpcClientOptions { Identity = caller });
        ClientConnection open = await it.Client.ConnectionAsync(Ct);
        server.Revoke($"serial={caller.Client.SerialNumber.ToLowerInvariant()}");
        await open.Closed.WaitAsync(TimeSpan.FromSeconds(30), Ct);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Remote.AddAsync(1, 2));
        Assert.Equal(RpcError.Unauthorized, error.Code);
        Assert.Contains("was revoked", error.Message, StringComparison.Ordinal);
        Assert.Equal([Revocation.SerialOf(caller.Client.SerialNumber)], server.Revoked);
    }

    [Fact]
    public async Task A_revoked_server_is_not_called_any_more()
    {
        var (server, caller) = Pair();
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = server }, new RpcClientOptions { Identity = caller });
        ClientConnection open = await it.Client.ConnectionAsync(Ct);
        caller.Revoke(server.Server.SerialNumber);
        await open.Closed.WaitAsync(TimeSpan.FromSeconds(30), Ct);
        Assert.Equal(RpcError.Tls, (await Assert.ThrowsAsync<RpcException>(async () => await it.Remote.AddAsync(1, 2))).Code);
    }

    [Fact]
    public async Task A_server_can_be_told_at_its_start_whom_to_refuse()
    {
        var (server, caller) = Pair();
        await using Harness it = await Harness.StartAsync(
            new RpcServerOptions { Identity = server, RevokedSerials = [caller.Client.SerialNumber] }, new RpcClientOptions { Identity = caller });
        Assert.Equal(RpcError.Unauthorized, (await Assert.ThrowsAsync<RpcException>(() => it.Client.OpenAsync(Ct))).Code);
    }

    [Fact]
    public void Who_makes_certificates_for_children_takes_them_along_when_it_is_denied()
    {
        Identity node = Identity.Ephemeral("node");
        IdentityParts child = node.Current.ForChild(RpcRole.Child, "p", DateTimeOffset.UtcNow);
        node.Revoke(node.Current.Children!.SerialNumber);
        using var chain = new X509Chain { ChainPolicy = CertificateAuthority.Policy(node.Authority, server: true) };
        chain.ChainPolicy.ExtraStore.AddRange(child.Intermediates.ToArray());
        Assert.True(chain.Build(child.Server));
        Assert.Contains("was revoked", PeerVerifier.Verify(child.Server, chain, default, node.Authority, node.Current.Revocations, "127.0.0.1", out _), StringComparison.Ordinal);
    }

    [Fact]
    public void Revoked_serials_outlive_the_process_and_reach_others_of_the_store()
    {
        var one = new Identity(new IdentityStore(_folder, _time), []);
        var other = new Identity(new IdentityStore(_folder, _time), []);
        one.Revoke("0a:0b:0c");
        Assert.Empty(other.Revoked);
        _time.Pass(s_aLook);
        Assert.Equal(["A0B0C"], other.Revoked);
        Assert.Equal(["A0B0C"], new IdentityStore(_folder).Load().Revoked);
    }

    [Fact]
    public void A_process_that_takes_the_serial_number_of_a_node_is_not_revoked_with_it_nor_it_with_the_process()
    {
        Identity node = Identity.Ephemeral("node");
        X509Certificate2 maker = node.Current.Children!;
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=child", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(CertificateNames.Extension(["127.0.0.1"], "node", RpcRole.Child));
        using X509Certificate2 child = request.Create(maker, new DateTimeOffset(maker.NotBefore), new DateTimeOffset(maker.NotAfter), Convert.FromHexString(node.Server.SerialNumber));
        using var chain = new X509Chain { ChainPolicy = CertificateAuthority.Policy(node.Authority, server: null) };
        chain.ChainPolicy.ExtraStore.Add(maker);
        Assert.True(chain.Build(child));
        node.Revoke(node.Server.SerialNumber);
        Assert.Null(PeerVerifier.Verify(child, chain, default, node.Authority, node.Current.Revocations, null, out _));
        node.Revoke("node/node");
        Assert.Contains("was revoked", PeerVerifier.Verify(child, chain, default, node.Authority, node.Current.Revocations, null, out _), StringComparison.Ordinal);
    }

    [Fact]
    public void What_an_admin_allows_again_is_allowed_whoever_revoked_it()
    {
        var revoked = new RevocationList();
        DateTimeOffset now = DateTimeOffset.UnixEpoch.AddDays(1);
        Revocation Said(bool isRevoked, int minute, string by, bool admin) => new("node/x", isRevoked, now.AddMinutes(minute), by, admin);
        revoked.Add([Said(true, 1, "a", false), Said(true, 2, "b", false)]);
        Assert.True(revoked.Contains("node/x"));
        revoked.Add([Said(false, 3, "a", false)]);
        Assert.True(revoked.Contains("node/x")); // one agent takes nothing back for another
        revoked.Add([Said(false, 4, "issuer", true)]);
        Assert.False(revoked.Contains("node/x"));
        Assert.Empty(revoked.Add([Said(true, 2, "b", false)])); // told again
        revoked.Add([Said(true, 5, "b", false)]);
        Assert.True(revoked.Contains("node/x"));
        Assert.All(revoked.All, r => Assert.Equal(r, Revocation.Parse(r.ToString())));
    }

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("not hex")]
    [InlineData("11111111112222222222333333333344444444445")]
    public void What_is_no_serial_number_is_refused(string serial) =>
        Assert.Contains("is no serial number", Assert.Throws<ArgumentException>(() => Identity.Ephemeral("x").Revoke(serial)).Message, StringComparison.Ordinal);

    private Identity Follow(OpenSsl files)
    {
        var variables = new Dictionary<string, string?>(StringComparer.Ordinal)
        {
            [RaktrVariables.Ca] = files["ca.crt"],
            [RaktrVariables.ServerCertificate] = files["server.crt"],
            [RaktrVariables.ServerPrivateKey] = files["server.key"],
            [RaktrVariables.ClientCertificate] = files["client.crt"],
            [RaktrVariables.ClientPrivateKey] = files["client.key"],
        };
        return RaktrVariables.Load(variables.GetValueOrDefault, _time)!;
    }

    private static (Identity Server, Identity Caller) Pair()
    {
        Identity one = Identity.Ephemeral("pair");
        return (one, new Identity(one.Authority, one.Server, one.Client));
    }

    private static string Serial(string file)
    {
        using X509Certificate2 certificate = X509CertificateLoader.LoadCertificateFromFile(file);
        return Revocation.SerialOf(certificate.SerialNumber);
    }
}
