using System.Net.Sockets;

namespace GlooX.Transport;

/// <summary>
/// The file of a listening UNIX-domain socket, with mode 0600 before the first connection. A stale file of a dead process is replaced; a file that
/// is no socket, or a socket on which a process listens, never is.
/// </summary>
/// <remarks>
/// The kernel does not bind a socket over an existing file, and replacing a stale file takes two steps. A second file, locked while this one is
/// in use, lets only one process at a time take these steps; the lock ends with its process.
/// </remarks>
internal sealed class UnixSocketFile : IDisposable
{
    private readonly FileStream _lock;
    private int _disposed;

    private UnixSocketFile(string path) => _lock = Lock(path + ".lock");

    /// <summary>Binds and listens. Dispose the socket before this object, which removes the file.</summary>
    /// <exception cref="SocketException"><see cref="SocketError.AddressAlreadyInUse"/>: a process listens there.</exception>
    /// <exception cref="IOException">The file is no socket, or cannot be created.</exception>
    /// <exception cref="UnauthorizedAccessException">This user may not create files there.</exception>
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
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite); // no connection is possible before Listen
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

        File.Delete(_lock.Name); // still locked: the next process creates its own
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
            // no process listens: the file is stale, or it is no socket
            if (!OperatingSystem.IsWindows() && !IsSocket(path))
            {
                throw new IOException($"{path} exists and is no socket");
            }

            File.Delete(path);
            return;
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.WouldBlock)
        {
            // a process listens, and its backlog is full
        }

        throw new SocketException((int)SocketError.AddressAlreadyInUse);
    }

    /// <summary>No user can open a socket as a file (open(2): ENXIO).</summary>
    private static bool IsSocket(string path)
    {
        if (File.GetAttributes(path).HasFlag(FileAttributes.Directory) || File.ResolveLinkTarget(path, returnFinalTarget: false) is not null)
        {
            return false;
        }

        const int NoSuchDeviceOrAddress = 6;
        try
        {
            File.OpenHandle(path, access: FileAccess.ReadWrite).Dispose(); // read access alone would block on a pipe
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
