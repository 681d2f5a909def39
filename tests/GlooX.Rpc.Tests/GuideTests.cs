using System.Collections.Concurrent;
using System.Net;
using System.Runtime.CompilerServices;
using GlooX.Protocol;
using GlooX.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using PolyType;

namespace GlooX.Rpc.Tests;

/// <summary>The code of docs/rpc.md, which is taken from here.</summary>
public sealed class GuideTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_snippet_is_code_that_compiles_here()
    {
        string here = Folder();
        string code = Squeeze(await File.ReadAllLinesAsync(Path.Combine(here, "GuideTests.cs"), Ct));
        string[] guide = await File.ReadAllLinesAsync(Path.Combine(here, "../../docs/rpc.md"), Ct);
        int snippets = 0;
        for (int i = 0; i < guide.Length; i++)
        {
            if (guide[i] != "```csharp")
            {
                continue;
            }

            string[] snippet = [.. guide.Skip(i + 1).TakeWhile(static l => l != "```")];
            Assert.Contains(Squeeze(snippet), code, StringComparison.Ordinal);
            snippets++;
        }

        Assert.True(snippets > 10);

        static string Squeeze(IEnumerable<string> lines) => string.Join('\n', lines.Select(static l => l.Trim()).Where(static l => l.Length > 0));

        static string Folder([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
    }

    [Fact]
    public async Task The_guides_library_is_open()
    {
        Identity identity = Harness.Shared;
        var options = new RpcServerOptions { Identity = identity, Interceptors = [new TokenCheck("secret"), new Stopwatches(NullLog.Instance)] };
        await using var server = new RpcServer(options);
        server.Add(new Library());
        server.Add(new Shop(), "shop");
        await server.StartAsync("127.0.0.1:0", Ct);

        await using var client = new RpcClient(server.Url, new RpcClientOptions { Identity = identity, Interceptors = [new Token("secret")] });
        ILibrary library = client.As<ILibrary>();

        Book? book = await library.FindAsync("978-0", Ct);
        await library.AddAsync(new Book("978-1", "Second", 2));

        Assert.Null(book);
        Assert.Equal("Second", (await library.FindAsync("978-1", Ct))?.Title);
        Assert.True(await client.As<IShop>("shop").IsOpenAsync());

        string? title = await client.CallAsync<string>("Title", "978-1");
        bool open = await client.CallAsync<bool>("shop/IsOpen");
        Assert.Equal(("Second", true), (title, open));

        var titles = new List<string>();
        await foreach (Book found in library.SearchAsync("Sec", Ct))
        {
            titles.Add(found.Title);
        }

        Assert.Equal(["Second"], titles);
        Assert.Equal(3, await library.ImportAsync(Books(), Ct));

        var bell = new Bell();
        await library.SubscribeAsync(bell);
        await library.AddAsync(new Book("978-9", "Ninth", 9));
        Assert.Equal("Ninth", await bell.Rang.Task.WaitAsync(s_limit, Ct));

        int turned = 0;
        int pages = await library.ReadAsync("978-9", page => Task.FromResult(turned = page));
        Assert.Equal((9, 9), (pages, turned));

        await library.NoteAsync("returned in good condition");

        await library.LendAsync("978-9", "Ada");
        try
        {
            await library.LendAsync("978-9", "Charles");
        }
        catch (RpcFault<OnLoan> e)
        {
            titles.Add($"{e.Detail.To} has it: {e.Message}");
        }

        Assert.Equal("Ada has it: lent to Ada", titles[^1]);
        titles.RemoveAt(titles.Count - 1);

        try
        {
            await library.AddAsync(new Book("", "Nameless", 0));
        }
        catch (RpcException e) when (e.Code == RpcError.Remote && e.RemoteType == typeof(ArgumentException).FullName)
        {
            titles.Add(e.Message);
        }
        catch (RpcException e) when (e.Code is RpcError.Connection or RpcError.Timeout)
        {
            // It may or may not have been added.
            throw;
        }

        Assert.Equal(2, titles.Count);

        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        book = await library.FindAsync("978-9", patience.Token);
        Assert.Equal("Ninth", book?.Title);

        await using var stranger = new RpcClient(server.Url, new RpcClientOptions { Identity = identity });
        RpcException refused = await Assert.ThrowsAsync<RpcException>(async () => await stranger.CallAsync<string>("Title", "978-1"));
        Assert.Equal(RpcError.Unauthorized, refused.Code);

        static async IAsyncEnumerable<Book> Books()
        {
            for (int i = 2; i < 5; i++)
            {
                await Task.Yield();
                yield return new Book($"978-{i}", $"Number {i}", i);
            }
        }
    }

    [Fact]
    public async Task The_guides_hosts_start()
    {
        await using var far = new RpcServer(new RpcServerOptions { Identity = Harness.Shared });
        far.Add(new Shop(), "shop");
        await far.StartAsync("127.0.0.1:0", Ct);
        string shopUrl = far.Url;
        const int httpPort = 0;
        const int rpcPort = 0;
        var asServer = new RpcServerOptions { Identity = Harness.Shared };
        var asClient = new RpcClientOptions { Identity = Harness.Shared };

        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddGlooXRpc(o =>
        {
            o.Url = "127.0.0.1:0";
            o.Server = asServer;
            o.AddService<Library>().AddInterceptor<Stopwatches>();
        });
        builder.Services.AddGlooXClient<IShop>(shopUrl, "shop", asClient);
        builder.Services.AddHealthChecks().AddCheck<GlooXHealthCheck>("gloox");
        builder.Services.AddSingleton(NullLog.Instance);
        using IHost host = builder.Build();
        await host.StartAsync(Ct);
        Assert.True(await host.Services.GetRequiredService<IShop>().IsOpenAsync());
        await host.StopAsync(Ct).WaitAsync(s_limit, Ct);

        WebApplicationBuilder web = WebApplication.CreateSlimBuilder();
        web.Logging.ClearProviders();
        web.Services.AddGlooXRpc(o =>
        {
            o.Server = asServer;
            o.AddService<Library>();
        });
        web.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, httpPort);
            kestrel.Listen(IPAddress.Loopback, rpcPort, endpoint => endpoint.UseGlooXRpc());
        });
        await using WebApplication app = web.Build();
        await app.StartAsync(Ct);
        await using var client = new RpcClient(new Uri(app.Urls.ElementAt(1)).Authority, asClient);
        Assert.Null(await client.CallAsync<string>("Title", "978-0"));
        await app.StopAsync(Ct).WaitAsync(s_limit, Ct);
    }
}

