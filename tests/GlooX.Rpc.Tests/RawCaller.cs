using System.Text;
using GlooX.Tls;
using GlooX.Wire;
using Nerdbank.MessagePack;

namespace GlooX.Rpc.Tests;

/// <summary>A caller that does only what it is told to: it answers no ping and reads nothing by itself.</summary>
internal sealed class RawCaller : IAsyncDisposable
{
    private readonly TlsConnection _connection;
    private byte[] _buffer = new byte[64 * 1024];
    private int _start;
    private int _end;

    private RawCaller(TlsConnection connection) => _connection = connection;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public static async Task<RawCaller> DialAsync(string url) =>
        new(await TlsConnection.DialAsync(RpcEndpoint.Parse(url), TlsConnection.Rpc, Harness.Shared, Ct).WaitAsync(Wait.Deadline, Ct));

    /// <summary>Greets and gives a method the number 0.</summary>
    public async Task BeginAsync(string method)
    {
        FrameBuffer hello = FrameBuffer.Begin(FrameType.Hello, 0);
        Bodies.WriteHello(hello, new Hello(Hello.Version, Hello.Version, int.MaxValue, int.MaxValue, "raw"));
        await SendAsync(hello);
        FrameBuffer define = FrameBuffer.Begin(FrameType.Define, 0);
        define.Append(Encoding.UTF8.GetBytes(method));
        await SendAsync(define);
        Assert.Equal(FrameType.HelloAck, (await ReadAsync()).Type);
    }

    /// <summary>Calls method 0 so many times with one number, in one piece.</summary>
    public async Task CallAsync(int times, int argument)
    {
        using var all = new MemoryStream();
        for (uint id = 0; id < times; id++)
        {
            FrameBuffer request = FrameBuffer.Begin(FrameType.Request, id);
            request.WriteVarint(0);
            request.WriteVarint(0);
            var writer = new MessagePackWriter(request);
            writer.WriteArrayHeader(1);
            writer.Write(argument);
            writer.Flush();
            all.Write(request.End());
        }

        await _connection.Stream.WriteAsync(all.ToArray(), Ct).AsTask().WaitAsync(Wait.Deadline, Ct);
    }

    /// <summary>The next frame.</summary>
    public async Task<(FrameType Type, byte[] Body)> ReadAsync()
    {
        while (true)
        {
            if (Frame.TryRead(_buffer.AsSpan(_start, _end - _start), int.MaxValue, out int offset, out int length, out FrameType type, out _, out int needed))
            {
                byte[] body = _buffer.AsSpan(_start + offset, length).ToArray();
                _start += offset + length;
                return (type, body);
            }

            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
            if (needed > _buffer.Length || _end == _buffer.Length)
                Array.Resize(ref _buffer, Math.Max(needed, _buffer.Length * 2));
            int read = await _connection.Stream.ReadAsync(_buffer.AsMemory(_end), Ct).AsTask().WaitAsync(Wait.Deadline, Ct);
            if (read == 0)
                throw new EndOfStreamException();
            _end += read;
        }
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    private async Task SendAsync(FrameBuffer frame)
    {
        byte[] bytes = frame.End().ToArray();
        await _connection.Stream.WriteAsync(bytes, Ct);
    }
}
