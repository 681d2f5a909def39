using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using GlooX.Rpc.Tests.Streams;

namespace GlooX.Rpc.Tests.Interceptors;

/// <summary>Listeners are the process's: no other test may call meanwhile.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

[Collection(nameof(Alone))]
public sealed class TelemetryTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_servers_activity_is_a_child_of_the_clients()
    {
        using var traces = new Traces();
        await using Harness it = await StartAsync();
        using var root = new Activity("root").Start();
        root.TraceStateString = "vendor=1";
        Assert.Equal(3, await it.Client.As<ICalculator>("math").AddAsync(1, 2));
        root.Stop();

        Activity client = traces.Only(ActivityKind.Client);
        Activity server = traces.Only(ActivityKind.Server);
        Assert.Equal(("math/Add", "math/Add"), (client.OperationName, server.OperationName));
        Assert.Equal(root.SpanId, client.ParentSpanId);
        Assert.Equal((client.SpanId, client.TraceId), (server.ParentSpanId, server.TraceId));
        Assert.Equal("vendor=1", server.TraceStateString);
        Assert.True(server.HasRemoteParent);
        Assert.Equal((ActivityStatusCode.Unset, ActivityStatusCode.Unset), (client.Status, server.Status));
        int port = int.Parse(it.Server.Url.Split(':')[1]);
        foreach (Activity one in (Activity[])[client, server])
        {
            Assert.Equal("gloox", one.GetTagItem("rpc.system.name"));
            Assert.Equal("math/Add", one.GetTagItem("rpc.method"));
            Assert.Equal("127.0.0.1", one.GetTagItem("server.address"));
            Assert.Equal(port, one.GetTagItem("server.port"));
            Assert.Null(one.GetTagItem("error.type"));
        }

        Assert.Equal("127.0.0.1", server.GetTagItem("client.address"));
    }

    [Fact]
    public async Task What_a_handler_does_belongs_to_its_call()
    {
        using var traces = new Traces();
        await using Harness it = await StartAsync();
        it.Server.Add(new Relay(it.Client.As<ICalculator>()), "relay");
        Assert.Equal(3, await it.Client.CallAsync<int>("relay/Add", 1, 2));
        await it.Server.DisposeAsync();

        Activity relayed = traces.Of(ActivityKind.Server).Single(static a => a.OperationName == "relay/Add");
        Activity onward = traces.Of(ActivityKind.Client).Single(static a => a.OperationName == "Add");
        Assert.Equal(relayed.SpanId, onward.ParentSpanId);
        Assert.Single(traces.All.Select(static a => a.TraceId).Distinct());
    }

    [Fact]
    public async Task Errors_carry_their_type_on_both_sides()
    {
        using var traces = new Traces();
        using var measures = new Measures();
        await using Harness it = await StartAsync();
        await Assert.ThrowsAsync<RpcException>(() => it.Remote.FailAsync("no luck"));
        await it.Server.DisposeAsync();

        Assert.All(traces.All, static a =>
        {
            Assert.Equal(ActivityStatusCode.Error, a.Status);
            Assert.Equal(typeof(OddException).FullName, a.GetTagItem("error.type"));
        });
        Assert.Equal(2, traces.All.Count);
        Assert.Equal([typeof(OddException).FullName, typeof(OddException).FullName], measures.All.Select(static m => m.Tags["error.type"]));
    }

    [Fact]
    public async Task What_never_reaches_a_handler_is_counted_without_names_that_callers_invent()
    {
        using var measures = new Measures();
        await using Harness it = await StartAsync();
        await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<int>("Nonsense"));
        await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<int>("Add", 1));

        Assert.Equal(
            [("_OTHER", "MethodNotFound"), ("Add", "BadArguments")],
            measures.Of("rpc.server.call.duration").Select(static m => ((string)m.Tags["rpc.method"]!, (string)m.Tags["error.type"]!)));
    }

    [Fact]
    public async Task Durations_are_measured_on_both_sides()
    {
        using var measures = new Measures();
        await using Harness it = await StartAsync();
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
        await it.Server.DisposeAsync();

        foreach (string name in (string[])["rpc.client.call.duration", "rpc.server.call.duration"])
        {
            (Instrument instrument, double value, Dictionary<string, object?> tags) = Assert.Single(measures.Of(name));
            Assert.Equal("s", instrument.Unit);
            Assert.True(value > 0);
            Assert.Equal(("gloox", "Add"), (tags["rpc.system.name"], tags["rpc.method"]));
            Assert.DoesNotContain("error.type", tags.Keys);
        }
    }

    [Fact]
    public async Task A_streams_activity_lasts_until_it_ends_and_is_not_the_consumers()
    {
        using var traces = new Traces();
        await using Harness it = await StartAsync();
        IAsyncEnumerator<int> numbers = it.Client.As<IFeed>("feed").CountAsync(2, Ct).GetAsyncEnumerator(Ct);
        Assert.True(await numbers.MoveNextAsync());
        Assert.Null(Activity.Current);
        Assert.Empty(traces.Of(ActivityKind.Client));
        await numbers.DisposeAsync();
        Assert.Equal("feed/Count", traces.Only(ActivityKind.Client).OperationName);
    }

    [Fact]
    public async Task Nothing_is_sent_when_nobody_listens()
    {
        using var root = new Activity("root").Start();
        await using Harness it = await StartAsync();
        Assert.Equal("", await it.Client.As<IWho>("who").AmAsync());
        using (new Measures())
        {
            Assert.Equal("", await it.Client.As<IWho>("who").AmAsync());
        }

        using (new Traces())
        {
            Assert.StartsWith("traceparent=00-" + root.TraceId, await it.Client.As<IWho>("who").AmAsync(), StringComparison.Ordinal);
        }

        Assert.Equal("", await it.Client.As<IWho>("who").AmAsync());
    }

    private static async Task<Harness> StartAsync()
    {
        Harness it = await Harness.StartAsync(new RpcServerOptions { DrainTimeout = TimeSpan.FromSeconds(30) });
        it.Server.Add(new Calculator(), "math");
        it.Server.Add(new Feed(), "feed");
        it.Server.Add(new Who(), "who");
        return it;
    }

    private sealed class Traces : IDisposable
    {
        private readonly ActivityListener _listener;

        public Traces()
        {
            _listener = new ActivityListener
            {
                ShouldListenTo = static s => s.Name == "GlooX.Rpc",
                Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
                ActivityStopped = All.Enqueue,
            };
            ActivitySource.AddActivityListener(_listener);
        }

        public ConcurrentQueue<Activity> All { get; } = new();

        public IEnumerable<Activity> Of(ActivityKind kind) => All.Where(a => a.Kind == kind);

        public Activity Only(ActivityKind kind) => Assert.Single(Of(kind));

        public void Dispose() => _listener.Dispose();
    }

    private sealed class Measures : IDisposable
    {
        private readonly MeterListener _listener = new();

        public Measures()
        {
            _listener.InstrumentPublished = static (instrument, listener) =>
            {
                if (instrument.Meter.Name == "GlooX.Rpc")
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            };
            _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) =>
                All.Enqueue((instrument, value, tags.ToArray().ToDictionary(static t => t.Key, static t => t.Value, StringComparer.Ordinal))));
            _listener.Start();
        }

        public ConcurrentQueue<(Instrument Instrument, double Value, Dictionary<string, object?> Tags)> All { get; } = new();

        public IEnumerable<(Instrument Instrument, double Value, Dictionary<string, object?> Tags)> Of(string name) => All.Where(m => m.Instrument.Name == name);

        public void Dispose() => _listener.Dispose();
    }

    /// <summary>Calls on in a handler.</summary>
    internal sealed class Relay(ICalculator next)
    {
        [Rpc]
        public ValueTask<int> AddAsync(int a, int b) => next.AddAsync(a, b);
    }
}
