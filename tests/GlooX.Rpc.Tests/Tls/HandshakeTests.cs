using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GlooX.Protocol;
using GlooX.Tls;

namespace GlooX.Rpc.Tests.Tls;

/// <summary>Strangers at the port, who have no certificate and need none to be a nuisance.</summary>
public sealed class HandshakeTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    // A TLS record that promises 512 bytes of ClientHello.
    private static readonly byte[] s_beginning = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03, .. new byte[20]];

    [Fact]
    public async Task Handshakes_that_never_begin_keep_nobody_out()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { HandshakeTimeout = TimeSpan.FromMinutes(10), DrainTimeout = TimeSpan.Zero });
        await using Bystander bystander = await Bystander.OfAsync(it);
        using var crowd = new Crowd(it, 400);
        await bystander.IsServedAsync();
    }

    [Theory]
    [InlineData(1100, "")]
    [InlineData(150, "\u0016\u0003\u0001")]
    public async Task A_host_that_opens_connections_again_as_they_are_ended_does_not_keep_out_even_its_own_address(int count, string said)
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { DrainTimeout = TimeSpan.Zero });
        await using Bystander bystander = await Bystander.OfAsync(it);
        using var stop = new CancellationTokenSource();
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int opened = 0;
        Task[] squatters = [.. Enumerable.Range(0, count).Select(_ => SquatAsync())];
        await begun.Task.WaitAsync(s_patience);
        for (int i = 0; i < 5; i++)
        {
            await bystander.IsServedAsync();
        }

        await stop.CancelAsync();
        await Task.WhenAll(squatters).WaitAsync(s_patience);

        async Task SquatAsync()
        {
            while (!stop.IsCancellationRequested)
            {
                using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                try
                {
                    await socket.ConnectAsync(IPEndPoint.Parse(it.Server.Url), stop.Token);
                    await socket.SendAsync(System.Text.Encoding.Latin1.GetBytes(said), stop.Token);
                    if (Interlocked.Increment(ref opened) == count)
                    {
                        begun.SetResult();
                    }

                    await socket.ReceiveAsync(new byte[1], stop.Token);
                    await Task.Delay(100, stop.Token); // all of it runs on this machine's processors
                }
                catch (Exception e) when (e is SocketException or OperationCanceledException)
                {
                    // hung up on, or the test is over
                }
            }
        }
    }

    [Fact]
    public async Task Handshakes_that_come_byte_by_byte_keep_nobody_out()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { HandshakeTimeout = TimeSpan.FromMinutes(10), DrainTimeout = TimeSpan.Zero });
        await using Bystander bystander = await Bystander.OfAsync(it);
        using var crowd = new Crowd(it, 100);
        foreach (byte one in s_beginning)
        {
            crowd.Say([one]);
            await bystander.IsServedAsync();
        }
    }

    [Fact]
    public async Task Handshakes_that_never_end_are_hung_up_on()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { HandshakeTimeout = TimeSpan.FromSeconds(2), DrainTimeout = TimeSpan.Zero });
        await using Bystander bystander = await Bystander.OfAsync(it);
        using var crowd = new Crowd(it, 50);
        crowd.Say(s_beginning[..7]);
        await crowd.IsHungUpOnAsync();
        await bystander.IsServedAsync();
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")]
    [InlineData("\u0016\u0003\u0001\u0000\u0000\u0016\u0003\u0001\u0000\u0000")]
    public async Task What_is_no_TLS_is_hung_up_on(string nonsense)
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        using var crowd = new Crowd(it, 20);
        crowd.Say(System.Text.Encoding.Latin1.GetBytes(nonsense));
        await crowd.IsHungUpOnAsync();
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task A_strangers_certificate_forges_no_line_of_the_log_and_many_strangers_do_not_fill_it()
    {
        var log = new LogKeeper();
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { LoggerFactory = log, DrainTimeout = TimeSpan.Zero });
        using X509Certificate2 stranger = Stranger("x\nWarning: 10.0.0.7 is dead\u001b]0;owned\u0007\u009b2J\u202e" + new string('y', 1000));
        for (int i = 0; i < 3 * LogThrottle.Burst; i++)
        {
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(IPEndPoint.Parse(it.Server.Url));
#pragma warning disable CA5359 // this one is not careful
            await using var stream = new SslStream(new NetworkStream(socket), false, (_, _, _, _) => true);
#pragma warning restore CA5359
            await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "x", ClientCertificates = [stranger], ApplicationProtocols = [TlsConnection.Rpc] });
            Assert.NotEqual(0, await stream.ReadAsync(new byte[4096])); // the refusal, which is logged before
        }

        string[] lines = [.. log.Lines.Select(static l => l.Text).Where(static l => l.StartsWith("Refused ", StringComparison.Ordinal))];
        Assert.Contains("x\\u000aWarning", lines[0], StringComparison.Ordinal);
        Assert.InRange(lines.Length, 1, 2 * LogThrottle.Burst); // the machine may be so slow that a second period begins
        Assert.DoesNotContain(log.Lines, static l => l.Text.Length > 900 || l.Text.Any(static c => char.IsControl(c) || c == '\u202e'));
    }

    [Fact]
    public async Task Connections_that_are_closed_by_half_are_hung_up_on()
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        using var silent = new Crowd(it, 100);
        using var begun = new Crowd(it, 100);
        begun.Say(s_beginning);
        silent.CloseHalf();
        begun.CloseHalf();
        await silent.IsHungUpOnAsync();
        await begun.IsHungUpOnAsync();
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task Connections_that_are_reset_at_once_leave_nothing()
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        for (int i = 0; i < 10; i++)
        {
            using var crowd = new Crowd(it, 100);
            crowd.Reset();
        }

        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task More_connections_than_are_allowed_are_not_let_in_and_those_before_go_on()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxConnections = 3, HandshakeTimeout = TimeSpan.FromSeconds(2), DrainTimeout = TimeSpan.Zero });
        await using (RawPeer first = await RawPeer.GreetAsync(it.Server.Url, "Add"))
        {
            await using RawPeer second = await RawPeer.GreetAsync(it.Server.Url);
            await using RawPeer third = await RawPeer.GreetAsync(it.Server.Url);
            using var crowd = new Crowd(it, 50);
            await crowd.IsHungUpOnAsync();
            await first.SayAsync(RawPeer.Call(1, 0, 0x92, 3, 4));
            Assert.Equal([7], (await first.HearAsync())?.Body);
        }

        // When they are gone there is room again, as soon as the server has seen it.
        using var limit = new CancellationTokenSource(s_patience);
        while (await Record.ExceptionAsync(async () => await it.Remote.AddAsync(1, 2)) is { } error)
        {
            Assert.IsType<RpcException>(error);
            Assert.False(limit.IsCancellationRequested, error.Message);
        }
    }

    private static X509Certificate2 Stranger(string name)
    {
        var subject = new X500DistinguishedNameBuilder();
        subject.AddCommonName(name);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return new CertificateRequest(subject.Build(), key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    /// <summary>Plain TCP connections.</summary>
    private sealed class Crowd : IDisposable
    {
        private readonly List<Socket> _sockets = [];

        public Crowd(Harness harness, int size)
        {
            IPEndPoint where = IPEndPoint.Parse(harness.Server.Url);
            for (int i = 0; i < size; i++)
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                _sockets.Add(socket);
                socket.Connect(where);
            }
        }

        /// <summary>To those who were hung up on in the meantime it is said in vain.</summary>
        public void Say(byte[] bytes) => _sockets.ForEach(s => s.Send(bytes, SocketFlags.None, out _));

        public void CloseHalf() => _sockets.ForEach(s => s.Shutdown(SocketShutdown.Send));

        public void Reset() => _sockets.ForEach(s => s.Close(timeout: 0));

        public async Task IsHungUpOnAsync()
        {
            byte[] buffer = new byte[4096];
            foreach (Socket socket in _sockets)
            {
                try
                {
                    while (await socket.ReceiveAsync(buffer).WaitAsync(s_patience) > 0)
                    {
                    }
                }
                catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
                {
                    // hung up on, too
                }
            }
        }

        public void Dispose() => _sockets.ForEach(s => s.Dispose());
    }
}
