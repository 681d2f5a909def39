using System.Net;
using System.Net.Sockets;

namespace Faraway;

/// <summary>Very many connections that never finish TLS, and are opened again as they are ended.</summary>
internal static class Squat
{
    // A TLS record that promises 512 bytes of ClientHello.
    private static readonly byte[] s_beginning = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03, .. new byte[20]];

    /// <summary>Says "squatting" when so many were opened; half of them say nothing, half begin. Goes on until it is killed.</summary>
    public static async Task RunAsync(string url, int count)
    {
        IPEndPoint where = IPEndPoint.Parse(url);
        int opened = 0;
        await Task.WhenAll(Enumerable.Range(0, count).Select(async i =>
        {
            while (true)
            {
                using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                try
                {
                    await socket.ConnectAsync(where);
                    await socket.SendAsync(i % 2 == 0 ? s_beginning : []);
                    if (Interlocked.Increment(ref opened) == count)
                    {
                        Console.WriteLine("squatting");
                    }

                    await socket.ReceiveAsync(new byte[1]);
                    await Task.Delay(100); // all of it runs on this machine's processors
                }
                catch (SocketException)
                {
                    // hung up on
                }
            }
        }));
    }
}
