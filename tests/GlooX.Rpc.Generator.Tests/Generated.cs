using System.Collections.Immutable;
using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;
using Xunit;

namespace GlooX.Generator;

/// <summary>What the generator makes of some sources, compiled against the real contract as a user's project would be.</summary>
/// <remarks>In the first source <c>[|…|]</c> marks where faults are expected.</remarks>
internal sealed class Generated
{
    private const string Usings = """
        global using System;
        global using System.Collections.Generic;
        global using System.Threading;
        global using System.Threading.Tasks;
        global using GlooX;
        """;

    private static readonly MetadataReference[] s_references = [..
        ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(static path => MetadataReference.CreateFromFile(path))];

    // The SDK suppresses the notes that a library was built against an older framework.
    private static readonly Dictionary<string, ReportDiagnostic> s_asTheSdkDoes =
        new(StringComparer.Ordinal) { ["CS1701"] = ReportDiagnostic.Suppress, ["CS1702"] = ReportDiagnostic.Suppress };

    private readonly Compilation _output;
    private readonly GeneratorDriverRunResult _result;
    private readonly string[] _marked;
    private readonly string _source;

    private Generated(string source, IEnumerable<MetadataReference> references, OutputKind kind)
    {
        (_source, _marked) = ReadMarks(source);
        GeneratorDriver driver = Driver().RunGeneratorsAndUpdateCompilation(
            Compile(_source, references, kind), out _output, out _, TestContext.Current.CancellationToken);
        _result = driver.GetRunResult();
    }

    /// <summary>Id and marked text of each fault, in the order of the source.</summary>
    public string Faults => string.Join(", ", _result.Diagnostics
        .OrderBy(static d => d.Location.SourceSpan.Start)
        .Select(d => $"{d.Id} {Describe(d.Location.SourceSpan)}"));

    public string Messages => string.Join('\n', _result.Diagnostics.Select(static d => d.GetMessage()));

    /// <summary>Names of the generated files, without <c>.g.cs</c>.</summary>
    public string Files => string.Join(", ", _result.GeneratedTrees
        .Select(static t => Path.GetFileName(t.FilePath).Replace(".g.cs", "", StringComparison.Ordinal))
        .Order(StringComparer.Ordinal));

    /// <summary>What the compiler says of it all, generated code included.</summary>
    public IEnumerable<string> CompilerComplaints => _output.GetDiagnostics(TestContext.Current.CancellationToken)
        .Where(static d => d.Severity >= DiagnosticSeverity.Warning)
        .Select(static d => $"{d.Location.SourceTree?.FilePath} {d.Id}: {d.GetMessage()}: {d.Location.SourceTree?.ToString().Substring(d.Location.SourceSpan.Start, d.Location.SourceSpan.Length)}");

    public static Generated From(string source, OutputKind kind = OutputKind.DynamicallyLinkedLibrary) => new(source, s_references, kind);

    /// <summary>As <see cref="From"/>, with another project whose generated code is compiled in.</summary>
    public static Generated From(string source, Generated library) =>
        new(source, s_references.Append(MetadataReference.CreateFromImage(library.Emit())), OutputKind.DynamicallyLinkedLibrary);

    public static CSharpGeneratorDriver Driver() => CSharpGeneratorDriver.Create(
        [new RpcGenerator().AsSourceGenerator()],
        parseOptions: CSharpParseOptions.Default.WithLanguageVersion(LanguageVersion.Latest),
        driverOptions: new GeneratorDriverOptions(IncrementalGeneratorOutputKind.None, trackIncrementalGeneratorSteps: true));

    public static CSharpCompilation Compile(string source) => Compile(source, s_references, OutputKind.DynamicallyLinkedLibrary);

    public static SyntaxTree Parse(string source, string path) => CSharpSyntaxTree.ParseText(
        source, CSharpParseOptions.Default.WithLanguageVersion(LanguageVersion.Latest), path, System.Text.Encoding.UTF8);

    public string File(string name) => _result.GeneratedTrees.Single(t => Path.GetFileName(t.FilePath) == name).ToString();

    /// <summary>Compiles and loads; fails the test with what the compiler says.</summary>
    public Assembly Load() => Assembly.Load([.. Emit()]);

    /// <summary>Fails the test unless sources and generated code compile without a warning.</summary>
    public Generated IsClean()
    {
        Assert.Equal("", Messages);
        Assert.Empty(CompilerComplaints);
        return this;
    }

    private static CSharpCompilation Compile(string source, IEnumerable<MetadataReference> references, OutputKind kind) => CSharpCompilation.Create(
        $"Sample{Guid.NewGuid():N}",
        [Parse(source, "Sample.cs"), Parse(Usings, "Usings.cs")],
        references,
        new CSharpCompilationOptions(kind, nullableContextOptions: NullableContextOptions.Enable, specificDiagnosticOptions: s_asTheSdkDoes));

    private static (string Source, string[] Marked) ReadMarks(string source)
    {
        string[] parts = source.Split("[|");
        var marked = new List<string>();
        string plain = parts[0];
        foreach (string part in parts[1..])
        {
            int end = part.IndexOf("|]", StringComparison.Ordinal);
            marked.Add($"{plain.Length}+{end}");
            plain += part.Remove(end, 2);
        }

        return (plain, [.. marked]);
    }

    private string Describe(TextSpan span)
    {
        string text = _source.Substring(span.Start, span.Length);
        return _marked.Contains($"{span.Start}+{span.Length}", StringComparer.Ordinal) ? text : $"{text}, which is not marked";
    }

    private ImmutableArray<byte> Emit()
    {
        IsClean();
        using var image = new MemoryStream();
        Assert.True(_output.Emit(image, cancellationToken: TestContext.Current.CancellationToken).Success);
        return [.. image.ToArray()];
    }
}
