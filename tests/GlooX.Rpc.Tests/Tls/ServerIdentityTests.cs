using System.Net;
using System.Net.NetworkInformation;
using System.Security.Cryptography.X509Certificates;
using GlooX.Server;
using GlooX.Tls;

namespace GlooX.Rpc.Tests.Tls;

/// <summary>A server must show a certificate that is made for what was dialled; being of the same authority is not enough.</summary>
public sealed class ServerIdentityTests : IDisposable
{
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"gloox-names-{Guid.NewGuid():N}");
    private readonly X509Certificate2 _authority = CertificateAuthority.Create("names", DateTimeOffset.UtcNow);

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _authority.Dispose();
        if (Directory.Exists(_folder))
        {
            Directory.Delete(_folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_valid_certificate_of_another_node_does_not_impersonate_the_dialled_one()
    {
        await using Harness it = await Harness.StartAsync(With(Issue("other", "other.example", "10.9.9.9")), Caller());
        var error = await Assert.ThrowsAsync<RpcException>(() => it.Client.OpenAsync(Ct));
        Assert.Equal(RpcError.Tls, error.Code);
        Assert.Contains("made for other.example, 10.9.9.9, not for 127.0.0.1", error.Message, StringComparison.Ordinal);
        Assert.Contains("ServerName", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("other.example", true)]
    [InlineData("OTHER.example", true)]
    [InlineData("10.9.9.9", true)]
    [InlineData("gloox://node/other", true)]
    [InlineData("gloox://node/othe", false)]
    [InlineData("other.example.org", false)]
    [InlineData("10.9.9.8", false)]
    [InlineData("other_example", false)]
    [InlineData("*", false)]
    public async Task The_expected_name_can_be_said_and_is_a_host_an_address_or_a_node(string name, bool accepted)
    {
        await using Harness it = await Harness.StartAsync(With(Issue("other", "other.example", "10.9.9.9")), Caller() with { ServerName = name });
        Exception? error = await Record.ExceptionAsync(() => it.Client.OpenAsync(Ct));
        Assert.Equal(accepted ? null : RpcError.Tls, (error as RpcException)?.Code);
    }

    [Theory]
    [InlineData("DNS:localhost", "localhost", true)]
    [InlineData("DNS:localhost", "127.0.0.1", false)]
    [InlineData("IP:127.0.0.1", "127.0.0.1", true)]
    [InlineData("IP:127.0.0.1", "localhost", false)]
    [InlineData("IP:127.0.0.2", "127.0.0.1", false)]
    public async Task Names_are_read_as_openssl_writes_them(string names, string host, bool accepted)
    {
        using OpenSsl files = new OpenSsl().Authority("ca").Certificate("server", "ca", "serverAuth", names: names).Certificate("client", "ca", "clientAuth");
        X509Certificate2 authority = X509CertificateLoader.LoadCertificateFromFile(files["ca.crt"]);
        var identity = new Identity(
            authority,
            X509Certificate2.CreateFromPemFile(files["server.crt"], files["server.key"]),
            X509Certificate2.CreateFromPemFile(files["client.crt"], files["client.key"]));
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = identity });
        await using RpcClient client = new RpcClient($"{host}:{RpcEndpoint.Parse(it.Server.Url).Port}", new RpcClientOptions { Identity = identity });
        Exception? error = await Record.ExceptionAsync(() => client.OpenAsync(Ct));
        Assert.Equal(accepted ? null : RpcError.Tls, (error as RpcException)?.Code);
    }

    [Fact]
    public void A_certificate_without_alternative_names_counts_by_its_common_name()
    {
        using OpenSsl files = new OpenSsl().Authority("ca").Certificate("localhost", "ca", "serverAuth", names: "");
        using X509Certificate2 certificate = X509CertificateLoader.LoadCertificateFromFile(files["localhost.crt"]);
        Assert.True(CertificateNames.Carries(certificate, "localhost"));
        Assert.False(CertificateNames.Carries(certificate, "localhos"));
        Assert.Null(CertificateNames.Roles(certificate));
    }

    [Fact]
    public void The_store_makes_a_certificate_for_all_that_this_machine_is_reached_by()
    {
        Identity identity = new IdentityStore(_folder).Load();
        string[] addresses = [.. NetworkInterface.GetAllNetworkInterfaces().SelectMany(i => i.GetIPProperties().UnicastAddresses)
            .Select(a => a.Address).Where(a => !a.IsIPv6LinkLocal).Select(a => a.ToString())];
        Assert.All([.. addresses, "localhost", "127.0.0.1", "::1", Environment.MachineName], n => Assert.True(CertificateNames.Carries(identity.Server, n), n));
    }

    [Fact]
    public void An_address_that_came_later_gets_into_a_new_certificate_when_somebody_uses_it()
    {
        var identity = new Identity(new IdentityStore(_folder), []);
        X509Certificate2 before = identity.Server;
        Assert.Equal(before.SerialNumber, identity.For(IPAddress.Loopback).Server.SerialNumber);
        X509Certificate2 after = identity.For(IPAddress.Parse("127.0.0.9")).Server;
        Assert.False(CertificateNames.Carries(before, "127.0.0.9"));
        Assert.True(CertificateNames.Carries(after, "127.0.0.9"));
        Assert.True(CertificateNames.Carries(after, "127.0.0.1"));
        Assert.Equal(CertificateNames.Node(before), CertificateNames.Node(after));
    }

    [Fact]
    public void Two_processes_of_one_store_on_different_networks_do_not_take_each_others_address_away()
    {
        var one = new Identity(new IdentityStore(_folder), []);
        var other = new Identity(new IdentityStore(_folder), []);
        one.For(IPAddress.Parse("127.1.0.1"));
        other.For(IPAddress.Parse("127.2.0.1"));
        X509Certificate2 both = new IdentityStore(_folder).Load().Server;
        Assert.True(CertificateNames.Carries(both, "127.1.0.1") && CertificateNames.Carries(both, "127.2.0.1"));
    }

    [Fact]
    public async Task A_server_is_reached_by_the_names_that_its_options_give()
    {
        var identity = new Identity(new IdentityStore(_folder), []);
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = identity, Names = ["Build7.example"] }, new RpcClientOptions { Identity = identity, ServerName = "build7.example" });
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
        await using var bad = new RpcServer(new RpcServerOptions { Identity = identity, Names = ["no host"] });
        Assert.Contains("'no host' is no host name", (await Assert.ThrowsAsync<ArgumentException>(() => bad.StartAsync("127.0.0.1:0", Ct))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_node_signs_for_its_children_is_bound_to_its_own_names_and_roles()
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        X509Certificate2 maker = CertificateAuthority.Issue(_authority, new CertificateOrder("maker", "n", ["10.9.9.9"], RpcRole.Child, CertificateUse.Children), now);
        X509Certificate2 forged = CertificateAuthority.Issue(maker, new CertificateOrder("forged", "n", ["127.0.0.1", "10.9.9.9"], RpcRole.Agent, CertificateUse.Server | CertificateUse.Client), now);
        X509Certificate2 bareMaker = X509CertificateLoader.LoadCertificate(maker.RawData);
        var identity = new Identity(new IdentityParts(_authority, forged, forged, [bareMaker], null, new RevocationList()));

        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = identity }, Caller());
        Assert.Contains("'CN=maker' is made for 10.9.9.9, not for 127.0.0.1", (await Assert.ThrowsAsync<RpcException>(() => it.Client.OpenAsync(Ct))).Message, StringComparison.Ordinal);

        await using RpcClient byName = new RpcClient(it.Server.Url, Caller() with { ServerName = "10.9.9.9" });
        await byName.OpenAsync(Ct);
        await using RpcClient asAgent = new RpcClient(it.Server.Url, Caller() with { ServerName = "10.9.9.9", ServerRole = RpcRole.Agent });
        Assert.Contains("has the role none, not agent", (await Assert.ThrowsAsync<RpcException>(() => asAgent.OpenAsync(Ct))).Message, StringComparison.Ordinal);
    }

    private X509Certificate2 Issue(string node, params string[] hosts) =>
        CertificateAuthority.Issue(_authority, new CertificateOrder(node, node, hosts, RpcRole.Agent, CertificateUse.Server | CertificateUse.Client), DateTimeOffset.UtcNow);

    private RpcServerOptions With(X509Certificate2 server) => new() { Identity = new Identity(_authority, server, server) };

    private RpcClientOptions Caller()
    {
        X509Certificate2 own = Issue("caller", "caller.example");
        return new RpcClientOptions { Identity = new Identity(_authority, own, own) };
    }
}
