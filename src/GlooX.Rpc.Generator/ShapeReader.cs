using Microsoft.CodeAnalysis;

namespace GlooX.Generator;

/// <summary>Finds the types for which shapes are generated, so that they can be serialized without reflection.</summary>
internal static class ShapeReader
{
    public static EquatableArray<ShapeModel> Read(IEnumerable<ITypeSymbol> types)
    {
        var found = new SortedDictionary<string, ShapeModel>(StringComparer.Ordinal);
        foreach (INamedTypeSymbol type in types.SelectMany(Within))
        {
            string assembly = type.ContainingAssembly.Name;
            if (!found.ContainsKey(assembly) && type.WhyInvisible() is null && !type.IsGenericAnywhere() && HasShape(type))
                found.Add(assembly, new(assembly, type.WithNullableAnnotation(NullableAnnotation.NotAnnotated).ToCode()));
        }

        return found.Values.ToEquatableArray();
    }

    // Here what was asked for can be seen, in a compiled assembly what came of it.
    private static bool HasShape(INamedTypeSymbol type) =>
        type.GetAttributes().Any(static a => a.AttributeClass?.ToDisplayString() == "PolyType.GenerateShapeAttribute")
        || type.Interfaces.Any(i => i.OriginalDefinition.ToDisplayString() == "PolyType.IShapeable<T>" && i.TypeArguments[0].Equals(type, SymbolEqualityComparer.Default));

    /// <summary>The type, what it holds, and what a delegate takes and brings.</summary>
    private static IEnumerable<INamedTypeSymbol> Within(ITypeSymbol type) => type switch
    {
        IArrayTypeSymbol array => Within(array.ElementType),
        INamedTypeSymbol { DelegateInvokeMethod: { } invoke } => invoke.Parameters.Select(static p => p.Type).Append(invoke.ReturnType).SelectMany(Within),
        INamedTypeSymbol named => named.TypeArguments.SelectMany(Within).Prepend(named),
        _ => [],
    };
}
