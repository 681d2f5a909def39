using GlooX.RpcRuntime;
using Xunit;

namespace GlooX.Generator;

/// <summary>Which methods of a class can be called, and under which names.</summary>
public sealed class DispatcherTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public void A_class_has_its_own_methods_and_those_of_its_contracts()
    {
        RpcDispatcher dispatcher = Dispatcher("""
            [RpcService] public interface IShared { Task PongAsync(); }
            [RpcService] public interface IChild : IShared { Task<int> AddAsync(int a, int b); [Rpc("x")] Task Async(); }

            public class Child : IChild
            {
                public Task PongAsync() => Task.CompletedTask;
                public Task<int> AddAsync(int a, int b) => Task.FromResult(a + b);
                public Task Async() => Task.CompletedTask;
                [Rpc] public int Local() => 1;
                [Rpc("renamed")] public int Other() => 1;
                public int Hidden() => 1;
            }
            """);

        Assert.Equal(["Pong", "Add", "x", "Local", "renamed"], dispatcher.Methods);
    }

    [Fact]
    public void One_method_reached_by_two_roads_is_one_entry()
    {
        RpcDispatcher dispatcher = Dispatcher("""
            [RpcService] public interface IOne { Task PingAsync(); }
            [RpcService] public interface ITwo { Task PingAsync(); }

            public class Child : IOne, ITwo { [Rpc] public Task PingAsync() => Task.CompletedTask; }
            """);

        Assert.Equal(["Ping"], dispatcher.Methods);
    }

    [Fact]
    public void One_method_with_two_names_has_two_entries()
    {
        RpcDispatcher dispatcher = Dispatcher("""
            [RpcService] public interface IChild { Task PingAsync(); }

            public class Child : IChild { [Rpc("p")] public Task PingAsync() => Task.CompletedTask; }
            """);

        Assert.Equal(["Ping", "p"], dispatcher.Methods);
    }

    [Fact]
    public async Task Inherited_methods_can_be_called_and_overrides_answer()
    {
        var assembly = Generated.From("""
            public abstract class Base<T>
            {
                [Rpc] public abstract T Get(T value);
                [Rpc] public virtual string Who() => "base";
            }

            public class Middle : Base<int> { public override int Get(int value) => value + 1; [Rpc] public override string Who() => "middle"; }
            public sealed class Child : Middle;
            """).Load();
        RpcDispatcher dispatcher = assembly.Dispatcher("Child");

        Assert.Equal(["Get", "Who"], dispatcher.Methods);
        Assert.Equal(8, await dispatcher.ServeAsync("Get", assembly.New("Child"), [0x91, 7], Ct));
        Assert.Equal("middle", await dispatcher.ServeAsync("Who", assembly.New("Child"), [0x90], Ct));
    }

    [Fact]
    public async Task Explicit_implementations_answer()
    {
        var assembly = Generated.From("""
            [RpcService] public interface IOne { Task<int> GetAsync(); }
            public class Child : IOne { Task<int> IOne.GetAsync() => Task.FromResult(1); }
            """).Load();

        Assert.Equal(1, await assembly.Dispatcher("Child").ServeAsync("Get", assembly.New("Child"), [0x90], Ct));
        Assert.Equal(1, await assembly.Dispatcher("IOne").ServeAsync("Get", assembly.New("Child"), [0x90], Ct));
    }

    [Fact]
    public void Contracts_and_base_classes_of_other_assemblies_count()
    {
        Generated library = Generated.From("""
            namespace Library;
            [RpcService] public interface IChild { ValueTask<string?> EchoAsync(string? text = "none"); }
            public abstract class Agent { [Rpc] public void Stop() { } }
            """);

        string dispatcher = Generated.From("public sealed partial class Child : Library.Agent; partial class Child : Library.IChild { public ValueTask<string?> EchoAsync(string? text) => new(text); }", library)
            .IsClean().File("Child.Dispatcher.g.cs");

        Assert.Contains("[\"Echo\", \"Stop\"]", dispatcher, StringComparison.Ordinal);
    }

    [Fact]
    public void A_hidden_implementation_is_left_to_the_dispatcher_of_its_contract()
    {
        Generated generated = Generated.From("""
            [RpcService] public interface IChild { Task PingAsync(); }
            public class Outer { private sealed class Double : IChild { public Task PingAsync() => Task.CompletedTask; } }
            file sealed class Local : IChild { public Task PingAsync() => Task.CompletedTask; }
            public sealed class Typed<T> : IChild { public Task PingAsync() => Task.CompletedTask; }
            """).IsClean();

        Assert.Equal("GlooX.RpcRegistration, IChild.Dispatcher, IChild.Proxy", generated.Files);
    }

    private static RpcDispatcher Dispatcher(string source) => Generated.From(source).Load().Dispatcher("Child");
}
