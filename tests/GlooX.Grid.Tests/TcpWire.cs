using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace GlooX.Grid.Tests;

/// <summary>
/// The port of one agent, in plain TCP: the first byte of a connection says whether it is a probe or a grid stream.
/// It outlives the engine, can be closed at once as if the process were killed, and can fall silent.
/// </summary>
internal sealed class TcpWire : IGridTransport, IAsyncDisposable
{
    private const byte Probe = (byte)'P';
    private const byte Grid = (byte)'G';

    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Stream, byte> _streams = new();
    private readonly ConcurrentDictionary<Task, byte> _serving = new();
    private readonly bool _tellsReachedFrom;
    private Socket? _listener;
    private Task _accepting = Task.CompletedTask;

    public TcpWire(int port, bool tellsReachedFrom = false)
    {
        Port = port;
        _tellsReachedFrom = tellsReachedFrom;
    }

    public int Port { get; }

    /// <summary>What callers may be; null: anything.</summary>
    public Predicate<string>? MayBe { get; set; }

    public Gate Gate { get; } = new();

    /// <summary>A port below the range from which the system takes the ports of outgoing connections, so that nobody else gets it.</summary>
    public static int FreePort()
    {
        while (true)
        {
            int port = Random.Shared.Next(15000, 32000);
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
                return port;
            }
            catch (SocketException)
            {
                // Taken: another one.
            }
        }
    }

    public void Listen(GridMembership membership)
    {
        _listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, Port));
        _listener.Listen(64);
        _accepting = AcceptAsync(_listener, membership);
    }

    public async Task<Stream> DialAsync(string address, CancellationToken ct) =>
        await OpenAsync(address, Grid, ct);

    public async Task<ProbeReply> ProbeAsync(string address, ProbeRequest request, CancellationToken ct)
    {
        await using Stream stream = await OpenAsync(address, Probe, ct);
        await WriteAsync(stream, request, ct);
        ProbeReply reply = await ReadAsync<ProbeReply>(stream, ct);
        _streams.TryRemove(stream, out _);
        return _tellsReachedFrom ? reply with { ReachedFrom = "127.0.0.1" } : reply;
    }

    /// <summary>As the kernel does for a killed process: the port refuses, all streams break.</summary>
    public async Task KillAsync()
    {
        await _stop.CancelAsync();
        _listener?.Dispose();
        foreach (Stream stream in _streams.Keys)
        {
            await stream.DisposeAsync();
        }

        await _accepting;
        await Task.WhenAll(_serving.Keys);
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _stop.Dispose();
    }

    private async Task<Stream> OpenAsync(string address, byte kind, CancellationToken ct)
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(ct, _stop.Token);
        await Gate.PassAsync(both.Token);
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            // All hosts are this one: only the port counts, so that agents may advertise any name.
            int port = int.Parse(address.AsSpan(address.LastIndexOf(':') + 1));
            await socket.ConnectAsync(IPAddress.Loopback, port, both.Token);
            Stream stream = Track(socket);
            await stream.WriteAsync(new[] { kind }, both.Token);
            return stream;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private GatedStream Track(Socket socket)
    {
        var stream = new GatedStream(new NetworkStream(socket, ownsSocket: true), Gate);
        _streams.TryAdd(stream, 0);
        if (_stop.IsCancellationRequested)
        {
            stream.Dispose();
        }

        return stream;
    }

    private async Task AcceptAsync(Socket listener, GridMembership membership)
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                Socket socket = await listener.AcceptAsync(_stop.Token);
                Task serving = ServeAsync(socket, membership);
                _serving.TryAdd(serving, 0);
                _ = serving.ContinueWith(t => _serving.TryRemove(t, out byte _), TaskScheduler.Default);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task ServeAsync(Socket socket, GridMembership membership)
    {
        await Task.Yield();
        socket.NoDelay = true;
        await using Stream stream = Track(socket);
        try
        {
            byte[] kind = new byte[1];
            await stream.ReadExactlyAsync(kind, _stop.Token);
            if (kind[0] == Grid)
            {
                await membership.AcceptAsync(stream, new GridCaller(socket.RemoteEndPoint, MayBe), _stop.Token);
            }
            else
            {
                ProbeRequest request = await ReadAsync<ProbeRequest>(stream, _stop.Token);
                await WriteAsync(stream, membership.AnswerProbe(request, "127.0.0.1"), _stop.Token);
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The connection is over.
        }
        finally
        {
            _streams.TryRemove(stream, out _);
        }
    }

    private static async Task WriteAsync<T>(Stream stream, T value, CancellationToken ct)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(value);
        byte[] message = new byte[4 + json.Length];
        BinaryPrimitives.WriteInt32LittleEndian(message, json.Length);
        json.CopyTo(message, 4);
        await stream.WriteAsync(message, ct);
    }

    private static async Task<T> ReadAsync<T>(Stream stream, CancellationToken ct)
    {
        byte[] length = new byte[4];
        await stream.ReadExactlyAsync(length, ct);
        byte[] json = new byte[BinaryPrimitives.ReadInt32LittleEndian(length)];
        await stream.ReadExactlyAsync(json, ct);
        return JsonSerializer.Deserialize<T>(json)!;
    }
}
