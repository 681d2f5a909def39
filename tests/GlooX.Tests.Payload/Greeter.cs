namespace GlooX.Tests.Payload;

/// <summary>An add-on that knows its node.</summary>
public sealed class Greeter : IGreeter, IAddon
{
    private AddonContext? _context;

    public ValueTask<string> GreetAsync(string name) =>
        new($"{_context?.Options.GetValueOrDefault("greeting", "hello")}, {name}, from {_context?.Name}");

    public ValueTask<string> GreetPersonAsync(Person person) => GreetAsync($"{person.Name} of {person.Town}");

    public Task StartAsync(AddonContext context, CancellationToken ct)
    {
        _context = context;
        return Task.CompletedTask;
    }
}

public sealed record Person(string Name, string Town);

[RpcService]
public interface IGreeter
{
    ValueTask<string> GreetAsync(string name);

    ValueTask<string> GreetPersonAsync(Person person);
}

/// <summary>Another one, so that a class must be named.</summary>
public sealed class Counter
{
    private int _count;

    [Rpc]
    public int Next() => ++_count;
}
