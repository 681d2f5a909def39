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

    /// <summary>Creates the folder, unless it exists, and checks that it is this user's and that nobody else can write to it, as ssh does with its own.</summary>
    /// <returns>Its full path.</returns>
    /// <exception cref="IdentityException">The folder is another user's, or others can write to it. The message says what to do.</exception>
    /// <exception cref="IOException">The folder cannot be created.</exception>
    /// <exception cref="UnauthorizedAccessException">This user may not create the folder.</exception>
    public static string Create() => Create(Path);

    internal static string Create(string home)
    {
        CreateFolder(home);
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(home) & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != UnixFileMode.None)
        {
            throw new IdentityException(home, $"others can write to this folder, and so replace the certificates in it. Run: chmod go-w {home}");
        }

        if (OperatingSystem.IsLinux() && UnixOwner.Of(home) is { } owner && owner != UnixOwner.Current)
        {
            throw new IdentityException(
                home, $"this folder is not this user's: its owner has the id {owner}, this user {UnixOwner.Current}. Set GLOOX_HOME to a folder of this user, or run: chown -R {UnixOwner.Current} {home}");
        }

        return home;
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
            return path;
        }

        if (!Directory.Exists(path))
        {
            if (System.IO.Path.GetDirectoryName(System.IO.Path.TrimEndingDirectorySeparator(path)) is { Length: > 0 } above)
            {
                CreateFolder(above); // the system gives those above what the umask leaves
            }

            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        return path;
    }
}
