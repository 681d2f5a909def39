using Xunit;

namespace GlooX.Generator;

/// <summary>That each mistake is reported where it was made, once, and that the other types still get their code.</summary>
public sealed class FaultTests
{
    [Fact]
    public void Two_methods_with_one_wire_name_are_refused() => Refuses("GLOOX001", """
        [RpcService] public interface IChild { Task AddAsync(); [Rpc("Add")] Task [|OtherAsync|](); }
        """);

    [Fact]
    public void Overloads_are_refused()
    {
        Generated generated = Generated.From("""
            [RpcService] public interface IChild { Task AddAsync(int a); Task [|AddAsync|](string a); }
            public class Child { [Rpc] public void Run() { } [Rpc] public void [|Run|](int a) { } [Rpc("other")] public void Run(string a) { } }
            """);

        Assert.Equal("GLOOX001 AddAsync, GLOOX001 Run", generated.Faults);
        Assert.Contains(
            "'IChild.AddAsync(int)' and 'IChild.AddAsync(string)' are both called 'Add' on the wire; give one of them another name with [Rpc(\"name\")]",
            generated.Messages,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_clash_of_two_contracts_is_reported_at_the_class_that_has_both() => Refuses("GLOOX001", """
        [RpcService] public interface IOne { Task PingAsync(); }
        [RpcService] public interface ITwo { Task PingAsync(); }
        public class [|Child|] : IOne, ITwo { Task IOne.PingAsync() => Task.CompletedTask; Task ITwo.PingAsync() => Task.CompletedTask; }
        """);

    [Fact]
    public void A_method_that_hides_another_is_a_second_one() => Refuses("GLOOX001", """
        public class Base { [Rpc] public void Ping() { } }
        public class Child : Base { [Rpc] public new void [|Ping|]() { } }
        """);

    [Theory]
    [InlineData("ref int [|a|]")]
    [InlineData("in int [|a|]")]
    [InlineData("ref readonly int [|a|]")]
    [InlineData("Span<int> [|a|]")]
    [InlineData("int* [|a|]")]
    [InlineData("int*[] [|a|]")]
    [InlineData("delegate*<void> [|a|]")]
    [InlineData("IAsyncEnumerator<int> [|a|]")]
    [InlineData("IAsyncEnumerable<int>? [|a|]")]
    [InlineData("Func<int> [|a|]")]
    [InlineData("Func<int, string> [|a|]")]
    [InlineData("Func<Func<Task>, Task> [|a|]")]
    [InlineData("Action<IChild> [|a|]")]
    [InlineData("Action<IAsyncEnumerable<int>> [|a|]")]
    [InlineData("Predicate<string> [|a|]")]
    public void A_parameter_that_cannot_travel_is_refused(string parameter) => Refuses("GLOOX002", $$"""
        [RpcService] public unsafe interface IChild { Task RunAsync({{parameter}}); }
        """);

    [Theory]
    [InlineData("System.IO.Stream", "a stream of bytes")]
    [InlineData("System.IO.MemoryStream", "a stream of bytes")]
    [InlineData("nint", "a pointer, or as large as one")]
    [InlineData("Task<int>", "a task")]
    [InlineData("ValueTask", "a task")]
    [InlineData("Exception", "an exception")]
    [InlineData("Type", "something of this process")]
    [InlineData("Delegate", "a delegate of no known signature")]
    [InlineData("IProgress<int>", "an interface that is no collection")]
    [InlineData("IDisposable", "an interface that is no collection")]
    [InlineData("System.Net.IPAddress", "a class of .NET that has no form in MessagePack")]
    [InlineData("System.Text.StringBuilder", "pass the string")]
    [InlineData("Stack<int>", "come out reversed")]
    [InlineData("ArraySegment<byte>", "pass Memory<T>")]
    [InlineData("List<System.IO.Stream>", "'Stream' is a stream of bytes")]
    [InlineData("Dictionary<string, Func<int>>", "a delegate, which can only be an argument of its own")]
    [InlineData("IChild[]", "a contract, which can only be an argument of its own")]
    [InlineData("List<IAsyncEnumerable<int>>", "a stream, which can only be an argument or a result of its own")]
    [InlineData("CancellationToken?", "a CancellationToken, which can only be the last argument")]
    [InlineData("IOdd", "an interface that is no collection and does not list its types")]
    [InlineData("Abstract", "an abstract class that does not list its types")]
    [InlineData("Closed", "a class without a public constructor")]
    [InlineData("Raw", "whose 'Raw.Body' is a stream of bytes")]
    [InlineData("List<Deep>[]", "whose 'Raw.Body' is a stream of bytes")]
    [InlineData("Held", "whose 'Held.Number' is not sent")]
    [InlineData("Half", "whose 'Half.B' is not sent")]
    [InlineData("Listed", "whose 'Listed.Items' is not sent")]
    [InlineData("Animal", "whose 'Dog.Tail' is a stream of bytes")]
    [InlineData("(int, Raw)", "whose 'Raw.Body' is a stream of bytes")]
    public void What_cannot_be_serialized_is_refused(string type, string why)
    {
        Generated generated = Generated.From($$"""
            #pragma warning disable CS0649, CS0169
            public interface IOdd { int A { get; } }
            public abstract class Abstract { public int A { get; set; } }
            public class Closed { private Closed() { } public int A { get; set; } }
            public record Raw(string Name, System.IO.Stream Body);
            public record Deep(Deep? Next, List<Raw?> Raws);
            public class Held { public int Number { get; private set; } }
            public class Half(int a) { public int A { get; } = a; public int B { get; } }
            public record Listed(int A) { public List<int> Items { get; } = []; }
            [PolyType.DerivedTypeShape(typeof(Dog))] public abstract class Animal;
            public class Dog : Animal { public System.IO.Stream? Tail { get; set; } }

            [RpcService] public interface IChild { Task TakeAsync({{type}} [|value|]); Task<{{type}}> [|GiveAsync|](); }
            public class Child { [Rpc] public void Run({{type}} [|value|]) { } }
            [RpcService] public interface IStreams { IAsyncEnumerable<{{type}}> [|AllAsync|](IAsyncEnumerable<{{type}}> [|items|]); Task RunAsync(Func<{{type}}, Task> [|call|]); }
            [RpcService, RpcFault(typeof({{type.Replace("?", "", StringComparison.Ordinal)}}))] public interface IFailing { Task [|RunAsync|](); }
            """);

        string[] expected = ["GLOOX002 value", "GLOOX003 GiveAsync", "GLOOX002 value", "GLOOX003 AllAsync", "GLOOX002 items", "GLOOX002 call", "GLOOX010 RunAsync"];
        Assert.Equal(string.Join(", ", expected), generated.Faults);
        Assert.All(generated.Messages.Split('\n'), m => Assert.Contains(why, m, StringComparison.Ordinal));
    }

    [Fact]
    public void What_can_be_serialized_is_not_refused() => Generated.From("""
        using System.Collections.Concurrent;
        using System.Collections.Frozen;
        using System.Collections.Immutable;
        using System.Numerics;
        using PolyType;

        public sealed record Node(string Name, Node? Next, ImmutableArray<Node> Rest) { public int Depth => Next is null ? 0 : Next.Depth + 1; }
        public class Plain { public int A { get; set; } public readonly string Const = ""; public List<int> Items { get; } = []; [PropertyShape(Ignore = true)] public System.IO.Stream? Body { get; set; } }
        public class Given { public Given(int a, string? b) => (A, B) = (a, b); public int A { get; } public string? B { get; } private Type? Secret { get; set; } internal Task? Hidden = null; }
        public struct Pair { public int A; public double? B { get; init; } public int this[int i] => i; public static Type? Kind { get; set; } }
        public class Numbers : List<int>;
        [DerivedTypeShape(typeof(Dog)), DerivedTypeShape(typeof(Cat), Tag = 3)] public abstract record Animal(string Name);
        public record Dog(string Name, int Age) : Animal(Name);
        public record Cat(string Name) : Animal(Name);
        [DerivedTypeShape(typeof(Thing))] public interface IThing;
        public class Thing : IThing { public object? Anything { get; set; } }
        public record Generic<T>(T Value, Dictionary<string, T[]> Map) where T : struct;
        [TypeShape(Kind = TypeShapeKind.None)] public class Own { private Own() { } public Task? Body { get; set; } }

        [RpcService, RpcFault(typeof(Node)), RpcFault(typeof(int))]
        public interface IChild
        {
            Task OneAsync(Node node, Plain plain, Given? given, Pair? pair, Numbers numbers, Animal animal, IThing[] things, Generic<Guid> generic, Own own, object anything);
            Task TwoAsync(Guid a, TimeSpan b, DateTime c, DateTimeOffset d, DateOnly e, TimeOnly f, Half g, Int128 h, UInt128 i, BigInteger j, decimal k, Uri l, Version m, Complex n, char o);
            Task<IEnumerable<int>> ThreeAsync(IReadOnlyList<int?> a, ISet<string> b, IReadOnlyDictionary<int, Node> c, HashSet<Guid> d, SortedDictionary<string, int> e, FrozenSet<int> f, ConcurrentDictionary<(int, int), long> g, Queue<byte> h, LinkedList<int> i, KeyValuePair<int, string> j);
            Task<(int A, (string? B, Node C) D)> FourAsync(Memory<byte> a, ReadOnlyMemory<byte>? b, int[][] c, int[,] d, DayOfWeek e, Tuple<int, string> f, Lazy<int> g, Vector3 h, ImmutableDictionary<string, object?> i, List<object> j);
            IAsyncEnumerable<ReadOnlyMemory<byte>> FiveAsync(IAsyncEnumerable<Animal?> animals, Func<Animal, Task<IThing>> map);
        }
        """).IsClean();

    [Fact]
    public void A_delegate_that_cannot_be_called_back_says_why()
    {
        Generated generated = Generated.From("""
            public delegate Task Take(ref int number);
            public delegate Task Late(CancellationToken ct, int number);
            [RpcService] public interface IChild { Task OneAsync(Func<int, string> [|a|]); Task TwoAsync(Take [|b|]); Task ThreeAsync(Late [|c|]); }
            """);

        Assert.Equal("GLOOX002 a, GLOOX002 b, GLOOX002 c", generated.Faults);
        Assert.Contains("the delegate 'Func<int, string>', which returns 'string' (a call over the network takes time", generated.Messages, StringComparison.Ordinal);
        Assert.Contains("the delegate 'Take', whose parameter 'number' is passed by 'ref'", generated.Messages, StringComparison.Ordinal);
        Assert.Contains("the delegate 'Late', which takes a CancellationToken before its last parameter", generated.Messages, StringComparison.Ordinal);
    }

    [Fact]
    public void An_out_parameter_is_refused() => Refuses("GLOOX002", """
        public class Child { [Rpc] public void Run(int fine, out int [|a|]) => a = 1; }
        """);

    [Theory]
    [InlineData("int")]
    [InlineData("void")]
    [InlineData("Task<IAsyncEnumerable<int>>")]
    [InlineData("Task?")]
    public void A_contract_that_returns_anything_but_a_task_is_refused(string type) => Refuses("GLOOX003", $$"""
        [RpcService] public interface IChild { {{type}} [|RunAsync|](); }
        """);

    [Theory]
    [InlineData("async void", "{ await Task.Yield(); }")]
    [InlineData("Span<int>", "=> default;")]
    [InlineData("ref int", "=> ref (new int[1])[0];")]
    [InlineData("Task<IAsyncEnumerable<int>>", "=> null!;")]
    public void A_class_that_returns_what_cannot_travel_is_refused(string type, string body) => Refuses("GLOOX003", $$"""
        public class Child { [Rpc] public {{type}} [|RunAsync|]() {{body}} }
        """);

    [Theory]
    [InlineData("Task<int>", "")]
    [InlineData("IAsyncEnumerable<int>", "")]
    [InlineData("Task", "IAsyncEnumerable<int> items")]
    public void A_one_way_call_that_brings_something_back_is_refused(string type, string parameters) => Refuses("GLOOX003", $$"""
        [RpcService] public interface IChild { [Rpc(OneWay = true)] {{type}} [|RunAsync|]({{parameters}}); }
        """);

    [Theory]
    [InlineData("[RpcService] public interface IChild { Task [|RunAsync|]<T>(T value); }")]
    [InlineData("[RpcService] public interface [|IChild|]<T> { Task RunAsync(T value); }")]
    [InlineData("public class Child<T> { [RpcService] public interface [|IChild|] { Task RunAsync(); } }")]
    [InlineData("public class [|Child|]<T> { [Rpc] public void Run(T value) { } }")]
    [InlineData("public class Child { [Rpc] public void [|Run|]<T>() { } }")]
    public void What_is_generic_is_refused(string source) => Refuses("GLOOX004", source);

    [Fact]
    public void A_generic_base_class_is_fine_when_it_is_abstract() => Generated.From("""
        public abstract class Base<T> { [Rpc] public T Run(T value) => value; }
        public class Child : Base<string>;
        """).IsClean();

    [Theory]
    [InlineData("CancellationToken [|ct|], int a")]
    [InlineData("CancellationToken [|a|], CancellationToken b")]
    public void A_cancellation_token_that_is_not_last_is_refused(string parameters) => Refuses("GLOOX005", $$"""
        [RpcService] public interface IChild { Task RunAsync({{parameters}}); }
        """);

    [Theory]
    [InlineData("int [|Count|] { get; }")]
    [InlineData("int [|this|][int index] { get; }")]
    [InlineData("event Action [|Changed|];")]
    [InlineData("static abstract Task [|MakeAsync|]();")]
    public void A_contract_with_anything_but_methods_is_refused(string member) => Refuses("GLOOX006", $$"""
        [RpcService] public interface IChild { {{member}} }
        """);

    [Theory]
    [InlineData("public class Outer { private class [|Child|] { [Rpc] public void Run() { } } }")]
    [InlineData("public class Outer { protected class Inner { public class [|Child|] { [Rpc] public void Run() { } } } }")]
    [InlineData("file class [|Child|] { [Rpc] public void Run() { } }")]
    [InlineData("public struct [|Child|] { [Rpc] public void Run() { } }")]
    [InlineData("file interface [|IChild|] { Task RunAsync(); }", "[RpcService] ")]
    [InlineData("public class Base { [Rpc] public void Run() { } } file class [|Child|] : Base;")]
    public void A_type_that_generated_code_cannot_see_is_refused(string source, string attribute = "") => Refuses("GLOOX007", attribute + source);

    [Theory]
    [InlineData("[Rpc] private void [|Run|]() { }")]
    [InlineData("[Rpc] protected void [|Run|]() { }")]
    [InlineData("[Rpc] private protected void [|Run|]() { }")]
    [InlineData("[Rpc] public static void [|Run|]() { }")]
    [InlineData("[Rpc] void IDisposable.[|Dispose|]() { }")]
    public void A_method_that_generated_code_cannot_call_is_refused(string method) => Refuses("GLOOX008", $$"""
        public class Child : {{(method.Contains("IDisposable", StringComparison.Ordinal) ? "IDisposable" : "object")}} { {{method}} }
        """);

    [Theory]
    [InlineData("")]
    [InlineData("  ")]
    public void An_empty_wire_name_is_refused(string name) => Refuses("GLOOX009", $$"""
        [RpcService] public interface IChild { [Rpc("{{name}}")] Task [|RunAsync|](); }
        """);

    [Fact]
    public void A_fault_of_a_contract_or_base_class_is_reported_once() => Refuses("GLOOX003", """
        [RpcService] public interface IChild { int [|Run|](); }
        public class One : IChild { public int Run() => 1; }
        public class Two : IChild { [Rpc("own")] public int Run() => 1; }
        """);

    [Fact]
    public void A_fault_that_comes_from_another_assembly_is_reported_at_the_contract()
    {
        Generated library = Generated.From("namespace Library; public interface IBase { int Run(); }");

        Generated generated = Generated.From("[RpcService] public interface [|IChild|] : Library.IBase;", library);

        Assert.Equal("GLOOX003 IChild", generated.Faults);
    }

    [Fact]
    public void Other_types_still_get_their_code()
    {
        Generated generated = Generated.From("""
            [RpcService] public interface IFaulty { int [|Run|](); }
            [RpcService] public interface IFine { Task RunAsync(); }
            """);

        Assert.Equal("GLOOX003 Run", generated.Faults);
        Assert.Equal("GlooX.RpcRegistration, IFine.Dispatcher, IFine.Proxy", generated.Files);
        Assert.Empty(generated.CompilerComplaints);
    }

    /// <summary>One fault, at the mark, and no code.</summary>
    private static void Refuses(string id, string source)
    {
        Generated generated = Generated.From(source);

        string marked = source[(source.IndexOf("[|", StringComparison.Ordinal) + 2)..source.IndexOf("|]", StringComparison.Ordinal)];
        Assert.Equal($"{id} {marked}", generated.Faults);
        Assert.DoesNotContain("Child.", generated.Files, StringComparison.Ordinal);
    }
}
