using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using GlooX.Payloads;
using GlooX.Slots;
using GlooX.Workers;

namespace GlooX.Tests;

/// <summary>Folders of processes are removed whatever the processes leave in them.</summary>
public sealed class WorkFolderTests : IDisposable
{
    // 25 folders within each other, with names of 200 characters: five kilobytes of path, where the kernel takes four.
    private const string Deep = """
        name=$(printf '%0200d' 0)
        i=0
        while [ $i -lt 25 ]; do mkdir $name; cd -P $name 2> /dev/null; i=$((i + 1)); done
        printf '%01000d' 0 > file
        mkdir locked; touch locked/file; chmod 500 locked
        cd -P / 2> /dev/null
        """;

    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"folder-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => WorkFolder.Remove(_folder);

    [Fact]
    public async Task A_process_that_leaves_folders_deeper_than_a_path_may_be_gives_back_its_slot_and_the_next_agent_starts()
    {
        string script = Path.Combine(_folder, "deep.sh");
        await File.WriteAllTextAsync(script, $"#!/bin/sh\ncd \"$GLOOX_TMPDIR\"\n{Deep}\nexit 3\n", Ct);
        string url = FreeUrl();
        using var logs = new LogKeeper();
        var options = new AgentOptions { WarmHosts = 0, MaxSlots = 1, LoggerFactory = logs };
        string folder;
        await using (Agent agent = await Agent.StartAsync(url, options: options, ct: Ct))
        await using (GlooXClient client = new GlooXClient(url))
        {
            await using SpawnedProcess process = await client.SpawnAsync(script, new SpawnOptions { Provision = new Provision("10MB", "1MB") }, ct: Ct);
            folder = process.TmpDir;
            Assert.Equal(new ExitStatus(3, 0), await process.WaitForExitAsync(Ct));
            await Eventually.HoldsAsync(async () => (await client.InfoAsync(Ct)).FreeSlots == 1, "the slot is free again");
            Assert.False(Directory.Exists(folder));
        }

        await using Agent next = await Agent.StartAsync(url, options: options, ct: Ct);
        Assert.Equal(1, next.Slots(Provision.None).AvailableSlots);
        Assert.Empty(logs.Errors);
        Assert.DoesNotContain(logs.Warnings, w => w.Contains(folder, StringComparison.Ordinal));
    }

    [Fact]
    public async Task All_that_is_in_it_goes_but_not_what_links_lead_to()
    {
        string own = Directory.CreateDirectory(Path.Combine(_folder, "own")).FullName;
        string other = Directory.CreateDirectory(Path.Combine(_folder, "other")).FullName;
        await File.WriteAllTextAsync(Path.Combine(other, "kept"), "", Ct);
        await ShellAsync(own, $"ln -s {other} link; ln -s / root; ln -s /nowhere nowhere; mkfifo pipe; mkdir -p a/b/c; touch a/b/1 a/b/2 \"$(printf 'bad\\377name')\"; chmod 0 a/b");
        await ShellAsync(own, Deep);
        Assert.InRange(FolderSize.Of(own), 1000, 1100);
        Assert.Null(WorkFolder.TryRemove(own));
        Assert.Equal([other], Directory.GetFileSystemEntries(_folder));
        Assert.True(File.Exists(Path.Combine(other, "kept")));
        Assert.Null(WorkFolder.TryRemove(own)); // is gone already
    }

    [Fact]
    public void A_link_in_its_place_is_removed_alone()
    {
        string other = Directory.CreateDirectory(Path.Combine(_folder, "other", "inner")).FullName;
        string own = Path.Combine(_folder, "own");
        Directory.CreateSymbolicLink(own, Path.GetDirectoryName(other)!);
        Assert.Null(WorkFolder.TryRemove(own));
        Assert.True(Directory.Exists(other));
    }

    private static async Task ShellAsync(string folder, string text)
    {
        using Process shell = Process.Start(new ProcessStartInfo("sh", ["-c", text]) { WorkingDirectory = folder, UseShellExecute = false })!;
        await shell.WaitForExitAsync(Ct);
        Assert.Equal(0, shell.ExitCode);
    }

    private static string FreeUrl()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return listener.LocalEndpoint.ToString()!;
    }
}
