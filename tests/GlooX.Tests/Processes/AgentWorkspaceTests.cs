using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using GlooX.Processes;
using GlooX.Slots;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Tests;

/// <summary>The folders of an agent in the temporary folder, in which everybody may make something.</summary>
public sealed class AgentWorkspaceTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("link")]
    [InlineData("folder of others")]
    [InlineData("folder that others may change")]
    [InlineData("another folder of the same user")]
    public async Task The_sweep_after_a_crash_removes_nothing_of_a_folder_that_the_agent_has_not_made(string planted)
    {
        (string lockFile, string folders, _) = await CrashAsync();
        string other = Directory.CreateDirectory(folders + "-other", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;
        Directory.Delete(folders, recursive: true); // as where the temporary folder is emptied at a start of the machine
        string victim = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"victim-{Guid.NewGuid():N}", "photos")).FullName;
        switch (planted)
        {
            case "link":
                Directory.CreateSymbolicLink(folders, Path.GetDirectoryName(victim)!);
                break;
            case "folder of others":
                Assert.SkipUnless(Environment.UserName == "root", "only root can give a folder to others");
                victim = Directory.CreateDirectory(Path.Combine(folders, "photos")).FullName;
                Assert.Equal("", await OtherUserTests.RunAsync($"chown 65534 {folders}; chmod 700 {folders}"));
                break;
            case "folder that others may change":
                victim = Directory.CreateDirectory(Path.Combine(folders, "photos")).FullName;
                File.SetUnixFileMode(folders, (UnixFileMode)0x1FF);
                break;
            default:
                Directory.Move(other, folders);
                victim = Directory.CreateDirectory(Path.Combine(folders, "photos")).FullName;
                break;
        }

        Sweep();
        Assert.True(Directory.Exists(victim));
        Assert.False(File.Exists(lockFile)); // it is not tried again for ever
        Assert.Equal("", await OtherUserTests.RunAsync($"rm -rf {folders} {other}"));
    }

    [Fact]
    public async Task The_sweep_after_a_crash_removes_what_the_agent_has_left()
    {
        (string lockFile, string folders, string folder) = await CrashAsync();
        await File.WriteAllTextAsync(Path.Combine(folder, "left"), "", Ct);
        Sweep();
        Assert.False(Directory.Exists(folders));
        Assert.False(File.Exists(lockFile));
    }

    [Fact]
    public async Task No_process_starts_in_a_folder_that_somebody_else_has_made_for_it()
    {
        Assert.SkipUnless(Environment.UserName == "root", "only root can give a folder to others");
        await using TestGrid grid = await TestGrid.StartAsync();
        string folders;
        await using (SpawnedProcess first = await grid.SpawnAsync("Good"))
        {
            folders = Path.GetDirectoryName(first.TmpDir)!;
            await first.KillAsync(Ct);
        }

        await grid.NothingIsLeftAsync();
        Directory.Delete(folders); // as tools do that empty the temporary folder
        Directory.CreateDirectory(folders);
        Assert.Equal("", await OtherUserTests.RunAsync($"chown 65534 {folders}"));
        Assert.Contains($"{folders} is not this user's alone", await grid.FailAsync("Good"), StringComparison.Ordinal);
        Directory.Delete(folders);
        await using SpawnedProcess again = await grid.SpawnAsync("Good");
        Assert.Equal("yes!", await again.CallAsync<string>("all_well?"));
    }

    [Fact]
    public void What_is_above_a_folder_of_the_home_is_this_users_alone_whatever_the_umask_is()
    {
        string top = Path.Combine(TestGrid.Home, $"top-{Guid.NewGuid():N}");
        GlooXHome.CreateFolder(Path.Combine(top, "middle", "folder"));
        foreach (string folder in (string[])[top, Path.Combine(top, "middle"), Path.Combine(top, "middle", "folder")])
        {
            Assert.Equal((UnixFileMode)0x1C0, File.GetUnixFileMode(folder));
        }

        Directory.Delete(top, recursive: true);
    }

    // A workspace whose agent has ended without a word.
    [SuppressMessage("Reliability", "CA2000", Justification = "It is not ended, as one that is killed is not")]
    private static async Task<(string LockFile, string Folders, string Folder)> CrashAsync()
    {
        var workspace = new AgentWorkspace(Machine.Local(Path.GetTempPath()), NullLogger.Instance);
        (_, string log, string folder) = workspace.New(keepFolder: false);
        string lockFile = Path.GetDirectoryName(log) + ".lock";

        // What a killed agent leaves of its lock is the file.
        string note = await OtherUserTests.RunAsync($"cat {lockFile}");
        File.Delete(lockFile);
        await File.WriteAllTextAsync(lockFile, string.Join('\n', [int.MaxValue.ToString(CultureInfo.InvariantCulture), .. note.Split('\n')[1..]]), Ct);
        return (lockFile, Path.GetDirectoryName(folder)!, folder);
    }

    private static void Sweep()
    {
        using var next = new AgentWorkspace(Machine.Local(Path.GetTempPath()), NullLogger.Instance);
        next.New(keepFolder: false); // what ends in order sweeps too
    }
}
