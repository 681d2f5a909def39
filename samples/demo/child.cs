#:project ../../src/GlooX/GlooX.csproj
using GlooX;

[Provision(Disk = "1GB", Memory = "1GB")] // read without running a line of this file
public sealed class Child : Worker, IChild
{
    [Rpc("all_well?")]
    public ValueTask<string> AllWellAsync() => new("yes!");

    protected override async Task OnStartedAsync(CancellationToken ct)
    {
        Console.WriteLine(Options.ParentUrl);
        await using GlooXClient parent = ConnectToParent();
        Console.WriteLine(await parent.AliveAsync(ct));
    }
}

[RpcService]
public interface IChild
{
    [Rpc("all_well?")]
    ValueTask<string> AllWellAsync();
}
