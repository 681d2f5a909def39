using System.Runtime.InteropServices;
using System.Text;

namespace GlooX;

/// <summary>Whose a file is, on Linux.</summary>
internal static class UnixOwner
{
    private const int CurrentFolder = -100; // AT_FDCWD
    private const uint WithUser = 8; // STATX_UID
    private const int UserAt = 20; // in struct statx

    /// <summary>The id of the user as whom this process runs.</summary>
    public static uint Current => geteuid();

    /// <summary>The id of a file's owner; null: the file cannot be examined.</summary>
    public static uint? Of(string path)
    {
        byte[] told = new byte[256];
        return statx(CurrentFolder, [.. Encoding.UTF8.GetBytes(path), 0], 0, WithUser, told) == 0 ? BitConverter.ToUInt32(told, UserAt) : null;
    }

#pragma warning disable SYSLIB1054, CA5392, IDE1006 // plain libc, by its own names
    [DllImport("libc")]
    private static extern uint geteuid();

    [DllImport("libc")]
    private static extern int statx(int folder, byte[] path, int flags, uint what, byte[] told);
#pragma warning restore SYSLIB1054, CA5392, IDE1006
}
