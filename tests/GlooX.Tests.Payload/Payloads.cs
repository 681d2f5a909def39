using System.Diagnostics;

namespace GlooX.Tests.Payload;

/// <summary>Behaves.</summary>
[Provision(Memory = "200MB", Disk = "1MB")]
public sealed class Good : Worker, IGood
{
    [Rpc("all_well?")]
    public ValueTask<string> AllWellAsync() => new("yes!");

    public ValueTask<ProcessOptions> GivenAsync() => new(Options);

    public async ValueTask<string> ParentAsync()
    {
        await using GlooXClient parent = ConnectToParent();
        return (await parent.InfoAsync()).Url;
    }

    public ValueTask<int> StartSleeperAsync()
    {
        using Process sleeper = Process.Start(new ProcessStartInfo("sleep", "600") { UseShellExecute = false })!;
        return new(sleeper.Id);
    }

    [Rpc("exit")]
    public ValueTask ExitAsync(int code)
    {
        Environment.Exit(code);
        return default;
    }
}

/// <summary>Tells of what is around it.</summary>
public sealed class Witness : Worker
{
    private static readonly string? s_first = Environment.GetEnvironmentVariable("COLOUR");

    [Rpc("first")]
    public ValueTask<string?> FirstAsync() => new(s_first);

    [Rpc("variable")]
    public ValueTask<string?> VariableAsync(string name) => new(Environment.GetEnvironmentVariable(name));

    [Rpc("inherited")]
    public async ValueTask<string> InheritedAsync(string name)
    {
        using Process shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"echo ${name}"]) { RedirectStandardOutput = true, UseShellExecute = false })!;
        return (await shell.StandardOutput.ReadToEndAsync()).TrimEnd();
    }

    [Rpc("who")]
    public ValueTask<string[]> WhoAsync()
    {
        File.WriteAllText(Path.Combine(Options.TmpDir, "mine"), "");
        return new([Environment.UserName, Environment.GetEnvironmentVariable("HOME") ?? "", Path.GetDirectoryName(typeof(Witness).Assembly.Location)!]);
    }
}

/// <summary>One on each node.</summary>
[Provision(MaxPerNode = 1)]
public sealed class Lonely : Worker;

[RpcService]
public interface IGood
{
    [Rpc("all_well?")]
    ValueTask<string> AllWellAsync();

    ValueTask<ProcessOptions> GivenAsync();

    ValueTask<string> ParentAsync();

    ValueTask<int> StartSleeperAsync();
}

/// <summary>An agent of its own that is killed as soon as it has started an executable, before it can tell anybody.</summary>
public sealed class Doomed : Worker
{
    private Agent? _agent;

    [Rpc("agent")]
    public ValueTask<string> AgentAsync() => new(_agent!.Url);

    protected override async Task OnStartedAsync(CancellationToken ct) =>
        _agent = await Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { Identity = Identity.LoadStore(), WarmHosts = 0, Launcher = new Last() }, ct: ct);

    private sealed class Last : IProcessLauncher
    {
        public ILaunchedProcess Start(ProcessLaunch launch)
        {
            ILaunchedProcess process = ProcessLauncher.Local.Start(launch);
            System.Diagnostics.Process.GetCurrentProcess().Kill();
            return process;
        }
    }
}

/// <summary>An agent of its own, with a child of its own.</summary>
public sealed class Nest : Worker
{
    private SpawnedProcess? _child;
    private Agent? _agent;

    [Rpc("agent")]
    public ValueTask<string> AgentAsync() => new(_agent!.Url);

    [Rpc("child")]
    public ValueTask<int> ChildAsync() => new(_child!.Pid);

    [Rpc("folder_of_child")]
    public async ValueTask<string> FolderOfChildAsync() => (await _child!.As<IGood>().GivenAsync()).TmpDir;

