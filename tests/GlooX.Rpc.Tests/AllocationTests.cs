using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace GlooX.Rpc.Tests;

/// <summary>What calls cost in memory, counted while nothing else runs.</summary>
[Collection(nameof(AllocationTests))]
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
public sealed class AllocationTests
{
    private const int Calls = 2000;

    // A served call is one object that holds its arguments: for two numbers 104 bytes. What carries anything else shows.
    private const int OneServedCall = 120;

    [Fact]
    public async Task A_call_that_nobody_watches_costs_its_caller_no_memory_and_its_server_one_object()
    {
        await using Harness it = await Harness.StartAsync();
        ICalculator remote = it.Remote;
        await WarmUpAsync(remote);
        var begun = new List<long>(Calls);
        for (int i = 0; i < Calls; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            ValueTask<int> call = remote.AddAsync(i, 1);
            begun.Add(GC.GetAllocatedBytesForCurrentThread() - before);
            await call;
        }

        Assert.Equal(0, begun.Order().ElementAt(Calls / 2)); // now and then a write has to wait for the network
        Assert.InRange(await PerCallAsync(remote), 1, OneServedCall);
    }

    [Fact]
    public async Task Telemetry_costs_memory_while_somebody_listens_and_none_before_and_after()
    {
        await using Harness it = await Harness.StartAsync();
        ICalculator remote = it.Remote;
        await WarmUpAsync(remote);
        double before = await PerCallAsync(remote);
        double watched;
        using (var traces = new ActivityListener { ShouldListenTo = IsOurs, Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData })
        {
            ActivitySource.AddActivityListener(traces);
            watched = await PerCallAsync(remote);
        }

        double measured;
        using (var meters = new MeterListener { InstrumentPublished = static (i, l) => Listen(i, l) })
        {
            meters.SetMeasurementEventCallback<double>(static (_, _, _, _) => { });
            meters.Start();
            measured = await PerCallAsync(remote);
        }

        double after = await PerCallAsync(remote);
        Assert.InRange(before, 1, OneServedCall);
        Assert.True(watched > 2 * OneServedCall && measured > 2 * OneServedCall, $"{watched} and {measured} bytes a call: it was not watched at all");
        Assert.Equal(before, after, tolerance: 1);
    }

    [Fact]
    public async Task Interceptors_of_other_clients_and_servers_cost_a_call_nothing()
    {
        await using Harness watched = await Harness.StartAsync(
            new RpcServerOptions { Interceptors = [new Idler()], DrainTimeout = TimeSpan.Zero }, new RpcClientOptions { Interceptors = [new Idler()] });
        await WarmUpAsync(watched.Remote);
        Assert.True(await PerCallAsync(watched.Remote) > 2 * OneServedCall, "its interceptors cost nothing: they are not there");
        await using Harness it = await Harness.StartAsync();
        await WarmUpAsync(it.Remote);
        Assert.InRange(await PerCallAsync(it.Remote), 1, OneServedCall);
    }

    private static bool IsOurs(ActivitySource source) => source.Name == "GlooX.Rpc";

    private static void Listen(Instrument instrument, MeterListener listener)
    {
        if (instrument.Meter.Name == "GlooX.Rpc")
        {
            listener.EnableMeasurementEvents(instrument);
        }
    }

    private static async Task WarmUpAsync(ICalculator remote)
    {
        for (int i = 0; i < 5 * Calls; i++)
        {
            await remote.AddAsync(i, 1);
        }
    }

    /// <summary>Bytes that the whole process takes up for a call, both sides: the least of some rounds, for timers of others run too.</summary>
    private static async Task<double> PerCallAsync(ICalculator remote)
    {
        double least = double.MaxValue;
        for (int round = 0; round < 5; round++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            for (int i = 0; i < Calls; i++)
            {
                await remote.AddAsync(i, 1);
            }

            least = Math.Min(least, (GC.GetTotalAllocatedBytes(precise: true) - before) / (double)Calls);
        }

        return least;
    }

    private sealed class Idler : RpcInterceptor;
}
