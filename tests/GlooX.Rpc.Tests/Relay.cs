using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace GlooX.Rpc.Tests;

/// <summary>A network that can be made to fail: passes connections on to a server, counts them, cuts them, holds them up.</summary>
internal sealed class Relay : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Socket, bool> _sockets = new();
    private readonly ConcurrentBag<Task> _running = [];
    private readonly IPEndPoint _target;
    private volatile TaskCompletionSource _open = Gate(isOpen: true);
    private int _accepted;
    private int _passed;

    public Relay(string target)
    {
        _target = IPEndPoint.Parse(target);
        _listener.Start();
        _running.Add(AcceptAsync());
    }

    public string Url => _listener.LocalEndpoint.ToString()!;

    /// <summary>How many connections have come.</summary>
    public int Accepted => Volatile.Read(ref _accepted);

    /// <summary>How many pieces of data have passed.</summary>
    public int Passed => Volatile.Read(ref _passed);

    /// <summary>Ends new connections as soon as they come.</summary>
    public bool Refuses { get; set; }

    /// <summary>From now on nothing passes, and nobody is told.</summary>
    public void Freeze() => _open = Gate(isOpen: false);

    public void Thaw() => _open.TrySetResult();

    /// <summary>Breaks all connections.</summary>
    public void Cut()
    {
        foreach (Socket socket in _sockets.Keys)
            Break(socket);
    }

    public async Task UntilAcceptedAsync(int count) => await Wait.UntilAsync(() => Accepted >= count, $"{count} connections");

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        Thaw();
        Cut();
        await Task.WhenAll(_running);
        _stop.Dispose();
    }

    private static TaskCompletionSource Gate(bool isOpen)
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        if (isOpen)
            gate.SetResult();
        return gate;
    }

    private static void Break(Socket socket)
    {
        try
        {
            socket.LingerState = new LingerOption(true, 0);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // it is broken already
        }

        socket.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptSocketAsync(_stop.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
            catch (InvalidOperationException) when (_stop.IsCancellationRequested)
            {
                return; // stopped between two calls
            }

            Interlocked.Increment(ref _accepted);
            _running.Add(ServeAsync(socket));
        }
    }

    private async Task ServeAsync(Socket near)
    {
        _sockets[near] = true;
        var far = new Socket(SocketType.Stream, ProtocolType.Tcp);
        _sockets[far] = true;
        try
        {
            await _open.Task;
            if (!Refuses)
            {
                await far.ConnectAsync(_target, _stop.Token);
                await Task.WhenAny(PumpAsync(near, far), PumpAsync(far, near));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // cut
        }
        finally
        {
            foreach (Socket socket in new[] { near, far })
            {
                Break(socket);
                _sockets.TryRemove(socket, out _);
            }
        }
    }

    private async Task PumpAsync(Socket from, Socket to)
    {
        byte[] buffer = new byte[16 * 1024];
        try
        {
            int read;
            while ((read = await from.ReceiveAsync(buffer, _stop.Token)) > 0)
            {
                await _open.Task;
                await to.SendAsync(buffer.AsMemory(0, read), _stop.Token);
                Interlocked.Increment(ref _passed);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // cut
        }
    }
}

internal static class Wait
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(Deadline);
        while (!condition())
        {
            Assert.False(limit.IsCancellationRequested, $"waited too long for {what}");
            await Task.Delay(5, CancellationToken.None);
        }
    }
}
