using System.Collections.Concurrent;
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

    public static async Task<Harness> StartAsync(RpcServerOptions? server = null, RpcClientOptions? client = null, string url = "127.0.0.1:0")
    {
        var calculator = new Calculator();
        RpcServerOptions options = server ?? new RpcServerOptions { DrainTimeout = TimeSpan.Zero };
        var started = new RpcServer(options with { Identity = options.Identity ?? Shared });
        started.Add(calculator);
        await started.StartAsync(url, TestContext.Current.CancellationToken);
        RpcClientOptions how = client ?? new RpcClientOptions();
        return new Harness(started, calculator, RpcClient.Connect(started.Url, how with { Identity = how.Identity ?? Shared }));
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
