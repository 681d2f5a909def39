using System.Net;
using System.Net.Sockets;

namespace GlooX.Tests;

/// <summary>Another address of a server, where each piece that it says arrives late, as from a machine that is far too busy.</summary>
internal sealed class SlowWay : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly IPEndPoint _target;
    private readonly TimeSpan _late;
    private readonly Task _running;

    public SlowWay(string target, TimeSpan late)
    {
        _target = IPEndPoint.Parse(target);
        _late = late;
        _listener.Start();
        _running = AcceptAsync();
    }

    public string Url => _listener.LocalEndpoint.ToString()!;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _running;
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        List<Task> serving = [];
        try
        {
            while (true)
                serving.Add(ServeAsync(await _listener.AcceptSocketAsync(_stop.Token)));
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(serving);
        }
    }

    private async Task ServeAsync(Socket near)
    {
        using Socket far = new(SocketType.Stream, ProtocolType.Tcp);
        using (near)
        {
            try
            {
                await far.ConnectAsync(_target, _stop.Token);
                await Task.WhenAny(PumpAsync(near, far, TimeSpan.Zero), PumpAsync(far, near, _late));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException)
            {
                // it is over
            }
        }
    }

    private async Task PumpAsync(Socket from, Socket to, TimeSpan late)
    {
        byte[] buffer = new byte[64 * 1024];
        try
        {
            int read;
            while ((read = await from.ReceiveAsync(buffer, _stop.Token)) > 0)
            {
                await Task.Delay(late, _stop.Token); // what makes it slow
                await to.SendAsync(buffer.AsMemory(0, read), _stop.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // it is over
        }
    }
}
