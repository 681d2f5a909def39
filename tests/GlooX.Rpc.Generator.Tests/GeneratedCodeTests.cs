using Microsoft.CodeAnalysis;
using Xunit;

namespace GlooX.Generator;

/// <summary>That generated code compiles without a warning, whatever a contract or class looks like.</summary>
public sealed class GeneratedCodeTests
{
    [Fact]
    public void A_rich_contract_compiles_without_a_warning() => Generated.From("""
        #pragma warning disable CS8625
        namespace Shop.@event;

        public enum Color : byte { Red, Green = 7 }
        public sealed record Point(int X, int Y);

        [RpcService]
        public interface IEverything
        {
            ValueTask<bool> PrimitivesAsync(bool a, sbyte b, byte c, short d, ushort e, int f, uint g, long h, ulong i, float j, double k, char l, string m, byte[] n, decimal o, CancellationToken ct = default);
            Task<string?> NullableAsync(int? a, string? b, byte[]? c, Point? d, Color? e, List<string?>? f, bool? g, object? h);
            ValueTask OptionalAsync(string a, int b = -5, Color c = Color.Green, string? d = null, string e = "x\n\"", double f = double.NaN, float g = 1.5f, decimal h = 1.5m, byte i = 3, long? j = 4, DateTime k = default, string l = null, uint m = uint.MaxValue, char n = '\'', Color? o = Color.Red, float p = float.NegativeInfinity, sbyte q = -1, bool r = true, object? s = null, long t = long.MinValue, byte[]? u = null, CancellationToken ct = default);
            Task<(int A, string? B)> TupleAsync((int A, string? B) pair, int[] @class, Dictionary<string, Point[]> map, params string[] rest);
            [Obsolete("old")] Task OldAsync();
            ValueTask<byte[]> KeywordsAsync(int @event, int target, int reader, int serializer, int ct, int method, int count, int value, int field, int await, CancellationToken cancellationToken);
            ValueTask<byte[]?> @class(byte[] a, byte[]? b);
            ValueTask<Point?> PointAsync(Point point);
            Task<int> IntAsync();
            ValueTask<Guid> GuidAsync(Guid guid, DateTimeOffset time, TimeSpan span);
            Task<List<string>> ListAsync(IReadOnlyList<int> items, Color[,] matrix);
            Task<object> ObjectAsync(object value);
            static string Helper() => "not called over the network";
            private void Secret() { }
            Task WithBodyAsync() => Task.CompletedTask;
        }

        [Obsolete] internal sealed class Old { [Rpc] public void Ping() { } }
        """).IsClean();

    [Fact]
    public void Delegates_compile_without_a_warning_wherever_they_stand() => Generated.From("""
        public sealed record Point(int X, int Y);
        public delegate ValueTask<Point?> Move(Point @event, string? target, CancellationToken ct);
        public delegate Task Listen(params int[] values);

        [RpcService]
        public interface IChild
        {
            Task OneAsync(Action progress, Action<int, Point?>? report = null, Func<Task>? done = null, CancellationToken ct = default);
            ValueTask<int> TwoAsync(Move move, Move? perhaps, int number, IChild? other = null);
            IAsyncEnumerable<int> ThreeAsync(Func<int, IAsyncEnumerable<string>> source, IAsyncEnumerable<int> numbers);
            Task FourAsync(Listen listen, Func<IChild, Task<(int A, string? B)>> use, Func<string?, byte[], ValueTask<List<int>>> map);
            [Rpc("five", OneWay = true)] Task FourAsync(Action<CancellationToken> stop);
        }

        public class Child { [Rpc] public void Run(Func<int, Task<int>> @class, Action<string> then) { } [Rpc("b")] public int Run(Func<Task>? f) => 1; }
        """).IsClean();

