namespace GlooX.Rpc.Tests.RpcRuntime;

public enum OldState
{
    Open,
    Closed,
}

public enum NewState
{
    Open,
    Closed,
    Lost,
}

public sealed record OldItem(string Name, int Amount, OldState State = OldState.Open);

public sealed record NewItem(string Name, long Amount, NewState State = NewState.Open, string Place = "shelf", string? Note = null);

public sealed record BrokenItem(string Name, int Amount, string Owner);

/// <summary>The first version of a service.</summary>
[RpcService]
public interface IOldStore
{
    Task<OldItem> FindAsync(string name);

    Task<string> PutAsync(OldItem item);

    Task<int> CountAsync(IOldWatcher watcher);
}

[RpcService]
public interface IOldWatcher
{
    Task<string> SeenAsync(OldItem item);
}

/// <summary>The second: a method, an optional argument and properties were added, an integer was widened, an enum has one more value.</summary>
[RpcService]
public interface INewStore
{
    Task<NewItem> FindAsync(string name, bool exact = true);

    Task<string> PutAsync(NewItem item);

    Task<int> CountAsync(INewWatcher watcher);

    Task ClearAsync();
}

[RpcService]
public interface INewWatcher
{
    Task<string> SeenAsync(NewItem item);

    Task DoneAsync();
}

/// <summary>What breaks: a property without a default.</summary>
[RpcService]
public interface IBrokenStore
{
    Task<BrokenItem> FindAsync(string name);

    Task<string> PutAsync(BrokenItem item);
}

/// <summary>Old and new programs call each other. What may change is said in docs/rpc.md.</summary>
public sealed class VersionTests
{
    [Fact]
    public async Task An_old_client_calls_a_new_server()
    {
        await using Pair pair = await Pair.StartAsync(new NewStore());
        IOldStore old = pair.Client.As<IOldStore>();
        Assert.Equal(new OldItem("exact bolt", 7, OldState.Closed), await old.FindAsync("bolt"));
        Assert.Equal(new NewItem("nut", 3, NewState.Closed).ToString(), await old.PutAsync(new OldItem("nut", 3, OldState.Closed)));

        // The new server calls the old client's object, and finds that it does not know everything.
        var watcher = new OldWatcher();
        Assert.Equal((int)RpcError.MethodNotFound, await old.CountAsync(watcher));
        Assert.Equal(new OldItem("bolt", 1), watcher.Seen);
    }

    [Fact]
    public async Task A_new_client_calls_an_old_server()
    {
        await using Pair pair = await Pair.StartAsync(new OldStore());
        INewStore renewed = pair.Client.As<INewStore>();
        Assert.Equal(new OldItem("nut", 3, OldState.Closed).ToString(), await renewed.PutAsync(new NewItem("nut", 3, NewState.Closed, "drawer")));

        RpcException e = await Assert.ThrowsAsync<RpcException>(() => renewed.ClearAsync());
        Assert.Equal(RpcError.MethodNotFound, e.Code);
        Assert.Contains("it exposes: Count, Find, Put", e.Message, StringComparison.Ordinal);

        // It always sends the argument that it knows; by name and without it, the old server answers.
        Assert.Equal(RpcError.BadArguments, (await Assert.ThrowsAsync<RpcException>(() => renewed.FindAsync("bolt"))).Code);
        Assert.Equal(new NewItem("bolt", 7), await pair.Client.CallAsync<NewItem>("Find", "bolt"));

        // The old server calls the new client's object.
        var watcher = new NewWatcher();
        Assert.Equal(1, await renewed.CountAsync(watcher));
        Assert.Equal(new NewItem("bolt", 1), watcher.Seen);
    }

