using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid.Tests;

/// <summary>Some agents in this process, each with a port of its own on the loopback.</summary>
internal sealed class TestGrid : IAsyncDisposable
{
    private readonly List<TestNode> _nodes = [];
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly List<string> _log = [];

    /// <summary>An agent that has not begun yet; nobody listens on its port.</summary>
    public TestNode Node(Func<GridOptions, GridOptions>? with = null, int? port = null, bool knowsItsAddress = true)
    {
        var node = new TestNode(this, port ?? TcpWire.FreePort(), with ?? (o => o), knowsItsAddress);
        _nodes.Add(node);
        return node;
    }

    /// <summary>Agents that form one grid by way of the first one.</summary>
    public async Task<TestNode[]> StartAsync(int nodes, Func<GridOptions, GridOptions>? with = null)
    {
        TestNode[] all = [.. Enumerable.Range(0, nodes).Select(_ => Node(with))];
        await all[0].StartAsync();
        foreach (TestNode node in all[1..])
        {
            await node.StartAsync(all[0]);
        }

        await SeeEachOther(all);
        return all;
    }

    public Task SeeEachOther(params TestNode[] nodes) => Eventually(
        () => nodes.All(n => n.State == GridState.Up && n.Sees(nodes)),
        $"one grid of {string.Join(", ", nodes.Select(n => n.Address))}");

    public async Task Eventually(Func<bool> condition, string what)
    {
        CancellationToken ct = TestContext.Current.CancellationToken;
        TimeSpan deadline = _clock.Elapsed + TimeSpan.FromSeconds(60);
        while (!condition())
        {
            if (_clock.Elapsed > deadline)
            {
                Assert.Fail($"never: {what}\n{string.Join("\n", _nodes)}\n{Log}");
            }

            await Task.Delay(20, ct);
        }

        Write("test", what);
    }

    public void Write(string who, string what)
    {
        lock (_log)
        {
            _log.Add($"{_clock.Elapsed.TotalSeconds,7:F2} {who} {what}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_nodes.Select(n => n.DisposeAsync().AsTask()));
        TestContext.Current.TestOutputHelper?.WriteLine(Log);
    }

    private string Log
    {
        get
        {
            lock (_log)
            {
                return string.Join("\n", _log);
            }
        }
    }
}

/// <summary>One agent of a <see cref="TestGrid"/>.</summary>
internal sealed class TestNode : ILogger, IAsyncDisposable
{
    private readonly TestGrid _grid;
    private readonly TcpWire _wire;
    private readonly List<GridChange> _changes = [];
    private int _failingEvent;

    public TestNode(TestGrid grid, int port, Func<GridOptions, GridOptions> with, bool knowsItsAddress)
    {
        _grid = grid;
        _wire = new TcpWire(port, tellsReachedFrom: !knowsItsAddress);
        Address = $"127.0.0.1:{port}";
        Membership = new GridMembership(
            with(new GridOptions { Port = port, AdvertisedAddress = knowsItsAddress ? Address : null }), _wire, this);
        Membership.Changed += (_, change) =>
        {
            lock (_changes)
            {
                _changes.Add(change);
            }
        };
    }

    public GridMembership Membership { get; }

    public bool HasFailed => Volatile.Read(ref _failingEvent) == 0;

    public string Address { get; }

    public TcpWire Wire => _wire;

    public int Port => _wire.Port;

    public GridState State => Membership.State;

    /// <summary>Makes the node's logger throw once, at this event.</summary>
    public void FailOnce(int eventId) => _failingEvent = eventId;

    /// <summary>What happened to others so far: "Joined 127.0.0.1:1".</summary>
    public IReadOnlyList<string> Changes
    {
        get
        {
            lock (_changes)
            {
                return [.. _changes.Select(c => $"{c.Kind} {c.Member.Address}")];
            }
        }
    }

    public Task StartAsync(params TestNode[] peers) => StartWithAsync([.. peers.Select(p => p.Address)]);

    public async Task StartWithAsync(params string[] peers)
    {
        _wire.Listen(Membership);
        Membership.Start(peers);
    }

    /// <summary>Exactly these members, all reachable.</summary>
    public bool Sees(params TestNode[] nodes) =>
        Membership.Members is var members
        && members.All(m => m.Reachable)
        && members.Select(m => m.Address).Order(StringComparer.Ordinal).SequenceEqual(nodes.Select(n => n.Address).Order(StringComparer.Ordinal));

    public bool FindsUnreachable(TestNode other) => Membership.Members.Any(m => m.Address == other.Address && !m.Reachable);

    public string Incarnation(TestNode seenBy) => seenBy.Membership.Members.Single(m => m.Address == Address).Incarnation;

    /// <summary>Cuts it off: its port accepts and nothing answers.</summary>
    public void Silence() => _wire.Gate.Close();

    public void Speak() => _wire.Gate.Open();

    public async Task KillAsync()
    {
        _grid.Write(Address, "killed");
        await _wire.KillAsync();
        await Membership.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _wire.Gate.Open();
        await Membership.DisposeAsync();
        await _wire.DisposeAsync();
    }

    public override string ToString() =>
        $"{Address} {State}: {string.Join(" ", Membership.Members.Select(m => m.Address + (m.Reachable ? "" : "!")))}";

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    bool ILogger.IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Debug;

    void ILogger.Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        _grid.Write(Address, $"{logLevel} {formatter(state, exception)} {exception}");
        if (Interlocked.CompareExchange(ref _failingEvent, 0, eventId.Id) == eventId.Id && eventId.Id != 0)
        {
            throw new IOException("the log is full");
        }
    }
}