    [Fact]
    public void Code_without_nullable_annotations_compiles_without_a_warning() => Generated.From("""
        #nullable disable
        [RpcService]
        public interface IOld
        {
            Task<string> EchoAsync(string text, byte[] bytes, List<string> list, string optional = null);
            Task CallAsync(Func<string, Task<string>> echo, Action<List<string>> done = null);
        }

        public class Old : IOld
        {
            public Task<string> EchoAsync(string text, byte[] bytes, List<string> list, string optional) => Task.FromResult(text);
            public Task CallAsync(Func<string, Task<string>> echo, Action<List<string>> done) => Task.CompletedTask;
            [Rpc] public string Plain(string text) => text;
        }
        """).IsClean();

    [Fact]
    public void A_class_may_return_in_any_way() => Generated.From("""
        public record Child(string Name)
        {
            [Rpc] public int Plain(int a, CancellationToken ct) => a;
            [Rpc] public string? Text() => null;
            [Rpc] public object Any() => 1;
            [Rpc] public void Nothing() { }
            [Rpc] internal Task TaskAsync() => Task.CompletedTask;
            [Rpc] public Task<object> TaskOfAsync() => Task.FromResult<object>(1);
            [Rpc] public ValueTask ValueTaskAsync(CancellationToken ct) => default;
            [Rpc] public ValueTask<byte[]?> ValueTaskOfAsync() => default;
            [Rpc] protected internal int Shared() => 1;
        }
        """).IsClean();

    [Fact]
    public void A_file_with_top_level_statements_and_types_in_the_global_namespace_compiles()
    {
        Generated generated = Generated.From(
            """
            Console.WriteLine(typeof(Child));

            [RpcService] public interface IChild { ValueTask<int> AddAsync(int a, int b); }

            public sealed class Child : IChild
            {
                public ValueTask<int> AddAsync(int a, int b) => new(a + b);
            }
            """,
            OutputKind.ConsoleApplication).IsClean();

        Assert.Equal("Child.Dispatcher, GlooX.RpcRegistration, IChild.Dispatcher, IChild.Proxy", generated.Files);
    }

    [Fact]
    public void Nested_types_records_and_names_with_underscores_stay_apart()
    {
        Generated generated = Generated.From("""
            namespace A
            {
                public class B { public class C { [Rpc] public void Ping() { } } }
                public record B_C { [Rpc] public void Ping() { } }
            }

            namespace A_B { internal class C { [Rpc] public void Ping() { } } }
            namespace A { internal class B<T>; internal class ProxyDispatcher { [Rpc] public void Ping() { } } }
            """).IsClean();

        Assert.Equal(
            "A.B.C.Dispatcher, A.B_C.Dispatcher, A.ProxyDispatcher.Dispatcher, A_B.C.Dispatcher, GlooX.RpcRegistration",
            generated.Files);
    }

    [Fact]
    public void A_proxy_implements_what_its_contract_inherits() => Generated.From("""
        public interface IPing { [Rpc("ping")] Task PingAsync(); }
        public interface IGet<T> { Task<T> GetAsync(T value); }

        [RpcService] public interface IShared : IPing { Task PongAsync(); }
        [RpcService] public interface IChild : IShared, IPing, IGet<int> { Task ChildAsync(); }
        """).IsClean();

    [Fact]
    public void Without_contracts_nothing_is_generated() =>
        Assert.Equal("", Generated.From("public sealed class Plain : IDisposable { public void Dispose() { } }").IsClean().Files);

    [Fact]
    public void An_empty_contract_compiles() =>
        Generated.From("[RpcService] public interface INothing; public class Nothing : INothing;").IsClean();

