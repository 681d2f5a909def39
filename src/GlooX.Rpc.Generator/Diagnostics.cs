using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace GlooX.Generator;

/// <summary>What can be wrong with a contract or a class. Each message names the member and the cure.</summary>
internal static class Diagnostics
{
    public static readonly DiagnosticDescriptor DuplicateWireName = Error(
        "GLOOX001",
        "Two methods with one name on the wire",
        "'{0}' and '{1}' are both called '{2}' on the wire; give one of them another name with [Rpc(\"name\")]");

    public static readonly DiagnosticDescriptor Parameter = Error(
        "GLOOX002",
        "A parameter that cannot travel",
        "Parameter '{0}' of '{1}' is {2} and cannot travel over the network");

    public static readonly DiagnosticDescriptor ReturnType = Error(
        "GLOOX003",
        "A return type that cannot travel",
        "'{0}' returns '{1}': {2}");

    public static readonly DiagnosticDescriptor Generic = Error(
        "GLOOX004",
        "Generic method or type",
        "'{0}' is generic and cannot be called over the network; {1}");

    public static readonly DiagnosticDescriptor CancellationTokenNotLast = Error(
        "GLOOX005",
        "CancellationToken is not last",
        "'{0}' takes a CancellationToken before its last parameter; move it to the end and keep only one");

    public static readonly DiagnosticDescriptor NotAMethod = Error(
        "GLOOX006",
        "A contract has a member that is no method",
        "'{0}' is {1}; an [RpcService] interface has instance methods only, so make it a method");

    public static readonly DiagnosticDescriptor InvisibleType = Error(
        "GLOOX007",
        "A type that generated code cannot see",
        "'{0}' is {1}, so its methods cannot be called over the network; make it {2}");

    public static readonly DiagnosticDescriptor UncallableMethod = Error(
        "GLOOX008",
        "A method that generated code cannot call",
        "'{0}' is {1} and cannot be called over the network; make it a public or internal instance method");

    public static readonly DiagnosticDescriptor EmptyWireName = Error(
        "GLOOX009",
        "Empty name on the wire",
        "'{0}' has an empty name on the wire; give [Rpc] a name, or no argument to use the method's own");

    public static readonly DiagnosticDescriptor FaultDetail = Error(
        "GLOOX010",
        "A detail of a failure that cannot travel",
        "[RpcFault] of '{0}': the detail is {1} and cannot travel over the network; make a record of what the caller is to know");

    private static DiagnosticDescriptor Error(string id, string title, string message) =>
        new(id, title, message, "GlooX.Rpc", DiagnosticSeverity.Error, isEnabledByDefault: true);
}

/// <summary>One thing that is wrong, as data. A fault seen from several types (a contract and its classes) is equal and reported once.</summary>
internal sealed record Fault(DiagnosticDescriptor Descriptor, FaultLocation? Location, EquatableArray<string> Arguments)
{
    public static Fault At(ISymbol symbol, DiagnosticDescriptor descriptor, params string[] arguments) =>
        new(descriptor, FaultLocation.Of(symbol), arguments.ToEquatableArray());

    public Diagnostic ToDiagnostic() =>
        Diagnostic.Create(Descriptor, Location?.ToLocation() ?? Microsoft.CodeAnalysis.Location.None, [.. Arguments]);
}

/// <summary>A place in a file without its syntax tree, which would keep a whole compilation alive.</summary>
internal sealed record FaultLocation(string Path, TextSpan Span, LinePositionSpan Lines)
{
    public static FaultLocation? Of(ISymbol symbol) =>
        symbol.Locations.FirstOrDefault(static l => l.IsInSource) is { SourceTree: { } tree } location
            ? new(tree.FilePath, location.SourceSpan, location.GetLineSpan().Span)
            : null;

    public Location ToLocation() => Location.Create(Path, Span, Lines);
}