    protected override async Task OnStartedAsync(CancellationToken ct)
    {
        // Not as the child that it is, but as its user.
        _agent = await Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { Identity = Identity.LoadStore() }, ct: ct);
        GlooXClient client = new GlooXClient(_agent.Url, new RpcClientOptions { Identity = Identity.LoadStore() });
        _child = await client.SpawnAsync("Good", typeof(Nest).Assembly.Location, ct: ct);
    }
}

/// <summary>An agent of its own, whose address is given.</summary>
public sealed class Keeper : Worker
{
    private Agent? _agent;

    [Rpc("agent")]
    public ValueTask<string> AgentAsync() => new(_agent!.Url);

    protected override async Task OnStartedAsync(CancellationToken ct) =>
        _agent = await Agent.StartAsync(Options.Values["url"], options: new AgentOptions { Identity = Identity.LoadStore(), WarmHosts = 0 }, ct: ct);
}

/// <summary>Says when its agent is gone.</summary>
[Provision(Memory = "200MB")]
public sealed class Orphan : Worker
{
    [Rpc("exit")]
    public ValueTask ExitAsync(int code)
    {
        Environment.Exit(code);
        return default;
    }

    protected override Task OnStartedAsync(CancellationToken ct)
    {
        ParentLost.Register(static () => Console.WriteLine("orphaned"));
        return Task.CompletedTask;
    }
}

public sealed class ThrowsWhenMade : Worker
{
    public ThrowsWhenMade() => throw new InvalidOperationException("no such luck");
}

public sealed class ThrowsAtStart : Worker
{
    protected override Task OnStartedAsync(CancellationToken ct)
    {
        Console.WriteLine("about to give up");
        throw new InvalidOperationException("the database is away");
    }
}

public sealed class ExitsAtStart : Worker
{
    protected override Task OnStartedAsync(CancellationToken ct)
    {
        Console.WriteLine("first words");
        Console.WriteLine("last words");
        Environment.Exit(3);
        return Task.CompletedTask;
    }
}

public sealed class NeverReady : Worker
{
    protected override Task OnStartedAsync(CancellationToken ct)
    {
        Console.WriteLine("still thinking");
        return Task.Delay(Timeout.Infinite, ct);
    }
}

/// <summary>Is ready at once the first time, and never again.</summary>
public sealed class SlowSecond : Worker
{
    protected override Task OnStartedAsync(CancellationToken ct)
    {
        string first = Path.Combine(Options.TmpDir, "first");
        if (!File.Exists(first))
        {
            File.WriteAllText(first, "");
            return Task.CompletedTask;
        }

        File.WriteAllText(Options.Values["mark"], "");
        return Task.Delay(Timeout.Infinite, ct);
    }
}

[Provision(Memory = "900TB")]
public sealed class Huge : Worker;

public sealed class NoAgent;

/// <summary>Tries what it may do.</summary>
public sealed class Insider : Worker, IInsider
{
    public ValueTask<string[]> KeysAsync() => new([Identity.Load().Server.GetPublicKeyString(), Identity.Load().Client.GetPublicKeyString()]);

    public async ValueTask<string> TryAsync(string method)
    {
        await using RpcClient parent = new RpcClient(Options.ParentUrl);
        try
        {
            await parent.CallAsync<object>(method);
            return "";
        }
        catch (RpcException e)
        {
            return e.Code.ToString();
        }
    }

    public async ValueTask<string> SpawnAsync(string payload)
    {
        await using GlooXClient parent = ConnectToParent();
        try
        {
            await (await parent.SpawnAsync("Good", payload)).DisposeAsync();
            return "spawned";
        }
        catch (RpcException e)
        {
            return e.Message;
        }
    }
}

[RpcService]
public interface IInsider
{
    /// <summary>The public keys of what the process answers and calls with.</summary>
    ValueTask<string[]> KeysAsync();

    /// <summary>How a call of its parent without arguments fails; empty: it does not.</summary>
    ValueTask<string> TryAsync(string method);

    ValueTask<string> SpawnAsync(string payload);
}