    [Fact]
    public void All_types_are_registered_when_the_assembly_is_loaded()
    {
        string registration = Generated.From("""
            namespace Shop;
            [RpcService] public interface IChild { Task RunAsync(); }
            public class Outer { public class Child { [Rpc] public void Run() { } } }
            """).IsClean().File("GlooX.RpcRegistration.g.cs");

        Assert.Contains("AddProxy<global::Shop.IChild>(static invoker => new global::GlooX.Generated.Shop_IChildProxy(invoker));", registration, StringComparison.Ordinal);
        Assert.Contains("AddDispatcher(typeof(global::Shop.IChild), new global::GlooX.Generated.Shop_IChildDispatcher());", registration, StringComparison.Ordinal);
        Assert.Contains("AddDispatcher(typeof(global::Shop.Outer.Child), new global::GlooX.Generated.Shop_Outer_ChildDispatcher());", registration, StringComparison.Ordinal);
    }

    [Fact]
    public void Shapes_that_were_generated_are_registered_once_for_their_assembly()
    {
        Generated library = Generated.From("namespace Library; public record Far(int A) : PolyType.IShapeable<Far> { static PolyType.ITypeShape<Far> PolyType.IShapeable<Far>.GetTypeShape() => null!; }");
        string registration = Generated.From("""
            [PolyType.GenerateShape] public partial record Item(int A) : PolyType.IShapeable<Item> { static PolyType.ITypeShape<Item> PolyType.IShapeable<Item>.GetTypeShape() => null!; }
            [PolyType.GenerateShape] public partial record Other(int A) : PolyType.IShapeable<Other> { static PolyType.ITypeShape<Other> PolyType.IShapeable<Other>.GetTypeShape() => null!; }
            public record Plain(int A);
            [RpcService] public interface IChild { Task<List<Item?>> OneAsync(Plain plain, Func<Other, Task> change); IAsyncEnumerable<Library.Far[]> TwoAsync(Item item); }
            [RpcService, RpcFault(typeof(Other))] public interface ISecond { Task RunAsync(); }
            """, library).IsClean().File("GlooX.RpcRegistration.g.cs");

        Assert.Equal(3, registration.Split("AddShapes(static () => global::PolyType.Abstractions.TypeShapeResolver.Resolve<").Length);
        Assert.Contains("Resolve<global::Item>().Provider", registration, StringComparison.Ordinal);
        Assert.Contains("Resolve<global::Library.Far>().Provider", registration, StringComparison.Ordinal);
    }

    [Fact]
    public void The_details_of_failures_reach_the_proxy()
    {
        string proxy = Generated.From("""
            public record Gone(string Why);
            [RpcService, RpcFault(typeof(Gone))] public interface IChild { [RpcFault(typeof(int))] Task OneAsync(); Task TwoAsync(); }
            """).IsClean().File("IChild.Proxy.g.cs");

        Assert.Contains("[new global::GlooX.RpcRuntime.RpcFaultKind<int>(), new global::GlooX.RpcRuntime.RpcFaultKind<global::Gone>()]", proxy, StringComparison.Ordinal);
        Assert.Contains("false, [new global::GlooX.RpcRuntime.RpcFaultKind<global::Gone>()]", proxy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_and_a_timeout_reach_the_proxy()
    {
        string proxy = Generated.From("""
            [RpcService] public interface IChild { [Rpc("go \"now\"", TimeoutMilliseconds = 250)] Task RunAsync(); }
            """).IsClean().File("IChild.Proxy.g.cs");

        Assert.Contains("\"go \\\"now\\\"\",", proxy, StringComparison.Ordinal);
        Assert.Contains("250,", proxy, StringComparison.Ordinal);
    }

    [Fact]
    public void That_a_method_is_idempotent_reaches_the_proxy()
    {
        string proxy = Generated.From("""
            [RpcService] public interface IChild { [Rpc(Idempotent = true)] Task RunAsync(); [Rpc(Idempotent = false)] Task StopAsync(); Task GoAsync(); }
            """).IsClean().File("IChild.Proxy.g.cs");

        string[] methods = proxy.Split("private static readonly global::GlooX.RpcRuntime.RpcMethod<");
        Assert.Equal([true, false, false], methods.Skip(1).Select(static m => m[..m.IndexOf(");", StringComparison.Ordinal)].EndsWith("true", StringComparison.Ordinal)));
    }
}
