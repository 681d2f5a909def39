using System.Security.Cryptography.X509Certificates;
using GlooX.Tls;
using GlooX.Tls.Join;

namespace GlooX.Rpc.Tests.Tls;

/// <summary>Who may call what: by the role in the certificate, and by the token of a service.</summary>
public sealed class RolesTests
{
    private static readonly X509Certificate2 s_authority = CertificateAuthority.Create("roles", DateTimeOffset.UtcNow);
    private static readonly Identity s_server = As(RpcRole.Agent);

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(RpcRole.Agent, true)]
    [InlineData(RpcRole.Client, true)]
    [InlineData(RpcRole.Child, true)]
    [InlineData(RpcRole.Observer, false)]
    [InlineData(RpcRole.Observer | RpcRole.Child, true)]
    public async Task A_service_is_for_all_but_observers_unless_it_says_otherwise(RpcRole role, bool may)
    {
        await using Harness it = await StartAsync(role);
        Assert.Equal(may ? null : RpcError.Forbidden, await CodeAsync(async () => await it.Remote.AddAsync(1, 2)));
    }

    [Fact]
    public async Task The_refusal_names_the_roles_and_comes_before_the_arguments_are_read()
    {
        await using Harness allowed = await StartAsync(RpcRole.Client);
        Assert.Equal(RpcError.BadArguments, await CodeAsync(async () => await allowed.Client.CallAsync<object>("Add", "no number")));

        await using Harness refused = await StartAsync(RpcRole.Observer);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await refused.Client.CallAsync<object>("Add", "no number"));
        Assert.Equal(RpcError.Forbidden, error.Code);
        Assert.Contains("Add may be called by the roles agent, client, child", error.Message, StringComparison.Ordinal);
        Assert.Contains("has observer", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Single_methods_can_be_for_other_roles()
    {
        var access = new RpcAccess { Roles = RpcRole.Agent, Methods = new Dictionary<string, RpcRole> { ["Add"] = RpcRole.Any } };
        await using Harness it = await StartAsync(RpcRole.Child);
        it.Server.Add(new Calculator(), "inner", access);
        Assert.Equal(3, await it.Client.As<ICalculator>("inner").AddAsync(1, 2));
        Assert.Equal(RpcError.Forbidden, await CodeAsync(async () => await it.Client.As<ICalculator>("inner").HangAsync("x", Ct)));
    }

    [Theory]
    [InlineData("", RpcRole.Any)]
    [InlineData("URI:gloox://role/observer", RpcRole.Observer)]
    [InlineData("URI:gloox://role/child,URI:gloox://role/client", RpcRole.Child | RpcRole.Client)]
    [InlineData("URI:gloox://role/king", RpcRole.None)]
    [InlineData("URI:gloox://role/king,URI:gloox://role/agent", RpcRole.Agent)]
    [InlineData("URI:https://example.org/role/agent", RpcRole.Any)]
    public async Task Roles_are_read_as_openssl_writes_them_and_a_certificate_without_any_has_all(string uris, RpcRole roles)
    {
        using OpenSsl files = new OpenSsl().Authority("ca").Certificate("server", "ca", "serverAuth")
            .Certificate("client", "ca", "clientAuth", names: uris.Length == 0 ? "DNS:localhost" : $"DNS:localhost,{uris}");
        var identity = new Identity(
            X509CertificateLoader.LoadCertificateFromFile(files["ca.crt"]),
            X509Certificate2.CreateFromPemFile(files["server.crt"], files["server.key"]),
            X509Certificate2.CreateFromPemFile(files["client.crt"], files["client.key"]));
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = identity }, new RpcClientOptions { Identity = identity });
        foreach (RpcRole role in new[] { RpcRole.Agent, RpcRole.Client, RpcRole.Child, RpcRole.Observer })
        {
            it.Server.Add(new Calculator(), $"{role}", new RpcAccess { Roles = role });
            RpcError? code = await CodeAsync(async () => await it.Client.As<ICalculator>($"{role}").AddAsync(1, 2));
            Assert.Equal(roles.HasFlag(role) ? null : RpcError.Forbidden, code);
        }
    }

    [Theory]
    [InlineData("s3cret", null)]
    [InlineData("s3cre", "wrong")]
    [InlineData("", "wrong")]
    [InlineData(null, "none was given")]
    public async Task A_service_with_a_token_is_for_those_who_give_it(string? token, string? complaint)
    {
        var options = new RpcClientOptions { Identity = s_server };
        await using Harness it = await Harness.StartAsync(
            new RpcServerOptions { Identity = s_server }, token is null ? options : options with { Tokens = new Dictionary<string, string> { ["safe"] = token, ["other"] = "x" } });
        it.Server.Add(new Calculator(), "safe", new RpcAccess { Token = "s3cret" });
        Exception? error = await Record.ExceptionAsync(async () => await it.Client.As<ICalculator>("safe").AddAsync(1, 2));
        Assert.Equal(complaint is null ? null : RpcError.Forbidden, (error as RpcException)?.Code);
        Assert.Contains(complaint ?? "", error?.Message ?? "", StringComparison.Ordinal);
        Assert.Equal(complaint is null ? RpcError.BadArguments : RpcError.Forbidden, await CodeAsync(async () => await it.Client.CallAsync<object>("safe/Add", "no number")));
        Assert.Equal(complaint is null ? RpcError.MethodNotFound : RpcError.Forbidden, await CodeAsync(async () => await it.Client.CallAsync<object>("safe/nothing")));
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public async Task Wrong_tokens_are_bounded_for_each_certificate()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = s_server }, With(As(RpcRole.Client), "wrong"));
        it.Server.Add(new Calculator(), "safe", new RpcAccess { Token = "s3cret" });
        Identity guesser = As(RpcRole.Client);
        for (int i = 0; i < AttemptLimiter.PerAddress; i++)
        {
            Assert.Contains("wrong", await ComplaintAsync(guesser, $"guess {i}"), StringComparison.Ordinal);
        }

        Assert.Contains("too many wrong ones", await ComplaintAsync(guesser, "s3cret"), StringComparison.Ordinal);
        Assert.Equal("", await ComplaintAsync(As(RpcRole.Client), "s3cret"));

        async Task<string> ComplaintAsync(Identity identity, string token)
        {
            await using var client = new RpcClient(it.Server.Url, With(identity, token));
            return (await Record.ExceptionAsync(async () => await client.As<ICalculator>("safe").AddAsync(1, 2)))?.Message ?? "";
        }
    }

    [Fact]
    public async Task Tokens_and_calls_that_are_for_a_role_are_not_sent_to_a_server_without_it()
    {
        Identity child = As(RpcRole.Child);
        RpcClientOptions options = With(As(RpcRole.Client), "s3cret") with { TokenRole = RpcRole.Agent };
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = child }, options);
        it.Server.Add(new Calculator(), "safe", new RpcAccess { Token = "s3cret" });
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.As<ICalculator>("safe").AddAsync(1, 2));
        Assert.Contains("none was given", error.Message, StringComparison.Ordinal);
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
        error = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.As<ICalculator>("", RpcRole.Agent).AddAsync(1, 2));
        Assert.Equal(RpcError.Tls, error.Code);
        Assert.Contains("has the role child, not agent", error.Message, StringComparison.Ordinal);

        await using Harness agent = await Harness.StartAsync(new RpcServerOptions { Identity = s_server }, options);
        agent.Server.Add(new Calculator(), "safe", new RpcAccess { Token = "s3cret" });
        Assert.Equal(3, await agent.Client.As<ICalculator>("safe", RpcRole.Agent).AddAsync(1, 2));
    }

    [Fact]
    public async Task An_observer_is_not_told_which_services_and_methods_there_are()
    {
        foreach ((RpcRole role, bool isTold) in new[] { (RpcRole.Observer, false), (RpcRole.Client, true) })
        {
            await using Harness it = await StartAsync(role);
            it.Server.Add(new Calculator(), "vault");
            var noService = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<object>("nothing/x"));
            Assert.Equal((RpcError.ServiceNotFound, isTold), (noService.Code, noService.Message.Contains("vault", StringComparison.Ordinal)));
            var noMethod = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<object>("vault/nothing"));
            Assert.Equal((RpcError.MethodNotFound, isTold), (noMethod.Code, noMethod.Message.Contains("Add", StringComparison.Ordinal)));
        }
    }

    [Fact]
    public async Task A_protocol_that_is_for_a_role_is_closed_to_others_and_they_are_told()
    {
        await using var server = new RpcServer(new RpcServerOptions { Identity = s_server });
        server.Route(TlsConnection.Grid, _ => throw new InvalidOperationException("let in"), RpcRole.Agent);
        await server.StartAsync("127.0.0.1:0", Ct);
        await using TlsConnection child = await TlsConnection.DialAsync(RpcEndpoint.Parse(server.Url), TlsConnection.Grid, As(RpcRole.Child), null, RpcRole.None, Ct);
        byte[] answer = new byte[4096];
        int length = await child.Stream.ReadAtLeastAsync(answer, answer.Length, throwOnEndOfStream: false, Ct);
        Assert.Contains("is for the role agent", System.Text.Encoding.UTF8.GetString(answer, 0, length), StringComparison.Ordinal);
    }

    private static RpcClientOptions With(Identity identity, string token) => new() { Identity = identity, Tokens = new Dictionary<string, string> { ["safe"] = token } };

    private static Task<Harness> StartAsync(RpcRole caller) =>
        Harness.StartAsync(new RpcServerOptions { Identity = s_server }, new RpcClientOptions { Identity = As(caller) });

    private static Identity As(RpcRole role)
    {
        X509Certificate2 own = CertificateAuthority.Issue(
            s_authority, new CertificateOrder("one", "n", ["127.0.0.1"], role, CertificateUse.Server | CertificateUse.Client), DateTimeOffset.UtcNow);
        return new Identity(s_authority, own, own);
    }

    private static async Task<RpcError?> CodeAsync(Func<Task> call) => (await Record.ExceptionAsync(call) as RpcException)?.Code;
}
