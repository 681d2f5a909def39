namespace GlooX;

/// <summary>The folder in which GlooX keeps what outlives a process: <c>$GLOOX_HOME</c>, by default <c>~/.gloox</c>.</summary>
public static class GlooXHome
{
    /// <summary>The folder's full path. It need not exist.</summary>
    /// <exception cref="IdentityException">The variable is not set and this user has no home folder.</exception>
    public static string Path
    {
        get
        {
            if (Environment.GetEnvironmentVariable("GLOOX_HOME") is { Length: > 0 } home)
            {
                return System.IO.Path.GetFullPath(home);
            }

            string user = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            return user.Length > 0
                ? System.IO.Path.Combine(user, ".gloox")
                : throw new IdentityException("GLOOX_HOME", "this user has no home folder. Set GLOOX_HOME to a folder that this user owns");
        }
    }

    /// <summary>Creates a folder that only this user can enter, and those above it, unless it exists.</summary>
    /// <param name="path">The folder.</param>
    /// <returns><paramref name="path"/>.</returns>
    /// <exception cref="IOException">The folder cannot be created.</exception>
    /// <exception cref="UnauthorizedAccessException">This user may not create the folder.</exception>
    public static string CreateFolder(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(path);
        }
        else
        {
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        return path;
    }
}
