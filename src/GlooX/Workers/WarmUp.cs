using System.Runtime.CompilerServices;
using GlooX.Payloads;

namespace GlooX.Workers;

/// <summary>
/// What a host does before it waits: everything that its one assignment will need, once, against itself, with certificates of its own,
/// so that the code is compiled when the assignment comes. Leaves no port open.
/// </summary>
internal static class WarmUp
{
    private const int Rounds = 6;
    private const int Calls = 8;

    public static async Task RunAsync(Func<string, string, Worker> load)
    {
        for (int i = 0; i < Rounds; i++)
        {
            await RoundAsync(load).ConfigureAwait(false);
        }
    }

    private static async Task RoundAsync(Func<string, string, Worker> load)
    {
        var options = new ProcessOptions { Url = "127.0.0.1:0", Values = new(StringComparer.Ordinal) { ["key"] = "value" } };
        Identity own = Identity.Ephemeral("warm");
        Assignment assignment = Again(new Assignment(typeof(HostProcess).Assembly.Location, "", typeof(WarmWorker).FullName!, own.TryCreateChild(RpcRole.Child, "warm")!.Export(), options));
        using FileStream? held = FileLock.TryShare(assignment.Assembly);
        Identity identity = Identity.Import(assignment.Identity);
        Worker worker = load(assignment.Assembly, assignment.Class);
        await using ConfiguredAsyncDisposable workerEnd = worker.ConfigureAwait(false);
        await worker.StartAsync(identity, assignment.Options, assignment.AdvertisedHost).ConfigureAwait(false);
        GlooXClient client = new GlooXClient(worker.Url, new RpcClientOptions { Identity = own });
        await using ConfiguredAsyncDisposable clientEnd = client.ConfigureAwait(false);
        for (int i = 0; i < Calls; i++)
        {
            await client.AliveAsync().ConfigureAwait(false);
            await client.CallAsync<string>("echo", "warm").ConfigureAwait(false);
        }
    }

    private static Assignment Again(Assignment assignment)
    {
        byte[] bytes = ControlFormat.Write(w => w.Write(assignment));
        using var reader = new BinaryReader(new MemoryStream(bytes, sizeof(int), bytes.Length - sizeof(int)));
        return ControlFormat.ReadAssignment(reader);
    }
}

/// <summary>Stands in for a payload while a host warms up.</summary>
internal sealed class WarmWorker : Worker
{
    [Rpc("echo")]
    public ValueTask<string> EchoAsync(string text) => new(text);
}
