using System.Net.Sockets;
using System.Text;

namespace GlooX.Workers;

/// <summary>What a host is given to do; the file is to be locked, shared, as long as it does it.</summary>
internal sealed record Assignment(string Assembly, string LockFile, string Class, byte[][] Identity, ProcessOptions Options)
{
    /// <summary>What its heap may take; 0: no limit.</summary>
    public long HeapLimitBytes { get; init; }

    /// <summary>Where it writes down how it ends; empty: nowhere.</summary>
    public string ExitFile { get; init; } = "";

    /// <summary>What is revoked: lines of <see cref="Revocation.ToString"/>.</summary>
    public string[] Revoked { get; init; } = [];

    /// <summary>The host by which others reach a process that listens on all addresses; empty: not known.</summary>
    public string AdvertisedHost { get; init; } = "";

    /// <summary>Variables that it is to have.</summary>
    public Dictionary<string, string> Environment { get; init; } = [];

    /// <summary>Whether the assembly is only to be loaded: another assignment follows.</summary>
    public bool IsPreparation => Class.Length == 0;

    /// <summary>Has a host load an assembly ahead of its assignment.</summary>
    public static Assignment ToPrepare(string assembly, string lockFile) => new(assembly, lockFile, "", [], new ProcessOptions());
}

/// <summary>What a host reports: that it answers (and where), or why it cannot.</summary>
internal sealed record HostReport(bool Ready, string Url, string Reason)
{
    /// <summary>Whether another node may be able to start what could not be started here.</summary>
    public bool TryElsewhere { get; init; }

    /// <summary>Whether the heap is limited as the assignment asked.</summary>
    public bool HeapLimited { get; init; }
}

/// <summary>
/// The private line between an agent and a host: one end of a socket pair each. Nothing of it shows in a process list, and its end tells
/// either side that the other is gone.
/// </summary>
internal sealed class Control(Socket socket) : IDisposable
{
    /// <summary>The descriptor that a host finds its end at.</summary>
    public const int Descriptor = 3;
    private const int MaxMessage = 4 * 1024 * 1024;

    public Task SendAsync(Assignment assignment, CancellationToken ct) => SendAsync(ControlFormat.Write(w => w.Write(assignment)), ct);

    public Task SendAsync(HostReport report, CancellationToken ct) => SendAsync(ControlFormat.Write(w => w.Write(report)), ct);

    /// <summary>Tells a host that has its assignment what is revoked.</summary>
    public Task SendAsync(string[] revoked, CancellationToken ct) => SendAsync(ControlFormat.Write(w => w.Write(revoked)), ct);

    /// <summary>Sends a few bytes to a program that is not a host.</summary>
    public void Send(string text) => socket.Send(Encoding.ASCII.GetBytes(text));

    /// <summary>The next message; null: the other side is gone.</summary>
    public async Task<T?> ReceiveAsync<T>(Func<BinaryReader, T> read, CancellationToken ct)
        where T : class
    {
        byte[]? head = await ReadAsync(sizeof(int), ct).ConfigureAwait(false);
        int length = head is null ? -1 : BitConverter.ToInt32(head);
        if (length is < 0 or > MaxMessage || await ReadAsync(length, ct).ConfigureAwait(false) is not { } body)
        {
            return null;
        }

        using var reader = new BinaryReader(new MemoryStream(body));
        return read(reader);
    }

    public void Dispose() => socket.Dispose();

    private async Task SendAsync(byte[] bytes, CancellationToken ct)
    {
        if (bytes.Length - sizeof(int) > MaxMessage)
        {
            throw new RpcException(
                RpcError.TooLarge, $"the options of a process take {bytes.Length - sizeof(int)} bytes, more than the {MaxMessage} that a process can be given: hand over a file's name instead");
        }

        for (int sent = 0; sent < bytes.Length;)
        {
            sent += await socket.SendAsync(bytes.AsMemory(sent), SocketFlags.None, ct).ConfigureAwait(false);
        }
    }

    private async Task<byte[]?> ReadAsync(int length, CancellationToken ct)
    {
        byte[] bytes = new byte[length];
        for (int have = 0; have < length;)
        {
            int read;
            try
            {
                read = await socket.ReceiveAsync(bytes.AsMemory(have), SocketFlags.None, ct).ConfigureAwait(false);
            }
            catch (SocketException)
            {
                return null;
            }

            if (read == 0)
            {
                return null;
            }

            have += read;
        }

        return bytes;
    }
}