[RpcService]
public interface ILibrary
{
    ValueTask<Book?> FindAsync(string isbn, CancellationToken ct);

    [Rpc(TimeoutMilliseconds = 5_000)]
    Task AddAsync(Book book);

    IAsyncEnumerable<Book> SearchAsync(string text, CancellationToken ct);

    Task<int> ImportAsync(IAsyncEnumerable<Book> books, CancellationToken ct);

    Task SubscribeAsync(IBell bell);

    Task<int> ReadAsync(string isbn, Func<int, Task> turned, Action<string>? told = null);

    [RpcFault(typeof(OnLoan))]
    Task LendAsync(string isbn, string to);

    [Rpc("note", OneWay = true)]
    Task NoteAsync(string text);
}

public sealed record Book(string Isbn, string Title, int Pages);

public sealed record OnLoan(string To, DateOnly Since);

[DerivedTypeShape(typeof(Novel))]
[DerivedTypeShape(typeof(Atlas), Tag = 2)]
public abstract record Work(string Title);

public sealed record Novel(string Title, string Author) : Work(Title);

public sealed record Atlas(string Title, int Maps) : Work(Title);

[RpcService]
public interface IBell
{
    Task RingAsync(string title);
}

public sealed class Bell : IBell
{
    public TaskCompletionSource<string> Rang { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task RingAsync(string title)
    {
        Rang.TrySetResult(title);
        return Task.CompletedTask;
    }
}

public sealed class Library : ILibrary
{
    private readonly ConcurrentDictionary<string, Book> _books = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<IBell> _bells = [];
    private readonly ConcurrentDictionary<string, OnLoan> _loans = new(StringComparer.Ordinal);

