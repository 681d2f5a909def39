using System.Net.Security;
using GlooX.Protocol;
using GlooX.Rpc.Tests.Protocol.Fuzzing;
using GlooX.Tls;

namespace GlooX.Rpc.Tests;

/// <summary>One end of a connection that says whatever the test wants. Its certificate is good, its manners are not.</summary>
internal sealed class RawPeer(TlsConnection connection) : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private byte[] _buffer = new byte[4096];
    private int _start;
    private int _end;

    public SslStream Stream => connection.Stream;

    /// <summary>Dials; nothing is said yet.</summary>
    public static async Task<RawPeer> DialAsync(string url) =>
        new(await TlsConnection.DialAsync(RpcEndpoint.Parse(url), TlsConnection.Rpc, Harness.Shared, null, RpcRole.None, TestContext.Current.CancellationToken));

    /// <summary>Dials and greets; <paramref name="methods"/> are 0, 1, 2, …</summary>
    public static async Task<RawPeer> GreetAsync(string url, params string[] methods)
    {
        RawPeer peer = await DialAsync(url);
        await peer.SayAsync([Corpus.Greeting[0], .. methods.Select((m, i) => Define((uint)i, m))]);
        Assert.Equal(FrameType.HelloAck, (await peer.HearAsync())?.Type);
        return peer;
    }

    public static Piece Define(uint id, string name) => new(FrameType.Define, id, System.Text.Encoding.UTF8.GetBytes(name));

    /// <summary>A call of the method with that id.</summary>
    /// <param name="id">Of the call.</param>
    /// <param name="method">Of the method.</param>
    /// <param name="arguments">In MessagePack, an array.</param>
    public static Piece Call(uint id, byte method, params byte[] arguments) => new(FrameType.Request, id, [method, 0, .. arguments]);

    public Task SayAsync(params Piece[] frames) => SayAsync([.. frames.SelectMany(f => f.ToBytes())]);

    public async Task SayAsync(byte[] bytes) => await Stream.WriteAsync(bytes).AsTask().WaitAsync(s_patience);

    /// <summary>The next frame; null: the other side has hung up.</summary>
    public async Task<Piece?> HearAsync()
    {
        while (true)
        {
            if (Frame.TryRead(_buffer.AsSpan(_start, _end - _start), int.MaxValue, out int offset, out int length, out FrameType type, out uint id, out _))
            {
                var piece = new Piece(type, id, _buffer[(_start + offset)..(_start + offset + length)]);
                _start += offset + length;
                return piece;
            }

            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
            if (_end == _buffer.Length)
            {
                Array.Resize(ref _buffer, _buffer.Length * 2);
            }

            int read;
            try
            {
                read = await Stream.ReadAsync(_buffer.AsMemory(_end)).AsTask().WaitAsync(s_patience);
            }
            catch (IOException)
            {
                read = 0;
            }

            if (read == 0)
            {
                return null;
            }

            _end += read;
        }
    }

    /// <summary>Hears to the end; returns why the other side hangs up, if it says so.</summary>
    public async Task<RpcError?> HearEndAsync()
    {
        RpcError? why = null;
        while (await HearAsync() is { } frame)
        {
            if (frame.Type == FrameType.GoAway)
            {
                why = FrameBodies.ReadError(frame.Body).Code;
            }
        }

        return why;
    }

    public ValueTask DisposeAsync() => connection.DisposeAsync();
}
