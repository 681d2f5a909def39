using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Microsoft.Data.Sqlite;

namespace GlooX.Channels.Storage;

/// <summary>
/// Finds SQLite's native library where the runtime does not look: an agent within a spawned class has its assemblies from a folder whose deps file the
/// runtime has not read.
/// </summary>
internal static class NativeSqlite
{
    private const string Name = "e_sqlite3";

    /// <summary>Call before the first connection.</summary>
    public static void Register() => AssemblyLoadContext.GetLoadContext(typeof(SqliteConnection).Assembly)!.ResolvingUnmanagedDll += Find;

    private static nint Find(Assembly assembly, string name)
    {
        string folder = Path.Combine(Path.GetDirectoryName(assembly.Location) ?? "", "runtimes", RuntimeInformation.RuntimeIdentifier, "native");
        return name.Contains(Name, StringComparison.Ordinal) && Directory.Exists(folder)
            && Directory.GetFiles(folder, $"*{Name}*") is [string file, ..] && NativeLibrary.TryLoad(file, out nint library) ? library : 0;
    }
}
