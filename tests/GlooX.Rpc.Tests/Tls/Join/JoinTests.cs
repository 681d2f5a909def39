using System.Formats.Asn1;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GlooX.Protocol;
using GlooX.Tls;
using GlooX.Tls.Join;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Rpc.Tests.Tls.Join;

/// <summary>Another machine gets certificates for a token, once; and nobody else does.</summary>
public sealed class JoinTests : IAsyncDisposable
{
    private static readonly TimeSpan s_untilDue = TimeSpan.FromDays(340);
    private readonly string _home = Directory.CreateTempSubdirectory("gloox-join-").FullName;
    private readonly FakeTime _time = new();
    private readonly List<RpcServer> _servers = [];
    private readonly IdentityStore _issuer;

    public JoinTests() => _issuer = Store("issuer");

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        foreach (RpcServer server in _servers)
        {
            await server.DisposeAsync();
        }

        Directory.Delete(_home, recursive: true);
    }

    [Fact]
    public async Task Two_machines_that_joined_trust_each_other_both_ways()
    {
        string url = await ServeAsync(_issuer);
        IdentityStore other = Store("other");
        IReadOnlyList<string> withheld = await JoinAsync(other, url, Token());
        Assert.Equal(CertificateNames.OfThisMachine().Where(n => n is not ("localhost" or "127.0.0.1" or "::1")), withheld);

        Identity here = _issuer.Load(), there = other.Load();
        Assert.Equal(here.Authority.Thumbprint, there.Authority.Thumbprint);
        Assert.Equal(RpcRole.Agent, CertificateNames.Roles(there.Server));
        Assert.Equal(RpcRole.Client, CertificateNames.Roles(there.Client));
        Assert.NotEqual(CertificateNames.Node(here.Server), CertificateNames.Node(there.Server));
        Assert.False(File.Exists(Path.Combine(_home, "other", "ca.key")));
        foreach ((Identity server, Identity client) in new[] { (here, there), (there, here), (new Identity(there.Current.ForChild(RpcRole.Child, "p", DateTimeOffset.UtcNow)), here) })
        {
            await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = server }, new RpcClientOptions { Identity = client });
            Assert.Equal(3, await it.Remote.AddAsync(1, 2));
        }
    }

    [Fact]
    public async Task A_token_works_once_however_many_use_it_at_once()
    {
        string url = await ServeAsync(_issuer);
        string token = Token();
        JoinFailure[] outcomes = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => FailureAsync(() => JoinAsync(Store($"one{i}"), url, token))));
        Assert.Single(outcomes, JoinFailure.None);
        Assert.Equal(3, outcomes.Count(o => o == JoinFailure.UnknownToken));
        Assert.Equal(JoinFailure.UnknownToken, await FailureAsync(() => JoinAsync(Store("late"), url, token)));
        Assert.False(Directory.Exists(Path.Combine(_home, "late")));
    }

    [Fact]
    public async Task A_token_is_good_at_every_agent_of_the_store_but_once_in_all()
    {
        string first = await ServeAsync(_issuer), second = await ServeAsync(Store("issuer"));
        string token = Token();
        Assert.Equal(JoinFailure.None, await FailureAsync(() => JoinAsync(Store("one"), second, token)));
        Assert.Equal(JoinFailure.UnknownToken, await FailureAsync(() => JoinAsync(Store("two"), first, token)));
    }

    [Fact]
    public async Task A_token_expires()
    {
        string url = await ServeAsync(_issuer);
        string token = Token(new JoinTokenOptions { ValidFor = TimeSpan.FromMinutes(1) });
        _time.Pass(TimeSpan.FromSeconds(61));
        Assert.Equal(JoinFailure.ExpiredToken, await FailureAsync(() => JoinAsync(Store("late"), url, token)));
        Assert.Empty(Directory.GetFiles(Path.Combine(_home, "issuer", "tokens")));
    }

    [Fact]
    public async Task The_token_is_not_sent_to_an_agent_of_another_authority()
    {
        var heard = new TaskCompletionSource<int>();
        string url = await ServeAsync(Identity.Ephemeral("other"), async connection =>
        {
            await JoinMessages.WriteAsync(connection.Stream, new JoinOffer(JoinMessages.Version, Identity.Ephemeral("other").Authority.RawData), Ct);
            heard.SetResult(await connection.Stream.ReadAsync(new byte[1], Ct));
        });
        Assert.Equal(JoinFailure.WrongAuthority, await FailureAsync(() => JoinAsync(Store("careful"), url, Token())));
        Assert.Equal(0, await heard.Task);
    }

    [Fact]
    public async Task The_token_is_not_sent_to_one_that_only_shows_the_right_authority()
    {
        Identity real = _issuer.Load();
        var heard = new TaskCompletionSource<int>();
        string url = await ServeAsync(Identity.Ephemeral("between"), async connection =>
        {
            await JoinMessages.WriteAsync(connection.Stream, new JoinOffer(JoinMessages.Version, real.Authority.RawData), Ct);
            heard.SetResult(await connection.Stream.ReadAsync(new byte[1], Ct));
        });
        Assert.Equal(JoinFailure.WrongAuthority, await FailureAsync(() => JoinAsync(Store("careful"), url, Token())));
        Assert.Equal(0, await heard.Task);
    }

    [Fact]
    public async Task The_token_is_not_sent_to_another_node_or_a_child_of_the_authority()
    {
        string url = await ServeAsync(_issuer);
        await JoinAsync(Store("other"), url, Token());
        string other = await ServeAsync(Store("other"));
        _issuer.Load([ "issuer.example" ], new RevocationList());
        Assert.Equal(JoinFailure.WrongAuthority, await FailureAsync(() => JoinAsync(Store("careful"), other, Token(), new JoinOptions { ServerName = "issuer.example" })));

        var child = new Identity(_issuer.Load().Current.ForChild(RpcRole.Child, "p", DateTimeOffset.UtcNow));
        string impostor = await ServeAsync(child, c => new JoinServer(child, NullLogger.Instance).ServeAsync(c, Ct));
        Assert.Equal(JoinFailure.WrongAuthority, await FailureAsync(() => JoinAsync(Store("careful"), impostor, Token())));
    }

    [Fact]
    public async Task Guessing_is_slowed_down_and_does_not_use_up_the_right_token()
    {
        string url = await ServeAsync(_issuer);
        string right = Token();
        byte[] authority = _issuer.Load().Authority.RawData;
        for (int i = 0; i < AttemptLimiter.PerAddress; i++)
        {
            Assert.Equal(JoinFailure.UnknownToken, await FailureAsync(() => JoinAsync(Store("guesser"), url, JoinToken.Create(authority).ToString())));
        }

        Assert.Equal(JoinFailure.TooManyAttempts, await FailureAsync(() => JoinAsync(Store("guesser"), url, right)));
        _time.Pass(AttemptLimiter.Refill);
        Assert.Equal(JoinFailure.None, await FailureAsync(() => JoinAsync(Store("patient"), url, right)));
    }

    [Fact]
    public async Task Strangers_who_connect_and_say_nothing_stop_neither_joining_nor_renewing()
    {
        string url = await ServeBeforeAsync();
        IdentityStore member = Store("member");
        await JoinAsync(member, url, Token());
        List<TlsConnection> silent = [];
        for (int i = 0; i < 100; i++)
        {
            silent.Add(await DialAsync(url));
        }

        Assert.Equal(JoinFailure.None, await FailureAsync(() => JoinAsync(Store("one"), url, Token())));
        _time.Pass(s_untilDue);
        Assert.Equal(JoinFailure.None, await FailureAsync(() => JoinClient.RenewAsync(member, member.Load(), [], Ct)));

        // One that has to make room is told why.
        await JoinMessages.ReadAsync<JoinOffer>(silent[0].Stream, Ct);
        Assert.Equal(JoinFailure.TooManyAttempts, (await JoinMessages.ReadAsync<JoinReply>(silent[0].Stream, Ct)).Failure);
        foreach (TlsConnection connection in silent)
        {
            await connection.DisposeAsync();
        }
    }

    [Fact]
    public async Task Failures_of_strangers_do_not_stop_renewing()
    {
        string url = await ServeBeforeAsync();
        IdentityStore member = Store("member");
        await JoinAsync(member, url, Token());
        byte[] authority = _issuer.Load().Authority.RawData;
        for (int i = 0; i < AttemptLimiter.PerAddress; i++)
        {
            Assert.Equal(JoinFailure.UnknownToken, await FailureAsync(() => JoinAsync(Store("guesser"), url, JoinToken.Create(authority).ToString())));
        }

        Assert.Equal(JoinFailure.TooManyAttempts, await FailureAsync(() => JoinAsync(Store("guesser"), url, JoinToken.Create(authority).ToString())));
        Assert.Equal(JoinFailure.Refused, await FailureAsync(() => JoinClient.RenewAsync(member, member.Load(), [], Ct))); // not yet due, but answered
        _time.Pass(s_untilDue);
        Assert.Equal(JoinFailure.None, await FailureAsync(() => JoinClient.RenewAsync(member, member.Load(), [], Ct)));
    }

    [Fact]
    public void Failures_of_many_strangers_count_for_strangers_alone()
    {
        var limiter = new AttemptLimiter(_time);
        for (int i = 0; i < 10 * AttemptLimiter.PerAddress; i++)
        {
            Assert.True(limiter.MayTry($"stranger {i}", isKnown: false));
            limiter.Failed($"stranger {i}", isKnown: false);
        }

        Assert.False(limiter.MayTry("another", isKnown: false));
        Assert.True(limiter.MayTry("known", isKnown: true));
        for (int i = 0; i < AttemptLimiter.PerAddress; i++)
        {
            limiter.Failed("known", isKnown: true);
        }

        Assert.False(limiter.MayTry("known", isKnown: true));
        Assert.True(limiter.MayTry("known too", isKnown: true));
    }

    [Fact]
    public async Task A_token_with_a_wrong_secret_is_used_up()
    {
        string url = await ServeAsync(_issuer);
        var token = JoinToken.Parse(Token());
        Assert.Equal(JoinFailure.UnknownToken, await FailureAsync(() => JoinAsync(Store("one"), url, (token with { Secret = new byte[16] }).ToString())));
        Assert.Equal(JoinFailure.UnknownToken, await FailureAsync(() => JoinAsync(Store("one"), url, token.ToString())));
    }

    [Theory]
    [InlineData("")]
    [InlineData("nonsense")]
    [InlineData("gloox1_")]
    [InlineData("gloox1_!!!!")]
    [InlineData(null)]
    public async Task What_is_no_token_is_said_to_be_none(string? text)
    {
        Assert.Equal(JoinFailure.MalformedToken, await FailureAsync(() => JoinAsync(Store("one"), "127.0.0.1:1", text!)));
        string good = Token();
        Assert.Equal(JoinFailure.MalformedToken, await FailureAsync(() => JoinAsync(Store("one"), "127.0.0.1:1", good[..^1])));
        Assert.Equal(JoinFailure.MalformedToken, await FailureAsync(() => JoinAsync(Store("one"), "127.0.0.1:1", good[..20] + (good[20] == 'a' ? 'b' : 'a') + good[21..])));
    }

    [Fact]
    public async Task Names_are_given_once_and_those_of_others_are_withheld()
    {
        string url = await ServeAsync(_issuer);
        Assert.DoesNotContain("db.example", await JoinAsync(Store("one"), url, Token(), new JoinOptions { Names = ["db.example"] }));
        Assert.Contains("db.example", await JoinAsync(Store("two"), url, Token(new JoinTokenOptions { Names = ["two.example"] }), new JoinOptions { Names = ["db.example"] }));
        Assert.True(CertificateNames.Carries(Store("one").Load().Server, "db.example"));
        Assert.False(CertificateNames.Carries(Store("two").Load().Server, "db.example"));
        Assert.True(CertificateNames.Carries(Store("two").Load().Server, "two.example"));

        new Identity(_issuer, []).Revoke(CertificateNames.Node(Store("one").Load().Server)!);
        Assert.DoesNotContain("db.example", await JoinAsync(Store("three"), url, Token(), new JoinOptions { Names = ["db.example"] }));
    }

    [Theory]
    [InlineData(RpcRole.Client)]
    [InlineData(RpcRole.Observer)]
    public async Task A_machine_that_joined_as_less_than_an_agent_is_less(RpcRole role)
    {
        string url = await ServeAsync(_issuer);
        await JoinAsync(Store("one"), url, Token(new JoinTokenOptions { Role = role }));
        IdentityParts parts = Store("one").Load().Current;
        Assert.Equal((role, role, null), (CertificateNames.Roles(parts.Server), CertificateNames.Roles(parts.Client), parts.Children));
        Assert.Equal(role == RpcRole.Client, CertificateAuthority.IsForAnswering(parts.Server));
    }

    [Fact]
    public async Task One_that_joined_holds_no_authority_and_says_where_it_is()
    {
        string url = await ServeAsync(_issuer);
        IdentityStore other = Store("other");
        await JoinAsync(other, url, Token());
        Assert.Contains(url, Assert.Throws<JoinException>(() => new StoreAuthority(other).CreateToken(new JoinTokenOptions())).Message, StringComparison.Ordinal);
        string second = await ServeAsync(other);
        Assert.Equal(JoinFailure.NoAuthority, await FailureAsync(() => JoinAsync(Store("third"), second, Token())));
    }

    [Fact]
    public async Task A_store_that_others_depend_on_is_not_given_up_by_accident_and_what_is_given_up_is_kept()
    {
        string url = await ServeAsync(_issuer);
        string elsewhere = await ServeAsync(Store("elsewhere"));
        await JoinAsync(Store("one"), elsewhere, new StoreAuthority(Store("elsewhere")).CreateToken(new JoinTokenOptions()));
        Assert.Equal(JoinFailure.OwnAuthority, await FailureAsync(() => JoinAsync(Store("elsewhere"), url, Token())));
        string before = Store("elsewhere").Load().Authority.Thumbprint;
        await JoinAsync(Store("elsewhere"), url, Token(), new JoinOptions { Replace = true });
        Assert.NotEqual(before, Store("elsewhere").Load().Authority.Thumbprint);
        string kept = Assert.Single(Directory.GetDirectories(Path.Combine(_home, "elsewhere"), "before-join-*"));
        Assert.True(File.Exists(Path.Combine(kept, "ca.key")));
    }

    [Fact]
    public async Task A_certificate_buys_new_ones_of_the_same_kind_for_its_own_node_only()
    {
        string url = await ServeBeforeAsync();
        IdentityStore other = Store("other");
        await JoinAsync(other, url, Token(), new JoinOptions { Names = ["db.example"] });
        Identity before = other.Load();
        _time.Pass(s_untilDue);
        await JoinClient.RenewAsync(other, before, ["db.example"], Ct);
        Identity after = other.Load();
        Assert.NotEqual(before.Server.SerialNumber, after.Server.SerialNumber);
        Assert.Equal(CertificateNames.Node(before.Server), CertificateNames.Node(after.Server));
        Assert.True(CertificateNames.Carries(after.Server, "db.example"));

        // Neither what calls for its user nor what its children hold speaks for the node.
        var asClient = new Identity(new IdentityParts(after.Authority, after.Client, after.Client, [], null, new RevocationList()));
        var asChild = new Identity(after.Current.ForChild(RpcRole.Child, "p", DateTimeOffset.UtcNow));
        foreach (Identity lesser in new[] { asClient, asChild, Identity.Ephemeral("stranger") })
        {
            Identity shown = new(new IdentityParts(after.Authority, lesser.Server, lesser.Server, lesser.Current.Intermediates, null, new RevocationList()));
            Assert.Equal(JoinFailure.UnknownToken, await FailureAsync(() => JoinClient.RenewAsync(other, shown, [], Ct)));
        }
    }

    [Fact]
    public async Task Certificates_are_renewed_near_their_end_only()
    {
        string url = await ServeBeforeAsync();
        IdentityStore other = Store("other");
        await JoinAsync(other, url, Token());
        Assert.Equal(JoinFailure.Refused, await FailureAsync(() => JoinClient.RenewAsync(other, other.Load(), [], Ct)));
        _time.Pass(s_untilDue);
        Assert.Equal(JoinFailure.None, await FailureAsync(() => JoinClient.RenewAsync(other, other.Load(), [], Ct)));
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(JoinFailure.Refused, await FailureAsync(() => JoinClient.RenewAsync(other, other.Load(), [], Ct)));
        }
    }

    [Fact]
    public async Task A_renewal_adds_no_name_but_the_address_that_it_comes_from()
    {
        string url = await ServeBeforeAsync();
        IdentityStore other = Store("other");
        await JoinAsync(other, url, Token(new JoinTokenOptions { Names = ["one.example"] }));
        _time.Pass(s_untilDue);
        IReadOnlyList<string> withheld = await JoinClient.RenewAsync(other, other.Load(), ["one.example", "two.example", "10.9.8.7"], Ct);
        Assert.Equal(["10.9.8.7", "two.example"], withheld.Intersect(["one.example", "two.example", "10.9.8.7"]).Order(StringComparer.Ordinal));
        Assert.True(CertificateNames.Carries(other.Load().Server, "one.example"));
        Assert.False(CertificateNames.Carries(other.Load().Server, "two.example"));
        Assert.False(other.ShouldRenew(other.Load().Current));
    }

    [Fact]
    public async Task A_machine_whose_address_has_changed_gets_a_certificate_with_it_at_once()
    {
        await ServeAsync(_issuer);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        IssuedCertificate Joined(params string[] hosts) => new("A1", "aaaaaaaaaaaa", "server", RpcRole.Agent, DateOnly.FromDateTime(DateTime.UtcNow.AddDays(300)), hosts);
        JoinReply Renew(string? from) => new StoreAuthority(_issuer).IssueFor("aaaaaaaaaaaa", new JoinGrant(RpcRole.Agent, []), [Request(key, [], "10.1.1.2"), Request(key, []), Request(key, [])], new Renewal(Joined("10.1.1.1"), from));
        Assert.Equal(JoinFailure.Refused, Renew(null).Failure);
        Assert.Equal(JoinFailure.Refused, Renew("10.1.1.3").Failure);
        JoinReply renewed = Renew("10.1.1.2");
        Assert.Equal((JoinFailure.None, 0), (renewed.Failure, renewed.Withheld.Length));
    }

    [Theory]
    [InlineData("db.example.")]
    [InlineData("DB.Example")]
    [InlineData("Db.EXAMPLE.")]
    [InlineData("xn--bcher-kva.example.")]
    public async Task A_name_of_another_node_is_withheld_in_whatever_spelling(string spelling)
    {
        await JoinAsync(Store("one"), await ServeAsync(_issuer), Token(new JoinTokenOptions { Names = ["db.example", "bücher.example"] }));
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        JoinReply reply = new StoreAuthority(_issuer).IssueFor("bbbbbbbbbbbb", new JoinGrant(RpcRole.Agent, [spelling]), [Request(key, [spelling, "own.example."]), Request(key, []), Request(key, [])]);
        Assert.Equal([CertificateNames.Normal(spelling)], reply.Withheld);
        using X509Certificate2 issued = X509CertificateLoader.LoadCertificate(reply.Certificates[0]);
        Assert.Equal(["own.example"], CertificateNames.Hosts(issued));
        Assert.False(issued.MatchesHostname("db.example") || issued.MatchesHostname("xn--bcher-kva.example"));
    }

    [Theory]
    [InlineData("db..example")]
    [InlineData(".example")]
    [InlineData("db.example..")]
    [InlineData("*.example")]
    [InlineData("")]
    [InlineData("a b")]
    public async Task What_is_no_name_gets_no_certificate(string name)
    {
        await ServeAsync(_issuer);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var error = Assert.Throws<JoinException>(() => new StoreAuthority(_issuer).IssueFor("bbbbbbbbbbbb", new JoinGrant(RpcRole.Agent, []), [Request(key, [name]), Request(key, []), Request(key, [])]));
        Assert.Equal(JoinFailure.Refused, error.Failure);
    }

    [Theory]
    [InlineData("Db.Example.", "db.example")]
    [InlineData("BÜCHER.example", "xn--bcher-kva.example")]
    [InlineData("db。example。", "db.example")]
    [InlineData("10.1.1.1.", "10.1.1.1")]
    [InlineData("::ffff:10.1.1.1", "10.1.1.1")]
    [InlineData("2001:DB8:0::1", "2001:db8::1")]
    [InlineData("fe80::1%7", "fe80::1")]
    public void A_name_has_one_spelling(string written, string normal) => Assert.Equal(normal, CertificateNames.Normal(written));

    [Fact]
    public async Task An_observer_has_no_certificate_for_answering()
    {
        string url = await ServeAsync(_issuer);
        IdentityStore store = Store("one");
        Assert.Empty(await JoinAsync(store, url, Token(new JoinTokenOptions { Role = RpcRole.Observer, Names = ["db.example"] })));
        Identity observer = store.Load();
        Assert.Same(observer.Client, observer.Server);
        Assert.False(CertificateAuthority.IsForAnswering(observer.Server));
        Assert.Empty(CertificateNames.Hosts(observer.Server));
        await using var server = new RpcServer(new RpcServerOptions { Identity = observer });
        var error = await Assert.ThrowsAsync<IdentityException>(() => server.StartAsync("127.0.0.1:0", Ct));
        Assert.Contains("joined as observer", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_child_with_the_serial_number_of_a_node_gets_no_certificates_of_that_node()
    {
        string url = await ServeBeforeAsync();
        IdentityStore victim = Store("victim"), thief = Store("thief");
        await JoinAsync(victim, url, Token());
        await JoinAsync(thief, url, Token());
        _time.Pass(s_untilDue);
        X509Certificate2 maker = thief.Load().Current.Children!;
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=forged", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(CertificateNames.Extension(["localhost"], null, RpcRole.Child));
        using X509Certificate2 forged = request.Create(maker, new DateTimeOffset(maker.NotBefore), new DateTimeOffset(maker.NotAfter), Convert.FromHexString(victim.Load().Server.SerialNumber)).CopyWithPrivateKey(key);
        Identity shown = new(new IdentityParts(maker, forged, forged, [X509CertificateLoader.LoadCertificate(maker.RawData)], null, new RevocationList()));
        shown = new(new IdentityParts(thief.Load().Authority, forged, forged, shown.Current.Intermediates, null, new RevocationList()));
        Assert.Equal(JoinFailure.UnknownToken, await FailureAsync(() => JoinClient.RenewAsync(thief, shown, [], Ct)));
    }

    [Fact]
    public async Task A_revoked_certificate_buys_nothing()
    {
        string url = await ServeAsync(_issuer);
        IdentityStore other = Store("other");
        await JoinAsync(other, url, Token());
        Identity revoked = other.Load();
        new Identity(_issuer, []).Revoke(revoked.Server.SerialNumber);
        _time.Pass(TimeSpan.FromSeconds(2)); // the server looks at its files
        Assert.Equal(JoinFailure.UnknownToken, await FailureAsync(() => JoinClient.RenewAsync(other, revoked, [], Ct)));
    }

    [Fact]
    public async Task A_revoked_node_gets_no_certificates_also_with_one_that_was_issued_meanwhile()
    {
        string url = await ServeBeforeAsync();
        IdentityStore thief = Store("thief");
        await JoinAsync(thief, url, Token());
        string node = thief.Load().Node!;
        _time.Pass(s_untilDue);
        await JoinClient.RenewAsync(thief, thief.Load(), [], Ct); // after the book was read, and before the revocation
        new Identity(_issuer, []).Revoke(node);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        byte[][] requests = [Request(key, []), Request(key, []), Request(key, [])];
        IssuedCertificate shown = _issuer.Issued.Find(Revocation.SerialOf(thief.Load().Server.SerialNumber))!;
        Assert.Equal(JoinFailure.Refused, Assert.Throws<JoinException>(() => new StoreAuthority(_issuer).IssueFor(node, new JoinGrant(RpcRole.Agent, []), requests, new Renewal(shown, null))).Failure);
        _time.Pass(TimeSpan.FromSeconds(2)); // the server looks at its files
        await using RpcClient client = new RpcClient(url, new RpcClientOptions { Identity = thief.Load() });
        Assert.Contains($"the node {node} was revoked", (await Assert.ThrowsAsync<RpcException>(() => client.OpenAsync(Ct))).Message, StringComparison.Ordinal);

        // Its processes' certificates state the node too.
        await using RpcClient child = new RpcClient(url, new RpcClientOptions { Identity = new Identity(thief.Load().Current.ForChild(RpcRole.Child, "p", DateTimeOffset.UtcNow)) });
        Assert.Contains("was revoked", (await Assert.ThrowsAsync<RpcException>(() => child.OpenAsync(Ct))).Message, StringComparison.Ordinal);
        new Identity(_issuer, []).Allow(node);
        _time.Pass(TimeSpan.FromSeconds(2));
        await using RpcClient again = new RpcClient(url, new RpcClientOptions { Identity = thief.Load() });
        await again.OpenAsync(Ct);
    }

    [Fact]
    public async Task The_book_of_issued_certificates_leaves_out_those_that_have_ended()
    {
        await ServeAsync(_issuer);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        for (int year = 0; year < 4; year++)
        {
            new StoreAuthority(_issuer).IssueFor($"node{year}", new JoinGrant(RpcRole.Client, []), [Request(key, [$"host{year}"]), Request(key, []), Request(key, [])]);
            _time.Pass(TimeSpan.FromDays(400));
        }

        Assert.InRange(_issuer.Issued.Read().Count, 2, 4);
        Assert.Equal("node3", _issuer.Issued.Read()[^1].Node);
        Assert.Equal(_issuer.Issued.Read(), Store("issuer").Issued.Read(), (a, b) => a.Serial == b.Serial);
    }

    [Fact]
    public async Task An_admin_may_revoke_and_answers_nobody()
    {
        await JoinAsync(Store("one"), await ServeAsync(_issuer), Token(new JoinTokenOptions { Role = RpcRole.Admin }));
        Identity admin = Store("one").Load();
        Assert.Equal(RpcRole.Admin | RpcRole.Client, CertificateNames.Roles(admin.Client));
        Assert.False(CertificateAuthority.IsForAnswering(admin.Server));
        Assert.Equal(RpcRole.Admin | RpcRole.Agent, CertificateNames.Roles(_issuer.Load().Server));
        Assert.Equal(_issuer.Load().Node, Store("one").IssuerNode);
    }

    [Fact]
    public async Task A_machine_whose_authority_moved_away_is_joined_to_it_without_the_role_admin()
    {
        string folder = Path.Combine(_home, "authority");
        string before = _issuer.Load().Node!;
        new StoreAuthority(_issuer).MoveAuthority(folder, "unix:/run/authority");
        Identity here = Store("issuer").Load(), there = new IdentityStore(folder, _time).Load();
        Assert.False(File.Exists(Path.Combine(_home, "issuer", "ca.key")));
        Assert.Equal((before, RpcRole.Agent, RpcRole.Client), (here.Node, CertificateNames.Roles(here.Server), CertificateNames.Roles(here.Client)));
        Assert.Equal(here.Authority.Thumbprint, there.Authority.Thumbprint);
        Assert.NotEqual(before, there.Node);
        Assert.Equal("unix:/run/authority", Store("issuer").JoinedAt);
        Assert.Equal(there.Node, Store("issuer").IssuerNode);
        Assert.NotNull(new IdentityStore(folder, _time).Issued.Find(Revocation.SerialOf(here.Server.SerialNumber)));
        await ServeAsync(new IdentityStore(folder, _time));
    }

    [Fact]
    public async Task A_locked_key_is_opened_by_a_token_alone()
    {
        string url = await ServeBeforeAsync();
        new StoreAuthority(_issuer).SetLock("correct horse", isLocked: true);
        Assert.Throws<JoinException>(() => Token());
        Assert.Throws<IdentityException>(() => new StoreAuthority(new IdentityStore(Path.Combine(_home, "issuer"), _time) { Passphrase = "wrong horse" }).CreateToken(new JoinTokenOptions { Passphrase = "wrong horse" }));
        string token = new StoreAuthority(new IdentityStore(Path.Combine(_home, "issuer"), _time) { Passphrase = "correct horse" }).CreateToken(new JoinTokenOptions { Passphrase = "correct horse" });
        IdentityStore one = Store("one");
        await JoinAsync(one, url, token);
        Assert.Equal(_issuer.Load().Authority.Thumbprint, one.Load().Authority.Thumbprint);
        Assert.Equal(JoinFailure.UnknownToken, await FailureAsync(() => JoinAsync(Store("two"), url, token)));
        _time.Pass(s_untilDue);
        Assert.Equal(JoinFailure.NoAuthority, await FailureAsync(() => JoinClient.RenewAsync(one, one.Load(), [], Ct)));
        new StoreAuthority(_issuer).SetLock("correct horse", isLocked: false);
        Assert.Equal(JoinFailure.None, await FailureAsync(() => JoinClient.RenewAsync(one, one.Load(), [], Ct)));
    }

    [Fact]
    public async Task Requests_that_make_no_sense_are_answered_with_the_reason()
    {
        string url = await ServeAsync(_issuer);
        async Task<JoinReply> AskAsync(byte[][] requests)
        {
            var token = JoinToken.Parse(Token());
            return await ExchangeAsync(url, stream => JoinMessages.WriteAsync(stream, new JoinRequest(JoinMessages.Version, token.Id, token.Secret, requests), Ct));
        }

        using RSA weak = RSA.Create(1024);
        byte[] weakRequest = new CertificateRequest("CN=x", weak, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1).CreateSigningRequest();
        Assert.Equal(JoinFailure.Refused, (await AskAsync([weakRequest, weakRequest, weakRequest])).Failure);
        Assert.Equal(JoinFailure.Protocol, (await AskAsync([[1, 2, 3], [], []])).Failure);
        Assert.Equal(JoinFailure.Protocol, (await AskAsync([])).Failure);
        Assert.Equal(JoinFailure.Protocol, (await ExchangeAsync(url, async stream => await stream.WriteAsync(new byte[] { 255, 255, 255, 127 }, Ct))).Failure);
        _time.Pass(AttemptLimiter.Refill);
        Assert.Equal(JoinFailure.Protocol, (await ExchangeAsync(url, async stream => await stream.WriteAsync(new byte[] { 2, 0, 0, 0, 0xC1, 0xC1 }, Ct))).Failure);
    }

    [Fact]
    public async Task Nothing_else_is_open_to_one_who_has_proven_nothing()
    {
        string url = await ServeAsync(_issuer);
        await using RpcClient stranger = new RpcClient(url, new RpcClientOptions
        {
            Identity = new Identity(new IdentityParts(_issuer.Load().Authority, Identity.Ephemeral("x").Server, Identity.Ephemeral("x").Client, [], null, new RevocationList())),
        });
        Assert.Equal(RpcError.Unauthorized, (await Assert.ThrowsAsync<RpcException>(() => stranger.OpenAsync(Ct))).Code);
    }

    [Fact]
    public async Task An_agent_that_says_nothing_is_given_up_at_the_deadline()
    {
        var hold = new TaskCompletionSource();
        string url = await ServeAsync(_issuer.Load(), _ => hold.Task);
        var error = await Assert.ThrowsAsync<RpcException>(() => JoinAsync(Store("one"), url, Token(), new JoinOptions { Timeout = TimeSpan.FromMilliseconds(200) }));
        Assert.Equal(RpcError.Timeout, error.Code);
        hold.SetResult();
    }

    private IdentityStore Store(string name) => new(Path.Combine(_home, name), _time);

    private string Token(JoinTokenOptions? options = null) => new StoreAuthority(_issuer).CreateToken(options ?? new JoinTokenOptions());

    private static Task<IReadOnlyList<string>> JoinAsync(IdentityStore store, string url, string token, JoinOptions? options = null) =>
        JoinClient.JoinAsync(store, url, token, options ?? new JoinOptions(), Ct);

    private Task<string> ServeAsync(IdentityStore store)
    {
        var identity = new Identity(store, []);
        var desk = new JoinServer(identity, NullLogger.Instance, _time);
        return ServeAsync(identity, connection => desk.ServeAsync(connection, Ct));
    }

    private async Task<string> ServeAsync(Identity identity, Func<TlsConnection, Task> serve)
    {
        var server = new RpcServer(new RpcServerOptions { Identity = identity, DrainTimeout = TimeSpan.Zero });
        _servers.Add(server);
        server.Route(TlsConnection.Join, serve, null);
        await server.StartAsync("127.0.0.1:0", Ct);
        return server.Url;
    }

    // The certificates are near their end after another 340 days.
    private Task<string> ServeBeforeAsync()
    {
        _time.Pass(-s_untilDue);
        return ServeAsync(_issuer);
    }

    // Host names as they are, in whatever spelling, as another implementation may write them.
    private static byte[] Request(ECDsa key, string[] hosts, params string[] addresses)
    {
        var names = new AsnWriter(AsnEncodingRules.DER);
        using (names.PushSequence())
        {
            foreach (string host in hosts)
            {
                names.WriteCharacterString(UniversalTagNumber.IA5String, host, new Asn1Tag(TagClass.ContextSpecific, 2));
            }

            foreach (string address in addresses)
            {
                names.WriteOctetString(IPAddress.Parse(address).GetAddressBytes(), new Asn1Tag(TagClass.ContextSpecific, 7));
            }
        }

        var request = new CertificateRequest("CN=gloox", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509Extension("2.5.29.17", names.Encode(), critical: false));
        return request.CreateSigningRequest();
    }

    private static async Task<JoinReply> ExchangeAsync(string url, Func<Stream, Task> ask)
    {
        await using TlsConnection connection = await DialAsync(url);
        await JoinMessages.ReadAsync<JoinOffer>(connection.Stream, Ct);
        await ask(connection.Stream);
        return await JoinMessages.ReadAsync<JoinReply>(connection.Stream, Ct);
    }

    /// <summary>A stranger's connection.</summary>
    private static async Task<TlsConnection> DialAsync(string url)
    {
#pragma warning disable CA5359 // this one is not careful
        var options = new System.Net.Security.SslClientAuthenticationOptions { RemoteCertificateValidationCallback = (_, _, _, _) => true };
#pragma warning restore CA5359
        return await TlsConnection.DialAsync(RpcEndpoint.Parse(url), TlsConnection.Join, options, () => (null, Peer.Anonymous), Ct);
    }

    private static async Task<JoinFailure> FailureAsync(Func<Task> join)
    {
        try
        {
            await join();
            return JoinFailure.None;
        }
        catch (JoinException e)
        {
            return e.Failure;
        }
    }
}