    public ValueTask<Book?> FindAsync(string isbn, CancellationToken ct) => ValueTask.FromResult(_books.GetValueOrDefault(isbn));

    public async Task AddAsync(Book book)
    {
        if (book.Isbn.Length == 0)
        {
            throw new ArgumentException("a book needs an ISBN");
        }

        _books[book.Isbn] = book;
        foreach (IBell bell in _bells)
        {
            await bell.RingAsync(book.Title);
        }
    }

    public async IAsyncEnumerable<Book> SearchAsync(string text, [EnumeratorCancellation] CancellationToken ct)
    {
        foreach (Book book in _books.Values.Where(b => b.Title.Contains(text, StringComparison.Ordinal)))
        {
            await Task.Yield();
            yield return book;
        }
    }

    public async Task<int> ImportAsync(IAsyncEnumerable<Book> books, CancellationToken ct)
    {
        int count = 0;
        await foreach (Book book in books.WithCancellation(ct))
        {
            _books[book.Isbn] = book;
            count++;
        }

        return count;
    }

    public async Task<int> ReadAsync(string isbn, Func<int, Task> turned, Action<string>? told)
    {
        int pages = _books[isbn].Pages;
        for (int page = 1; page <= pages; page++)
        {
            await turned(page);
        }

        told?.Invoke("the end");
        return pages;
    }

    public Task LendAsync(string isbn, string to)
    {
        OnLoan loan = _loans.GetOrAdd(isbn, _ => new OnLoan(to, new DateOnly(2026, 1, 2)));
        if (loan.To != to)
        {
            throw new RpcFault<OnLoan>(loan, $"lent to {loan.To}");
        }

        return Task.CompletedTask;
    }

    public Task SubscribeAsync(IBell bell)
    {
        _bells.Add(bell);
        return Task.CompletedTask;
    }

    public Task NoteAsync(string text) => Task.CompletedTask;

    [Rpc]
    public string? Title(string isbn) => _books.GetValueOrDefault(isbn)?.Title;
}

[RpcService]
public interface IShop
{
    [Rpc(Idempotent = true)]
    ValueTask<bool> IsOpenAsync();
}

public sealed class Shop : IShop
{
    public ValueTask<bool> IsOpenAsync() => ValueTask.FromResult(true);
}

/// <summary>Sends a token with each call.</summary>
public sealed class Token(string token) : RpcInterceptor
{
    public override ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next)
    {
        call.Metadata["token"] = token;
        return next();
    }
}

/// <summary>Refuses calls without it, before their arguments are read.</summary>
public sealed class TokenCheck(string token) : RpcInterceptor
{
    public override void Admit(RpcCall call)
    {
        if (call.Metadata.GetValueOrDefault("token") != token)
        {
            throw new RpcException(RpcError.Unauthorized, $"{call.Method} needs a token");
        }
    }
}

/// <summary>Logs how long handlers take, streams included.</summary>
public sealed partial class Stopwatches(ILogger logger) : RpcInterceptor
{
    public override async ValueTask<T> ServeAsync<T>(RpcCall call, Func<ValueTask<T>> next)
    {
        long start = TimeProvider.System.GetTimestamp();
        try
        {
            return await next();
        }
        finally
        {
            LogDone(logger, call.Method, call.Caller, TimeProvider.System.GetElapsedTime(start));
        }
    }

    [LoggerMessage(1, LogLevel.Information, "{Method} for {Caller} took {Time}")]
    private static partial void LogDone(ILogger logger, string method, string caller, TimeSpan time);
}

internal static class NullLog
{
    public static ILogger Instance => Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;
}
