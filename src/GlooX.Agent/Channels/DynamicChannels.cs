using System.Dynamic;
using GlooX.Workers;

namespace GlooX.Channels;

/// <summary>
/// An agent's channels by their names, for scripts: <c>dynamic n1 = agent.AsDynamic(); n1.my_nodes.a1 = 99;</c>. A channel's keys are
/// members and indexes of it; reading one that is not there gives null. Assignment blocks while other nodes lag behind.
/// </summary>
internal sealed class DynamicChannels(Agent agent) : DynamicObject
{
    public override IEnumerable<string> GetDynamicMemberNames() => agent.Channels;

    public override bool TryGetMember(GetMemberBinder binder, out object? result)
    {
        result = new DynamicChannel(agent.Channel(binder.Name));
        return true;
    }

    public override bool TryGetIndex(GetIndexBinder binder, object[] indexes, out object? result)
    {
        result = new DynamicChannel(agent.Channel((string)indexes[0]));
        return true;
    }
}

/// <summary>One of them.</summary>
internal sealed class DynamicChannel(IChannel<object?> channel) : DynamicObject
{
    public override IEnumerable<string> GetDynamicMemberNames() => Result(channel.ToDictionaryAsync()).Keys;

    public override bool TryGetMember(GetMemberBinder binder, out object? result)
    {
        result = Result(channel.GetAsync(binder.Name));
        return true;
    }

    public override bool TrySetMember(SetMemberBinder binder, object? value) => Set(binder.Name, value);

    public override bool TryGetIndex(GetIndexBinder binder, object[] indexes, out object? result)
    {
        result = Result(channel.GetAsync((string)indexes[0]));
        return true;
    }

    public override bool TrySetIndex(SetIndexBinder binder, object[] indexes, object? value) => Set((string)indexes[0], value);

    public override bool TryInvokeMember(InvokeMemberBinder binder, object?[]? args, out object? result)
    {
        object?[] a = args ?? [];
        result = (binder.Name, a.Length) switch
        {
            ("set", 2) => channel.SetAsync((string)a[0]!, a[1]).AsTask(),
            ("get", 1) => Result(channel.GetAsync((string)a[0]!)),
            ("delete", 1) => channel.DeleteAsync((string)a[0]!).AsTask(),
            ("add", 2) => channel.AddAsync((string)a[0]!, Convert.ToInt64(a[1], null)).AsTask(),
            ("on_set", 2) when a[1] is Action<object?> handler => Result(channel.OnSetAsync((string)a[0]!, (_, value) => handler(value))),
            ("on_set", 1) when a[0] is Action<string, object?> handler => Result(channel.OnSetAsync(Keys.All, handler)),
            ("on_delete", 2) when a[1] is Action<string> handler => Result(channel.OnDeleteAsync((string)a[0]!, handler)),
            _ => throw new MissingMethodException($"a channel has set, get, delete, add, on_set and on_delete; not {binder.Name} with {a.Length} arguments of these types"),
        };
        return true;
    }

    // An agent's reads are complete at once.
    private static T Result<T>(ValueTask<T> read) => read.AsTask().GetAwaiter().GetResult();

    private bool Set(string key, object? value)
    {
        ValueTask set = channel.SetAsync(key, value);
        if (!set.IsCompletedSuccessfully)
        {
            set.AsTask().GetAwaiter().GetResult();
        }

        return true;
    }
}