    [Fact]
    public async Task A_value_that_is_too_large_or_unknown_for_an_old_reader()
    {
        await using Pair pair = await Pair.StartAsync(new OldStore());
        INewStore renewed = pair.Client.As<INewStore>();
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => renewed.PutAsync(new NewItem("nut", long.MaxValue)));
        Assert.Equal(RpcError.BadArguments, e.Code);
        Assert.Contains("State = 2", await renewed.PutAsync(new NewItem("nut", 1, NewState.Lost)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_breaks_is_told_and_leaves_the_connection_alone()
    {
        await using Pair pair = await Pair.StartAsync(new OldStore());
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => pair.Client.As<IBrokenStore>().FindAsync("bolt"));
        Assert.Equal(RpcError.BadResult, e.Code);

        await using Pair broken = await Pair.StartAsync(new BrokenStore());
        e = await Assert.ThrowsAsync<RpcException>(() => broken.Client.As<IOldStore>().PutAsync(new OldItem("nut", 1)));
        Assert.Equal(RpcError.BadArguments, e.Code);

        e = await Assert.ThrowsAsync<RpcException>(async () => await pair.Client.CallAsync<string>("Remove", "bolt"));
        Assert.Equal(RpcError.MethodNotFound, e.Code);
        Assert.Equal(RpcError.ServiceNotFound, (await Assert.ThrowsAsync<RpcException>(() => pair.Client.As<IOldStore>("nowhere").FindAsync("bolt"))).Code);
        Assert.Equal("bolt", (await pair.Client.As<IOldStore>().FindAsync("bolt")).Name);
    }

    [Fact]
    public async Task A_fault_that_gained_a_property_is_still_caught()
    {
        await using Pair pair = await Pair.StartAsync(new Warehouse());
        RpcException e = await Assert.ThrowsAsync<RpcException>(async () => await pair.Client.CallAsync<int>("Take", "bolt", 7));
        Assert.Equal(new OldOutOfStock("bolt"), e.RemoteDetail!.Read<OldOutOfStock>());
        Assert.Equal("bolt", e.RemoteDetail.Read<NewOutOfStock>()!.Sku);
    }

    private sealed record OldOutOfStock(string Sku);

    private sealed record NewOutOfStock(string Sku, int Left, string Hint = "later");

    private sealed class OldStore : IOldStore
    {
        public Task<OldItem> FindAsync(string name) => Task.FromResult(new OldItem(name, 7));

        public Task<string> PutAsync(OldItem item) => Task.FromResult(item.ToString());

        public async Task<int> CountAsync(IOldWatcher watcher)
        {
            await watcher.SeenAsync(new OldItem("bolt", 1));
            return 1;
        }
    }

    private sealed class NewStore : INewStore
    {
        public Task<NewItem> FindAsync(string name, bool exact) => Task.FromResult(new NewItem(exact ? $"exact {name}" : name, 7, NewState.Closed, "drawer", "new"));

        public Task<string> PutAsync(NewItem item) => Task.FromResult(item.ToString());

        public async Task<int> CountAsync(INewWatcher watcher)
        {
            await watcher.SeenAsync(new NewItem("bolt", 1));
            try
            {
                await watcher.DoneAsync();
                return 0;
            }
            catch (RpcException e)
            {
                return (int)e.Code;
            }
        }

        public Task ClearAsync() => Task.CompletedTask;
    }

    private sealed class BrokenStore : IBrokenStore
    {
        public Task<BrokenItem> FindAsync(string name) => Task.FromResult(new BrokenItem(name, 1, "me"));

        public Task<string> PutAsync(BrokenItem item) => Task.FromResult(item.Owner);
    }

    private sealed class OldWatcher : IOldWatcher
    {
        public OldItem? Seen { get; private set; }

        public Task<string> SeenAsync(OldItem item)
        {
            Seen = item;
            return Task.FromResult(item.Name);
        }
    }

    private sealed class NewWatcher : INewWatcher
    {
        public NewItem? Seen { get; private set; }

        public Task<string> SeenAsync(NewItem item)
        {
            Seen = item;
            return Task.FromResult(item.Name);
        }

        public Task DoneAsync() => Task.CompletedTask;
    }
}
