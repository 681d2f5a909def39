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
