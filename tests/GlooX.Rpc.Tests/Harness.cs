using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace GlooX.Rpc.Tests;

/// <summary>A server on a free port with a calculator, and a client of it, who share an identity.</summary>
internal sealed class Harness : IAsyncDisposable
{
    public static readonly Identity Shared = Identity.Ephemeral("test");

    private Harness(RpcServer server, Calculator calculator, RpcClient client)
    {
        Server = server;
        Calculator = calculator;
        Client = client;
    }

    public RpcServer Server { get; }

    public Calculator Calculator { get; }

    public RpcClient Client { get; }

    public ICalculator Remote => Client.As<ICalculator>();

    /// <summary>
    /// A port for a server that goes and comes back: below those that the system gives to connections, of which the other tests make thousands, so
    /// that none of them has it meanwhile.
    /// </summary>
    public static string KeptUrl()
    {
        while (true)
        {
            using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            int port = Random.Shared.Next(15_000, 32_000);
            try
            {
                probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
                return $"127.0.0.1:{port}";
            }
            catch (SocketException)
            {
                // another one, then
            }
        }
    }

    public static async Task<Harness> StartAsync(RpcServerOptions? server = null, RpcClientOptions? client = null, string url = "127.0.0.1:0")
    {
        var calculator = new Calculator();
        RpcServerOptions options = server ?? new RpcServerOptions { DrainTimeout = TimeSpan.Zero };
        var started = new RpcServer(options with { Identity = options.Identity ?? Shared });
        started.Add(calculator);
        await started.StartAsync(url, TestContext.Current.CancellationToken);
        RpcClientOptions how = client ?? new RpcClientOptions();
        return new Harness(started, calculator, new RpcClient(started.Url, how with { Identity = how.Identity ?? Shared }));
    }

    public async ValueTask DisposeAsync()
    {
        Calculator.Release();
        await Client.DisposeAsync();
        await Server.DisposeAsync();
    }
}

/// <summary>Keeps what was logged.</summary>
internal sealed class LogKeeper : ILoggerFactory, ILogger
{
    public ConcurrentQueue<(LogLevel Level, string Text)> Lines { get; } = new();

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Lines.Enqueue((logLevel, formatter(state, exception)));

    public void Dispose()
    {
    }
}
