using System.Net.Sockets;

namespace GlooX.Transport;

/// <summary>
/// The file of a listening UNIX-domain socket: 0600 before anybody can connect. What a process that died left behind is replaced, but never
/// a file that is no socket, nor a socket on which somebody listens.
/// </summary>
/// <remarks>
/// The kernel binds no socket over a file, and to find a stale file and remove it takes two steps. So a second file, locked for as long as
/// this one is used, lets only one process at a time take them; the lock goes with its process.
/// </remarks>
internal sealed class UnixSocketFile : IDisposable
{
    private readonly FileStream _lock;
    private int _disposed;

    private UnixSocketFile(string path) => _lock = Lock(path + ".lock");

    /// <summary>Binds and listens. Dispose the socket, which removes its file, before this.</summary>
    /// <exception cref="SocketException"><see cref="SocketError.AddressAlreadyInUse"/>: somebody listens there.</exception>
    /// <exception cref="IOException">The file is no socket, or cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">This user may not make files there.</exception>
    public static (Socket Socket, UnixSocketFile File) Listen(string path, int backlog)
    {
        var file = new UnixSocketFile(path);
        Socket? socket = null;
        try
        {
            RemoveStale(path);
            socket = NewSocket();
            socket.Bind(new UnixDomainSocketEndPoint(path));
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite); // nobody can connect before Listen
            }

            socket.Listen(backlog);
            return (socket, file);
        }
        catch
        {
            socket?.Dispose();
            file.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        File.Delete(_lock.Name); // while it is locked: the next one makes its own
        _lock.Dispose();
    }

    private static Socket NewSocket() => new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    private static FileStream Lock(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        try
        {
            return new FileStream(path, options);
        }
        catch (IOException e) when (e is not DirectoryNotFoundException && File.Exists(path))
        {
            throw new SocketException((int)SocketError.AddressAlreadyInUse);
        }
    }

    private static void RemoveStale(string path)
    {
        if (!File.Exists(path))
        {
            return;
        }

        using Socket probe = NewSocket();
        try
        {
            probe.Blocking = false;
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            // nobody listens: the file is left over, or it is no socket
            if (!OperatingSystem.IsWindows() && !IsSocket(path))
            {
                throw new IOException($"{path} exists and is no socket");
            }

            File.Delete(path);
            return;
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.WouldBlock)
        {
            // its queue is full: somebody listens
        }

        throw new SocketException((int)SocketError.AddressAlreadyInUse);
    }

    /// <summary>A socket cannot be opened as a file, whoever one is (open(2): ENXIO).</summary>
    private static bool IsSocket(string path)
    {
        if (File.GetAttributes(path).HasFlag(FileAttributes.Directory) || File.ResolveLinkTarget(path, returnFinalTarget: false) is not null)
        {
            return false;
        }

        const int NoSuchDeviceOrAddress = 6;
        try
        {
            File.OpenHandle(path, access: FileAccess.ReadWrite).Dispose(); // reading alone would wait for the writer of a pipe
            return false;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
        catch (IOException e)
        {
            return (e.HResult & 0xFFFF) == NoSuchDeviceOrAddress;
        }
    }
}
