using GlooX.Tests.Payload;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using GlooX.Channels.Replication;
using GlooX.Channels.Storage;
using GlooX.Contracts;
using GlooX.Lifecycle;
using GlooX.Payloads;
using GlooX.Processes;
using GlooX.Slots;

namespace GlooX.Tests;

/// <summary>Processes that outlive their agent, which is killed, and are taken over by the next of its address.</summary>
[Trait("Category", "Slow")]
public sealed class DetachedProcessTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private static SpawnOptions Daemon { get; } = new() { Daemonize = true };

    private string Go => Path.Combine(_folder, "go");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task What_outlives_a_killed_agent_is_taken_over_with_its_reservation_its_log_and_its_end()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string url = FreeUrl();
        string orphan, killed, script;
        await using (SpawnedProcess keeper = await KeeperAsync(grid, url))
        await using (GlooXClient client = new GlooXClient(url))
        {
            orphan = await SpawnAsync(client, "Orphan");
            killed = await SpawnAsync(client, "Orphan");
            script = await SpawnScriptAsync(client, $"echo up; while [ ! -e {Go} ]; do sleep 0.05; done; echo gone; exit 7");
            Kill(keeper.Pid);
            await keeper.WaitForExitAsync(Ct);
        }

        await using SpawnedProcess again = await KeeperAsync(grid, url);
        await using GlooXClient next = new GlooXClient(url);
        IReadOnlyList<ProcessInfo> all = await next.ProcessesAsync(Ct);
        Assert.Equal(new[] { orphan, killed, script }.Order(), all.Select(p => p.Id).Order());
        Assert.All(all, p => Assert.True(p.Daemonize && TestGrid.IsRunning(p.Pid)));
        Assert.Equal(200_000_000, all.Single(p => p.Id == orphan).MemoryBytes);
        Assert.NotEqual(0, (await next.InfoAsync(Ct)).Utilization);

        await using SpawnedProcess? first = await next.AttachAsync(orphan, Ct);
        Assert.Equal("orphaned", (await first!.LogsAsync(follow: true, ct: Ct).FirstAsync(Ct)).Text);
        Task<ExitStatus> end = first.WaitForExitAsync(Ct);
        await Assert.ThrowsAsync<RpcException>(async () => await first.CallAsync<object>("exit", 3));
        Assert.Equal(new ExitStatus(3, 0), await end);

        await using SpawnedProcess? second = await next.AttachAsync(killed, Ct);
        Kill(second!.Pid);
        Assert.Contains(await second.WaitForExitAsync(Ct), (ExitStatus[])[new ExitStatus(0, 9), ExitStatus.Unknown]); // an older kernel does not tell

        await using SpawnedProcess? third = await next.AttachAsync(script, Ct);
        List<string> texts = [];
        await foreach (LogLine line in third!.LogsAsync(follow: true, ct: Ct))
        {
            texts.Add(line.Text);
            await File.WriteAllTextAsync(Go, "", Ct);
        }

        Assert.Equal(["up", "gone"], texts);
        Assert.Equal(new ExitStatus(7, 0), await third.WaitForExitAsync(Ct));
        await Eventually.HoldsAsync(async () => (await next.ProcessesAsync(Ct)).Count == 0 && (await next.InfoAsync(Ct)).Utilization == 0, "nothing is reserved any more");
    }

    [Fact]
    public async Task The_end_of_a_process_while_no_agent_was_there_is_told_by_the_next()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string url = FreeUrl();
        string script;
        int pid;
        await using (SpawnedProcess keeper = await KeeperAsync(grid, url))
        await using (GlooXClient client = new GlooXClient(url))
        {
            script = await SpawnScriptAsync(client, $"while [ ! -e {Go} ]; do sleep 0.05; done; echo gone; exit 5");
            pid = Assert.Single(await client.ProcessesAsync(Ct)).Pid;
            Kill(keeper.Pid);
            await keeper.WaitForExitAsync(Ct);
        }

        await File.WriteAllTextAsync(Go, "", Ct);
        await Eventually.HoldsAsync(() => !TestGrid.IsRunning(pid), "the process has ended");
        await using SpawnedProcess again = await KeeperAsync(grid, url);
        await using GlooXClient next = new GlooXClient(url);
        await using SpawnedProcess? ended = await next.AttachAsync(script, Ct);
        ProcessInfo? info = await ended!.InfoAsync(Ct);
        Assert.Equal((ProcessState.Exited, new ExitStatus(5, 0)), (info!.State, info.Exit));
        Assert.Equal("gone", (await ended.LogsAsync(ct: Ct).SingleAsync(Ct)).Text);
        Assert.Empty(await next.ProcessesAsync(Ct));
        await Eventually.HoldsAsync(async () => (await next.InfoAsync(Ct)).Utilization == 0, "nothing is reserved any more");
    }

    [Fact]
    public async Task An_agent_that_stops_in_order_leaves_them_to_the_next_too()
    {
        string url = FreeUrl();
        string id;
        await using (Agent agent = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct))
        await using (GlooXClient client = new GlooXClient(url))
        {
            id = await SpawnScriptAsync(client, "echo up; exec sleep 600");
        }

        await using Agent other = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct);
        await using GlooXClient next = new GlooXClient(url);
        await using SpawnedProcess? process = await next.AttachAsync(id, Ct);
        ExitStatus end = await process!.KillAsync(Ct);
        Assert.Contains(end, (ExitStatus[])[new ExitStatus(0, 9), ExitStatus.Unknown]);
        Assert.False(TestGrid.IsRunning(process.Pid));
    }

    [Fact]
    public async Task A_process_of_which_nobody_was_told_is_ended_by_the_next_agent()
    {
        string url = FreeUrl();
        using Process sleeper = Process.Start("setsid", ["sleep", "600"]);
        IMachine machine = Machine.Local(Path.GetTempPath());
        await Eventually.HoldsAsync(() => machine.FindProcess(sleeper.Id)?.Session == sleeper.Id, "it has a session of its own");
        Record(url, "unborn", sleeper.Id, ready: false);
        await using (Agent agent = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct))
        {
            Assert.False(TestGrid.IsRunning(sleeper.Id));
        }

        Assert.False(Directory.Exists(FolderOf(url))); // nothing is left to remember
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_a_process_left_that_was_killed_while_no_agent_was_there_is_ended_by_the_next_also_when_nobody_has_asked_how_it_ended(bool ready)
    {
        string url = FreeUrl();
        using Process parent = Process.Start(new ProcessStartInfo("sh", ["-c", "setsid sh -c 'sleep 600 & echo $$ $!; wait' & exec sleep 600"]) { RedirectStandardOutput = true, UseShellExecute = false })!;
        string[] pids = (await parent.StandardOutput.ReadLineAsync(Ct))!.Split(' ');
        (int leader, int rest) = (int.Parse(pids[0]), int.Parse(pids[1]));
        Record(url, "left", leader, ready);
        Kill(leader);
        await Eventually.HoldsAsync(() => !TestGrid.IsRunning(leader), "it is dead");
        Assert.True(Directory.Exists($"/proc/{leader}") && TestGrid.IsRunning(rest));
        await using (Agent agent = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct))
        {
            await Eventually.HoldsAsync(() => !TestGrid.IsRunning(rest), "what it left is gone");
            await Eventually.HoldsAsync(() => agent.Processes.Find("left") is null or { State: ProcessState.Exited }, "its end is known");
        }

        parent.Kill();
        Assert.False(Directory.Exists(FolderOf(url))); // nothing is left to remember
    }

    [Fact]
    public async Task A_state_file_that_cannot_be_read_is_read_as_soon_as_it_can_be()
    {
        string url = FreeUrl();
        List<string> ids = await LeaveAsync(url, 3);
        using StateFile held = StateFile.Open(StateOf(url), out _); // locked by another program
        await using Agent next = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0, MaxSlots = 3 }, ct: Ct);
        await using GlooXClient client = new GlooXClient(url);
        Assert.Empty(await client.ProcessesAsync(Ct));
        held.Dispose();
        await Eventually.HoldsAsync(async () => (await client.ProcessesAsync(Ct)).Count == 3, "all are adopted");
        Assert.Equal(0, (await client.InfoAsync(Ct)).FreeSlots);
        await EndAsync(client, ids);
    }

    [Fact]
    public async Task A_damaged_record_is_logged_and_in_the_way_of_no_other_process()
    {
        string url = FreeUrl();
        List<string> ids = await LeaveAsync(url, 5);
        int lost;
        using (StateFile file = StateFile.Open(StateOf(url), out _))
        {
            lost = DetachedRecord.FromBytes(file.List(AgentState.DetachedKind).Single(r => r.Id == ids[2]).Value)!.Pid;
            file.Put(AgentState.DetachedKind, ids[2], "damaged"u8);
        }

        using var logs = new LogKeeper();
        await using (Agent next = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0, LoggerFactory = logs }, ct: Ct))
        await using (GlooXClient client = new GlooXClient(url))
        {
            Assert.Equal(ids.Where(i => i != ids[2]).Order(), (await client.ProcessesAsync(Ct)).Select(p => p.Id).Order());
            Assert.Contains(logs.Errors, e => e.Contains(ids[2], StringComparison.Ordinal) && e.Contains("damaged", StringComparison.Ordinal));
            await EndAsync(client, ids.Where(i => i != ids[2]));
        }

        GlooX.Workers.LinuxSignal.KillGroup(lost); // the shell around the program, and the program
        await Eventually.HoldsAsync(() => !TestGrid.IsRunning(lost), "nothing of it runs");
        Assert.True(Directory.Exists(FolderOf(url))); // the record stays, to be looked at
        Directory.Delete(FolderOf(url), recursive: true);
    }

    [Fact]
    public async Task A_damaged_state_file_is_kept_aside_and_logged_and_later_processes_are_recorded()
    {
        string url = FreeUrl();
        await LeaveAsync(url, 1);
        int lost;
        using (StateFile file = StateFile.Open(StateOf(url), out _))
        {
            lost = DetachedRecord.FromBytes(Assert.Single(file.List(AgentState.DetachedKind)).Value)!.Pid;
        }

        await using (FileStream file = File.OpenWrite(StateOf(url)))
        {
            file.Write(new byte[4096]);
        }

        using var logs = new LogKeeper();
        string id;
        await using (Agent next = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0, LoggerFactory = logs }, ct: Ct))
        await using (GlooXClient client = new GlooXClient(url))
        {
            Assert.Empty(await client.ProcessesAsync(Ct));
            Assert.Contains(logs.Errors, static e => e.Contains("agent.db' is damaged", StringComparison.Ordinal));
            Assert.Single(Directory.GetFiles(FolderOf(url), "agent.db.damaged-*"), static f => !f.EndsWith("-wal", StringComparison.Ordinal));
            id = await SpawnScriptAsync(client, "exec sleep 600");
        }

        await using (Agent after = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct))
        await using (GlooXClient client = new GlooXClient(url))
        {
            await EndAsync(client, [id]);
        }

        GlooX.Workers.LinuxSignal.KillGroup(lost); // the shell around the program, and the program
        await Eventually.HoldsAsync(() => !TestGrid.IsRunning(lost), "nothing of it runs");
        Assert.True(Directory.Exists(FolderOf(url))); // with the damaged file
        Directory.Delete(FolderOf(url), recursive: true);
    }

    [Fact]
    public async Task Processes_are_adopted_from_the_home_into_a_data_folder_and_from_there_at_another_address()
    {
        string url = FreeUrl(), other = FreeUrl();
        string data = Path.Combine(_folder, "data");
        string id = Assert.Single(await LeaveAsync(url, 1));
        foreach (string address in (string[])[url, other])
        {
            await using Agent next = await Agent.StartAsync(address, options: new AgentOptions { WarmHosts = 0, DataFolder = data }, ct: Ct);
            await using GlooXClient client = new GlooXClient(address);
            Assert.Equal(id, Assert.Single(await client.ProcessesAsync(Ct)).Id);
            if (address == other)
            {
                await EndAsync(client, [id]);
            }
        }

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(data, "agent.db"))); // it may hold values of processes
        await using Agent last = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct);
        await last.DisposeAsync();
        Assert.False(Directory.Exists(FolderOf(url)) || Directory.Exists(FolderOf(other)));
    }

    [Fact]
    public async Task Records_of_an_earlier_version_are_refused_with_their_folder_and_the_cure()
    {
        string url = FreeUrl();
        string records = Directory.CreateDirectory(Path.Combine(FolderOf(url), "records")).FullName;
        await File.WriteAllTextAsync(Path.Combine(records, "0123456789ab.json"), "{}", Ct);
        using var logs = new LogKeeper();
        await using (Agent next = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0, LoggerFactory = logs }, ct: Ct))
        {
            Assert.Contains(logs.Warnings, e => e.Contains(FolderOf(url), StringComparison.Ordinal) && e.Contains("earlier version", StringComparison.Ordinal));
        }

        Assert.True(Directory.Exists(records));
        Directory.Delete(FolderOf(url), recursive: true);
    }

    [Fact]
    public async Task Processes_whose_logs_another_agent_holds_are_taken_over_at_once_and_their_logs_later()
    {
        string url = FreeUrl();
        List<string> ids = await LeaveAsync(url, 2);
        string room = Directory.GetFiles(Path.Combine(TestGrid.Home, "home", "logs"), ids[0] + ".log", SearchOption.AllDirectories).Select(Path.GetDirectoryName).Single() + ".lock";
        using FileStream held = FileLock.TryTake(room)!;
        await using Agent next = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct);
        await using GlooXClient client = new GlooXClient(url);
        Assert.Equal(2, (await client.ProcessesAsync(Ct)).Count);
        held.Dispose();
        await Eventually.HoldsAsync(() => IsTaken(room), "the logs belong to the next agent");
        await EndAsync(client, ids);

        static bool IsTaken(string file)
        {
            using FileStream? free = FileLock.TryTake(file);
            return free is null;
        }
    }

    [Fact]
    public async Task What_outlives_its_agent_is_started_again_by_that_one_and_by_the_next()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string url = FreeUrl();
        SpawnOptions again = Daemon with { Restart = Soon, Values = new() { ["colour"] = "blue" } };
        string service, script;
        int first;
        await using (SpawnedProcess keeper = await KeeperAsync(grid, url))
        await using (GlooXClient client = new GlooXClient(url))
        {
            await using SpawnedProcess spawned = await client.SpawnAsync("Good", TestGrid.Payload, again, ct: Ct);
            service = spawned.Id;
            script = await SpawnScriptAsync(client, "read options; echo $options; exec sleep 600", again);
            first = await RestartedAsync(client, service, 1);
            Assert.Equal("yes!", await spawned.CallAsync<string>("all_well?"));
            await RestartedAsync(client, script, 1);
            Kill(keeper.Pid);
            await keeper.WaitForExitAsync(Ct);
        }

        Kill(first); // while no agent is there
        await Eventually.HoldsAsync(() => !TestGrid.IsRunning(first), "it has ended");
        await using SpawnedProcess next = await KeeperAsync(grid, url);
        await using GlooXClient other = new GlooXClient(url);
        await Eventually.HoldsAsync(async () => Of(await other.ProcessesAsync(Ct), service) is { State: ProcessState.Running, Restarts: 2 }, "the next agent has started it again");
        await using SpawnedProcess? attached = await other.AttachAsync(service, Ct);
        ProcessOptions given = await attached!.As<IGood>().GivenAsync();
        Assert.Equal((next.Pid, "blue", attached.TmpDir), (given.Ppid, given.Values["colour"], given.TmpDir));

        Assert.Equal(1, Of(await other.ProcessesAsync(Ct), script)!.Restarts); // it ran on
        await RestartedAsync(other, script, 2);
        await using SpawnedProcess? program = await other.AttachAsync(script, Ct);
        await Eventually.HoldsAsync(async () => await program!.LogsAsync(ct: Ct).CountAsync(Ct) == 3, "its log went on");
        Assert.Equal(new ExitStatus(0, 9), await program!.KillAsync(Ct));
        Assert.Equal(new ExitStatus(0, 9), await attached.KillAsync(Ct));
        await Eventually.HoldsAsync(async () => (await other.ProcessesAsync(Ct)).Count == 0 && (await other.InfoAsync(Ct)).Utilization == 0, "nothing is reserved any more");
    }

    [Fact]
    public async Task What_waits_for_its_next_start_when_its_agent_stops_is_started_by_the_next_unless_it_was_ended()
    {
        string url = FreeUrl();
        string id, ended;
        RestartPolicy late = Soon with { FirstPause = TimeSpan.FromHours(1), LongestPause = TimeSpan.FromHours(1), Window = TimeSpan.FromDays(1), MaxRestarts = 1 };
        await using (Agent agent = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct))
        await using (GlooXClient client = new GlooXClient(url))
        {
            id = await SpawnScriptAsync(client, "exit 4", Daemon with { Restart = late });
            ended = await SpawnScriptAsync(client, "exit 4", Daemon with { Restart = late });
            await Eventually.HoldsAsync(async () => (await client.ProcessesAsync(Ct)).All(static p => p.State == ProcessState.Restarting), "both wait");
            Assert.True(await client.KillAsync(ended, Ct));
        }

        await using (Agent other = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct))
        await using (GlooXClient next = new GlooXClient(url))
        {
            ProcessInfo waiting = Assert.Single(await next.ProcessesAsync(Ct));
            Assert.Equal((id, ProcessState.Restarting, new ExitStatus(4, 0)), (waiting.Id, waiting.State, waiting.LastExit));
            Assert.NotEqual(0, (await next.InfoAsync(Ct)).Utilization);
            await using SpawnedProcess? process = await next.AttachAsync(id, Ct);
            Assert.Equal(new ExitStatus(4, 0), await process!.KillAsync(Ct));
        }
    }

    // As an agent that was killed leaves it.
    private void Record(string url, string id, int pid, bool ready)
    {
        ProcessStamp stamp = Machine.Local(Path.GetTempPath()).FindProcess(pid)!.Value;
        var request = new SpawnRequest("", "sleep", 0, 0, default, new ProcessOptions { Daemonize = true, TmpDir = Path.Combine(_folder, "own") }, 1000, AllowSpawn: false);
        string exit = Path.Combine(FolderOf(url), "exits", id);
        var record = new DetachedRecord(id, pid, stamp.Started, stamp.Session, stamp.Boot, request, Path.Combine(_folder, "log"), exit, DateTimeOffset.UtcNow) { Ready = ready };
        using StateFile file = StateFile.Open(StateOf(url), out _);
        file.Put(AgentState.DetachedKind, id, record.ToBytes());
    }

    private static string StateOf(string url) => Path.Combine(FolderOf(url), "agent.db");

    private static string FolderOf(string url) => Path.Combine(TestGrid.Home, "home", "agents", url.Replace(':', '_'));

    private static async Task EndAsync(GlooXClient client, IEnumerable<string> ids)
    {
        foreach (string id in ids)
        {
            await using SpawnedProcess? process = await client.AttachAsync(id, Ct);
            await process!.KillAsync(Ct);
        }
    }

    // Processes that outlive their agent.
    private async Task<List<string>> LeaveAsync(string url, int count)
    {
        List<string> ids = [];
        await using Agent agent = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct);
        await using GlooXClient client = new GlooXClient(url);
        for (int i = 0; i < count; i++)
        {
            ids.Add(await SpawnScriptAsync(client, "exec sleep 600", Daemon with { Restart = Soon }));
        }

        return ids;
    }

    private static RestartPolicy Soon { get; } = RestartPolicy.OnFailure with { FirstPause = TimeSpan.FromMilliseconds(10), LongestPause = TimeSpan.FromMilliseconds(20) };

    private static ProcessInfo? Of(IReadOnlyList<ProcessInfo> all, string id) => all.SingleOrDefault(p => p.Id == id);

    // Its new process id.
    private static async Task<int> RestartedAsync(GlooXClient client, string id, int restarts)
    {
        Kill(Of(await client.ProcessesAsync(Ct), id)!.Pid);
        await Eventually.HoldsAsync(async () => Of(await client.ProcessesAsync(Ct), id) is { State: ProcessState.Running } p && p.Restarts == restarts, "it was started again");
        return Of(await client.ProcessesAsync(Ct), id)!.Pid;
    }

    private static Task<SpawnedProcess> KeeperAsync(TestGrid grid, string url) => grid.SpawnAsync("Keeper", new SpawnOptions { Values = new() { ["url"] = url } });

    private static async Task<string> SpawnAsync(GlooXClient client, string name)
    {
        await using SpawnedProcess process = await client.SpawnAsync(name, TestGrid.Payload, Daemon, ct: Ct);
        return process.Id;
    }

    private static string FreeUrl()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return listener.LocalEndpoint.ToString()!;
    }

    private static void Kill(int pid)
    {
        using Process process = Process.GetProcessById(pid);
        process.Kill();
    }

    private async Task<string> SpawnScriptAsync(GlooXClient client, string text, SpawnOptions? options = null)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.sh");
        await File.WriteAllTextAsync(file, $"#!/bin/sh\n{text}\n", Ct);
        await using SpawnedProcess process = await client.SpawnAsync(file, (options ?? Daemon) with { Provision = new Provision("10MB", "1MB") }, ct: Ct);
        return process.Id;
    }
}
