using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace GlooX.Generator;

/// <summary>Questions to symbols that several readers ask.</summary>
internal static class Symbols
{
    public const string RpcAttribute = "GlooX.RpcAttribute";
    public const string RpcServiceAttribute = "GlooX.RpcServiceAttribute";

    private static readonly SymbolDisplayFormat Code =
        SymbolDisplayFormat.FullyQualifiedFormat.AddMiscellaneousOptions(
            SymbolDisplayMiscellaneousOptions.IncludeNullableReferenceTypeModifier);

    private static readonly SymbolDisplayFormat Name =
        SymbolDisplayFormat.FullyQualifiedFormat.WithGlobalNamespaceStyle(SymbolDisplayGlobalNamespaceStyle.Omitted)
            .RemoveMiscellaneousOptions(SymbolDisplayMiscellaneousOptions.EscapeKeywordIdentifiers);

    /// <summary>The type as generated code writes it.</summary>
    public static string ToCode(this ITypeSymbol type) => type.ToDisplayString(Code);

    /// <summary>The full name without <c>global::</c> and <c>@</c>.</summary>
    public static string ToFullName(this ITypeSymbol type) => type.ToDisplayString(Name);

    /// <summary>The symbol as the compiler's own messages write it.</summary>
    public static string ToMessage(this ISymbol symbol) => symbol.ToDisplayString(SymbolDisplayFormat.CSharpShortErrorMessageFormat);

    public static AttributeData? FindRpc(this IMethodSymbol method) => Find(method, "RpcAttribute");

    public static bool HasRpc(this IMethodSymbol method) => method.FindRpc() is not null;

    /// <summary>What <c>[RpcFault]</c> says of the method and of its contract.</summary>
    public static IEnumerable<ITypeSymbol> FindFaults(this IMethodSymbol method) =>
        method.GetAttributes().Concat(method.ContainingType.GetAttributes())
            .Where(static a => Is(a, "RpcFaultAttribute"))
            .Select(static a => a.ConstructorArguments.FirstOrDefault().Value)
            .OfType<ITypeSymbol>();

    public static bool IsContract(this INamedTypeSymbol type) =>
        type.TypeKind == TypeKind.Interface && Find(type, "RpcServiceAttribute") is not null;

    /// <summary>The methods with <c>[Rpc]</c> that the type itself declares; an accessor's attribute means nothing.</summary>
    public static IEnumerable<IMethodSymbol> OwnRpcMethods(this INamedTypeSymbol type) =>
        type.GetMembers().OfType<IMethodSymbol>().Where(static m =>
            m.MethodKind is MethodKind.Ordinary or MethodKind.ExplicitInterfaceImplementation && m.HasRpc());

    /// <summary>The base classes, the farthest first.</summary>
    public static IEnumerable<INamedTypeSymbol> BaseClasses(this INamedTypeSymbol type)
    {
        var bases = new Stack<INamedTypeSymbol>();
        for (INamedTypeSymbol? t = type.BaseType; t is not null; t = t.BaseType)
            bases.Push(t);
        return bases;
    }

    /// <summary>The definition's full name, such as <c>System.Threading.Tasks.Task&lt;TResult&gt;</c>.</summary>
    public static string DefinitionName(this ITypeSymbol type) => type.OriginalDefinition.ToDisplayString();

    /// <summary>Why generated code in the same assembly cannot name the type; null when it can.</summary>
    public static string? WhyInvisible(this INamedTypeSymbol type)
    {
        for (INamedTypeSymbol? t = type; t is not null; t = t.ContainingType)
        {
            string what = SymbolEqualityComparer.Default.Equals(t, type) ? "" : $"in '{t.ToMessage()}', which is ";
            if (t.IsFileLocal)
                return what + "file-local";
            if (t.DeclaredAccessibility is Accessibility.Private or Accessibility.Protected or Accessibility.ProtectedAndInternal)
                return what + SyntaxFacts.GetText(t.DeclaredAccessibility);
        }

        return null;
    }

    /// <summary>Whether the type or one around it has type parameters.</summary>
    public static bool IsGenericAnywhere(this INamedTypeSymbol type)
    {
        for (INamedTypeSymbol? t = type; t is not null; t = t.ContainingType)
        {
            if (t.IsGenericType)
                return true;
        }

        return false;
    }

    private static AttributeData? Find(ISymbol symbol, string name) =>
        symbol.GetAttributes().FirstOrDefault(a => Is(a, name));

    private static bool Is(AttributeData attribute, string name) =>
        attribute.AttributeClass is { ContainingNamespace: { Name: "GlooX", ContainingNamespace.IsGlobalNamespace: true } } type && type.Name == name;
}
