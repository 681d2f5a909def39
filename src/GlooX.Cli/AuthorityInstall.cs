using System.Diagnostics;

namespace GlooX.Cli;

/// <summary><c>gloox authority --install</c>: a user, a home and a unit for the authority; the authority of the calling user moves there.</summary>
internal static class AuthorityInstall
{
    public const string User = "gloox-authority";
    public const string Home = "/var/lib/gloox-authority";
    public const string Socket = "/run/gloox-authority/socket";
    private const string UnitFile = "/etc/systemd/system/gloox-authority.service";

    /// <summary>The unit for systemd. It may write its home and its socket, and sees no other user's files.</summary>
    public static string Unit(string tool) => $"""
        [Unit]
        Description=GlooX authority: issues and revokes the certificates of a grid
        After=network-online.target
        Wants=network-online.target

        [Service]
        User={User}
        Environment=GLOOX_HOME={Home}
        Environment=DOTNET_EnableDiagnostics=0
        RuntimeDirectory=gloox-authority
        ExecStart={tool} authority --url unix:{Socket} --url 0.0.0.0:9998
        Restart=always
        NoNewPrivileges=yes
        ProtectSystem=strict
        ProtectHome=yes
        ReadWritePaths={Home}
        PrivateTmp=yes
        PrivateDevices=yes
        CapabilityBoundingSet=
        RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
        LimitCORE=0

        [Install]
        WantedBy=multi-user.target

        """;

    /// <summary>Installs.</summary>
    /// <returns>What was done, and what is next.</returns>
    /// <exception cref="IOException">A step failed.</exception>
    public static async Task<string[]> RunAsync(CancellationToken ct)
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess)
        {
            throw new IOException("installing the authority makes a user and a unit for systemd: run it as root, on Linux");
        }

        string tool = Tool();
        if (tool.Split(' ').FirstOrDefault(static p => p.StartsWith("/root/", StringComparison.Ordinal) || p.StartsWith("/home/", StringComparison.Ordinal)) is { } hidden)
        {
            throw new IOException(
                $"the user {User} cannot read {hidden}: install the tool for all users first, for example with: dotnet tool install GlooX.Cli --tool-path /usr/local/bin");
        }

        if (Directory.Exists(Home))
        {
            throw new IOException($"{Home} is there already: the authority was installed before");
        }

        await RunAsync("useradd", ["--system", "--home-dir", Home, "--no-create-home", "--shell", "/usr/sbin/nologin", User], ct);
        bool moved = Identity.LoadStore().IsIssuer;
        if (moved)
        {
            Identity.MoveAuthority(Home, $"unix:{Socket}");
        }
        else
        {
            Directory.CreateDirectory(Home, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        await RunAsync("chown", ["--recursive", "--no-dereference", $"{User}:", Home], ct);
        await File.WriteAllTextAsync(UnitFile, Unit(tool), ct);
        return
        [
            $"wrote {UnitFile}; the key of the authority is in {Home}, readable for the user {User} alone{(moved ? "; this user's machine is joined to it" : "")}",
            "start it:        systemctl enable --now gloox-authority",
            $"make a token:    sudo -u {User} GLOOX_HOME={Home} gloox token",
            $"join, here:      gloox join unix:{Socket} TOKEN        elsewhere: gloox join THIS-MACHINE:9998 TOKEN",
        ];
    }

    private static string Tool()
    {
        string process = Environment.ProcessPath ?? "dotnet";
        return Path.GetFileNameWithoutExtension(process) == "dotnet" ? $"{process} {typeof(AuthorityInstall).Assembly.Location}" : process;
    }

    private static async Task RunAsync(string command, string[] arguments, CancellationToken ct)
    {
        try
        {
            using Process process = Process.Start(command, arguments);
            await process.WaitForExitAsync(ct);
            if (process.ExitCode != 0)
            {
                throw new IOException($"{command} {string.Join(' ', arguments)} failed with exit code {process.ExitCode}");
            }
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new IOException($"{command} cannot be run: {e.Message}", e);
        }
    }
}
