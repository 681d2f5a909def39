using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Xunit;

namespace GlooX.Generator;

/// <summary>That the generator does not work again for edits that do not concern it.</summary>
public sealed class CachingTests
{
    private const string Source = """
        [RpcService] [RpcFault(typeof(string))] public interface IChild { ValueTask<int> AddAsync(int a, int b); Task CallAsync(Func<int, Task> back, Action<string>? told = null); }
        public class Child : IChild { public ValueTask<int> AddAsync(int a, int b) => new(a + b); public Task CallAsync(Func<int, Task> back, Action<string>? told) => Task.CompletedTask; }
        public class Other { [Rpc] public void Run() { } [Rpc] private void Faulty() { } }
        public class Third { [Rpc] public void Run() { } }
        """;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public void An_edit_elsewhere_writes_nothing_again()
    {
        CSharpCompilation before = Generated.Compile(Source);
        CSharpCompilation after = before.AddSyntaxTrees(Generated.Parse("public sealed class Unrelated : IDisposable { public void Dispose() { } }", "Unrelated.cs"));

        GeneratorRunResult result = RunTwice(before, after);

        Assert.All(Outputs(result), static reason => Assert.Equal(IncrementalStepRunReason.Cached, reason));
        foreach (string step in (string[])[RpcGenerator.ContractsStep, RpcGenerator.ClassesStep, RpcGenerator.FaultsStep, RpcGenerator.RegistrationsStep])
        {
            Assert.All(
                result.TrackedSteps[step].SelectMany(static s => s.Outputs),
                static o => Assert.True(o.Reason is IncrementalStepRunReason.Cached or IncrementalStepRunReason.Unchanged, $"{o.Reason}"));
        }
    }

    [Fact]
    public void An_edit_of_a_body_writes_nothing_again()
    {
        CSharpCompilation before = Generated.Compile(Source);
        SyntaxTree tree = before.SyntaxTrees[0];
        CSharpCompilation after = before.ReplaceSyntaxTree(tree, Generated.Parse(Source.Replace("new(a + b)", "new(b + a)", StringComparison.Ordinal), tree.FilePath));

        Assert.All(Outputs(RunTwice(before, after)), static reason => Assert.Equal(IncrementalStepRunReason.Cached, reason));
    }

    [Fact]
    public void An_edit_of_one_type_writes_only_that_type_again()
    {
        CSharpCompilation before = Generated.Compile(Source);
        SyntaxTree tree = before.SyntaxTrees[0];
        CSharpCompilation after = before.ReplaceSyntaxTree(tree, Generated.Parse(Source.Replace("class Third { [Rpc] public void Run()", "class Third { [Rpc] public void Go()", StringComparison.Ordinal), tree.FilePath));

        Assert.Single(Outputs(RunTwice(before, after)), static reason => reason is IncrementalStepRunReason.Modified);
    }

    private static GeneratorRunResult RunTwice(CSharpCompilation before, CSharpCompilation after) =>
        Generated.Driver().RunGenerators(before, Ct).RunGenerators(after, Ct).GetRunResult().Results.Single();

    private static IEnumerable<IncrementalStepRunReason> Outputs(GeneratorRunResult result) =>
        result.TrackedOutputSteps.SelectMany(static s => s.Value).SelectMany(static s => s.Outputs).Select(static o => o.Reason);
}
