using System.Runtime.CompilerServices;
using GlooX.Client;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using GlooX.Server;
using GlooX.Streams;
using GlooX.Tls;

namespace GlooX.Rpc.Tests.Protocol.Fuzzing;

/// <summary>
/// A whole connection, server's or client's, without socket and TLS. Whatever the other side says, it ends with a typed reason; it holds no
/// more memory than the bytes that came justify; each call is answered or fails; what it says itself is well-formed.
/// </summary>
internal static class FuzzTarget
{
    private const int MaxFrame = 1 << 20;
    private const long AllowedBytes = 4 << 20;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private static readonly Peer s_peer = new("the peer", RpcRole.Client | RpcRole.Agent, [], null, []);
    private static readonly byte[] s_lastAnswer = new Piece(FrameType.Response, Corpus.LastCall.Id, [Nerdbank.MessagePack.MessagePackCode.Nil]).ToBytes();
    private static readonly RpcServerOptions s_serverOptions = new() { MaxFrameBytes = MaxFrame };
    private static readonly RpcClientOptions s_clientOptions = new() { MaxFrameBytes = MaxFrame };
    private static readonly RpcServer s_server = MakeServer();

    /// <summary>Plays a caller.</summary>
    /// <param name="script">The pieces in which its bytes come.</param>
    /// <param name="endsWithLastCall">The script ends with <see cref="Corpus.LastCall"/>, which is to be answered unless the server has refused to go on.</param>
    /// <returns>How many pieces were read.</returns>
    public static int ServerReads(IReadOnlyList<byte[]> script, bool endsWithLastCall)
    {
        var stream = new ScriptedStream(script, endsWithLastCall ? s_lastAnswer : []);
        var connection = new ServerConnection(s_server, new TlsConnection(stream, Stream.Null, "the caller", null, s_peer), s_serverOptions);
        Run(connection, script);
        Assert.True(SpinWait.SpinUntil(() => connection.IsResting, s_patience), "a call never ended");
        List<(FrameType Type, ReadOnlyMemory<byte> Body)> said = Parse(stream.Written);
        Assert.True(said.TrueForAll(f => f.Type is FrameType.HelloAck or FrameType.Response or FrameType.Error or FrameType.StreamItem or FrameType.Credit or FrameType.Pong or FrameType.GoAway), "a server does not say that");
        bool refused = said.Exists(f => f.Type == FrameType.GoAway);
        Assert.Equal(refused, Assert.IsType<RpcException>(connection.CloseReason).Code is RpcError.Protocol or RpcError.TooLarge);
        Assert.True(refused || stream.HasHeard, "the last call was not answered");
        return stream.Taken;
    }

    /// <summary>Plays a server for a client that has made the calls of <see cref="Corpus.Questions"/>.</summary>
    /// <param name="script">The pieces in which its bytes come.</param>
    /// <returns>How many pieces were read.</returns>
    public static int ClientReads(IReadOnlyList<byte[]> script)
    {
        var stream = new ScriptedStream(script, []);
        ClientConnection connection = MakeClient(new TlsConnection(stream, Stream.Null, "the server", null, s_peer), s_clientOptions, 0);
        Question[] questions = [.. Corpus.Questions.Select(make => make())];
        Array.ForEach(questions, q => q.Ask(connection));
        Run(connection, script);
        Assert.True(SpinWait.SpinUntil(() => Array.TrueForAll(questions, q => q.IsDone), s_patience), "a call never ended");
        Array.ForEach(questions, q => q.End());
        Assert.True(Parse(stream.Written).TrueForAll(f => f.Type is FrameType.Pong or FrameType.GoAway or FrameType.Error or FrameType.Credit or FrameType.Cancel), "a client does not say that");
        Assert.IsType<RpcException>(connection.CloseReason);
        return stream.Taken;
    }

    private static void Run(WireConnection connection, IReadOnlyList<byte[]> script)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Task reading = connection.ReadLoopAsync();
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(reading.Wait(s_patience), "the connection does not end");
        Assert.True(connection.IsClosed, "the connection is not closed");
        int length = script.Sum(s => s.Length);
        Assert.True(allocated < AllowedBytes + (64L * length), $"{length} bytes made it allocate {allocated}");
    }

    private static List<(FrameType Type, ReadOnlyMemory<byte> Body)> Parse(byte[] bytes)
    {
        List<(FrameType, ReadOnlyMemory<byte>)> frames = [];
        int at = 0;
        while (Frame.TryRead(bytes.AsSpan(at), int.MaxValue, out int offset, out int length, out FrameType type, out _, out _))
        {
            ReadOnlyMemory<byte> body = bytes.AsMemory(at + offset, length);
            if (type is FrameType.Error or FrameType.GoAway)
            {
                FrameBodies.ReadFailure(body);
            }

            frames.Add((type, body));
            at += offset + length;
        }

        Assert.Equal(bytes.Length, at);
        return frames;
    }

    private static RpcServer MakeServer()
    {
        var server = new RpcServer(s_serverOptions);
        server.Add(new Sink());
        return server;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    private static extern ClientConnection MakeClient(TlsConnection connection, RpcClientOptions options, int slotIndex);
}

/// <summary>A call that waits for its answer.</summary>
internal abstract class Question
{
    public abstract bool IsDone { get; }

    public abstract void Ask(ClientConnection connection);

    /// <summary>Takes the answer, or the typed failure.</summary>
    public abstract void End();
}

/// <param name="read">Reads the answer.</param>
/// <typeparam name="T">What the answer should be.</typeparam>
internal sealed class Question<T>(RpcResultReader<T> read) : Question
{
    private readonly RpcMethod<T> _method = new("Ask", read);
    private ValueTask<T> _answer;

    public override bool IsDone => _answer.IsCompleted;

    public override void Ask(ClientConnection connection)
    {
        PendingCall<T> call = PendingCall<T>.Rent(connection, _method, _method.Name, long.MaxValue);
        _answer = call.Task;
        Assert.True(connection.TryRegister(call));
    }

    public override void End()
    {
        if (_answer.IsFaulted && Random.Shared.Next(16) != 0)
        {
            return; // exceptions take their time
        }

        try
        {
            _ = _answer.GetAwaiter().GetResult();
        }
        catch (RpcException)
        {
            // typed: that is all that is asked
        }
    }
}

/// <summary>A call that waits for a stream.</summary>
internal sealed class StreamQuestion<T>(RpcResultReader<T> read) : Question
{
    private Task _reading = Task.CompletedTask;

    public override bool IsDone => _reading.IsCompleted;

    public override void Ask(ClientConnection connection)
    {
        var call = new PendingStream<T>(connection, "Ask", new RpcMethod<T>("Ask", read), long.MaxValue);
        Assert.True(connection.TryRegister(call));
        _reading = Task.Run(async () =>
        {
            await foreach (T _ in call.Items)
            {
            }
        });
    }

    public override void End() => Assert.True(_reading.Exception is null or { InnerException: RpcException }, $"{_reading.Exception}");
}
