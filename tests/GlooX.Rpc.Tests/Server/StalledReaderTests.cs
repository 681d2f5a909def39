using GlooX.Protocol;
using GlooX.Rpc.Tests.Protocol.Fuzzing;
using GlooX.Server;
using GlooX.Tls;

namespace GlooX.Rpc.Tests.Server;

public sealed class StalledReaderTests
{
    private const int Limit = 64 * 1024;
    private const int LargestAnswer = 16 * 1024;

    [Fact]
    public async Task Small_calls_with_large_answers_fill_no_memory_while_the_caller_does_not_read()
    {
        var options = new RpcServerOptions { MaxBufferedBytes = Limit };
        var server = new RpcServer(options);
        for (int i = 0; i < 300; i++)
        {
            server.Add(new Sink(), $"a service with a rather long name, number {i}"); // which the error for an unknown one lists
        }

        const int calls = 3000;
        byte[] script = [.. new[] { Corpus.Greeting[0], RawPeer.Define(0, "none") }.Concat(Enumerable.Range(0, calls).Select(i => RawPeer.Call((uint)i, 0, 0x90))).SelectMany(p => p.ToBytes())];
        var stream = new ScriptedStream([script], new Piece(FrameType.Error, calls - 1, []).ToBytes()[1..]) { IsStalled = true };
        var connection = new ServerConnection(server, new TlsConnection(stream, Stream.Null, "the caller", null, Peer.Anonymous with { Roles = RpcRole.Client }), options);

        // It comes back here when it waits: for the caller, or, having read all, for the end.
        Task reading = connection.ReadLoopAsync();
        stream.Resume();
        await reading.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        Assert.InRange(stream.LargestWrite, LargestAnswer / 4, Limit + LargestAnswer);
        Assert.True(stream.Written.Length > calls * 1000, "they were not answered");
    }
}
