namespace GlooX.Rpc.Tests.RpcRuntime;

[RpcService]
public interface ISpeaker
{
    Task<string> SpeakAsync();
}

[RpcService]
public interface ISinger
{
    Task<string> SingAsync();
}

public class Person : ISpeaker
{
    public Task<string> SpeakAsync() => Task.FromResult("hello");
}

/// <summary>Objects of classes that generated code cannot name are served through what they are known as.</summary>
public sealed class HiddenTests
{
    [Fact]
    public async Task A_private_class_is_served_through_its_contracts_and_its_base_class()
    {
        await using Pair pair = await Pair.StartAsync(new Hidden());
        Assert.Equal("hello", await pair.Client.As<ISpeaker>().SpeakAsync());
        Assert.Equal("la", await pair.Client.As<ISinger>().SingAsync());
    }

    [Fact]
    public async Task So_is_a_generic_one()
    {
        await using Pair pair = await Pair.StartAsync(new Typed<int>(5));
        Assert.Equal("5", await pair.Client.As<ISpeaker>().SpeakAsync());
        Assert.Equal(RpcError.MethodNotFound, (await Assert.ThrowsAsync<RpcException>(() => pair.Client.As<ISinger>().SingAsync())).Code);
    }

    private sealed class Hidden : Person, ISinger
    {
        public Task<string> SingAsync() => Task.FromResult("la");
    }

    private sealed class Typed<T>(T value) : ISpeaker
    {
        public Task<string> SpeakAsync() => Task.FromResult($"{value}");
    }
}
