using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using GlooX.Protocol;
using GlooX.Tls;

namespace GlooX.Rpc.Tests.Tls;

/// <summary>The user's own certificates on disk, and what happens to a caller that shows none.</summary>
public sealed class IdentityStoreTests : IDisposable
{
    private const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"gloox-store-{Guid.NewGuid():N}");

    public void Dispose()
    {
        if (Directory.Exists(_folder))
        {
            Directory.Delete(_folder, recursive: true);
        }
    }

    [Fact]
    public void The_first_use_makes_a_folder_and_keys_that_only_the_owner_can_read()
    {
        new IdentityStore(_folder).Load();
        Assert.Equal(Owner | UnixFileMode.UserExecute, File.GetUnixFileMode(_folder));
        string[] keys = Directory.GetFiles(_folder, "*.key");
        Assert.Equal(4, keys.Length);
        Assert.All(keys, key => Assert.Equal(Owner, File.GetUnixFileMode(key)));
    }

    [Fact]
    public async Task All_that_open_it_at_once_get_the_same_identity()
    {
        Identity[] all = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => new IdentityStore(_folder).Load())));
        Assert.Single(all.Select(i => i.Authority.Thumbprint).Distinct(StringComparer.Ordinal));
        Assert.Single(all.Select(i => i.Server.Thumbprint).Distinct(StringComparer.Ordinal));
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = all[0] }, new RpcClientOptions { Identity = all[1] });
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public void A_key_that_others_can_read_is_refused_with_the_cure()
    {
        new IdentityStore(_folder).Load();
        string key = Path.Combine(_folder, "server.key");
        File.SetUnixFileMode(key, Owner | UnixFileMode.GroupRead);
        var error = Assert.Throws<IdentityException>(() => new IdentityStore(_folder).Load());
        Assert.Equal(key, error.Origin);
        Assert.Contains($"chmod 600 {key}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_broken_file_is_named_with_the_cure()
    {
        new IdentityStore(_folder).Load();
        string certificate = Path.Combine(_folder, "client.crt");
        File.WriteAllText(certificate, "nonsense");
        var error = Assert.Throws<IdentityException>(() => new IdentityStore(_folder).Load());
        Assert.Equal(certificate, error.Origin);
        Assert.Contains("Delete client.crt", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pair_that_is_only_half_there_is_made_anew()
    {
        Identity before = new IdentityStore(_folder).Load();
        File.Delete(Path.Combine(_folder, "client.crt"));
        Identity after = new IdentityStore(_folder).Load();
        Assert.Equal(before.Authority.Thumbprint, after.Authority.Thumbprint);
        Assert.NotEqual(before.Client.Thumbprint, after.Client.Thumbprint);
    }

    [Fact]
    public async Task A_caller_without_a_certificate_is_refused_and_both_sides_say_so()
    {
        using var log = new LogKeeper();
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { LoggerFactory = log });
        RpcEndpoint server = RpcEndpoint.Parse(it.Server.Url);
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server.Host, server.Port);
        await using var stream = new SslStream(new NetworkStream(socket));
        await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            ApplicationProtocols = [TlsConnection.Rpc],
            EnabledSslProtocols = SslProtocols.Tls13,
            CertificateChainPolicy = CertificateAuthority.Policy(Harness.Shared.Authority, server: true),
        });

        byte[] answer = new byte[4096];
        int length = await stream.ReadAtLeastAsync(answer, 20, throwOnEndOfStream: false);
        Assert.True(Frame.TryRead(answer.AsSpan(0, length), answer.Length, out int offset, out int body, out FrameType type, out _, out _));
        Assert.Equal(FrameType.GoAway, type);
        (RpcError code, string message, _, _) = FrameBodies.ReadError(answer.AsMemory(offset, body));
        Assert.Equal(RpcError.Unauthorized, code);
        Assert.Contains("no client certificate", message, StringComparison.Ordinal);
        Assert.Contains(log.Lines, l => l.Text.Contains("no client certificate", StringComparison.Ordinal));
    }
}
