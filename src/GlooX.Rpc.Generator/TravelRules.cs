using Microsoft.CodeAnalysis;

namespace GlooX.Generator;

/// <summary>
/// Says why a value of a type cannot travel, or would lose something on its way: the type itself, or what is inside it. Refuses only what is known to
/// go wrong; for the rest the serializer has the last word. A type that has a converter of its own is taken as it is.
/// </summary>
internal sealed class TravelRules
{
    private readonly HashSet<ITypeSymbol> _seen = new(SymbolEqualityComparer.Default);

    private TravelRules()
    {
    }

    /// <summary>Ends the sentence "x is …"; null: it can travel.</summary>
    public static string? WhyNot(ITypeSymbol type) => new TravelRules().Check(type) switch
    {
        null => null,
        { Member: null } fault when fault.Type.Equals(type, SymbolEqualityComparer.Default) => $"of type '{type.ToMessage()}', {fault.Why},",
        { Member: null } fault => $"of type '{type.ToMessage()}', and '{fault.Type.ToMessage()}' is {fault.Why},",
        { Member: { } member } fault => $"of type '{type.ToMessage()}', whose '{member.ToMessage()}' is {fault.Why},",
    };

    private Fault? Check(ITypeSymbol type)
    {
        if (!_seen.Add(type))
            return null;
        if (FrameworkTypes.WhyNot(type) is { } why)
            return new(type, null, why);
        return type switch
        {
            IArrayTypeSymbol array => Check(array.ElementType),
            INamedTypeSymbol named when HasConverter(named) => null,
            INamedTypeSymbol named => CheckNamed(named),
            _ => null,
        };
    }

    private Fault? CheckNamed(INamedTypeSymbol type)
    {
        if (type.DelegateInvokeMethod is not null)
            return new(type, null, "a delegate, which can only be an argument of its own");
        if (type.IsContract())
            return new(type, null, "a contract, which can only be an argument of its own");
        if (type.TypeKind == TypeKind.Enum)
            return null;
        if (FrameworkTypes.IsOneOf(type))
            return type.TypeArguments.Select(Check).FirstOrDefault(static f => f is not null);

        INamedTypeSymbol[] derived = [.. DerivedTypes(type)];
        if (derived.Select(Check).FirstOrDefault(static f => f is not null) is { } inDerived)
            return inDerived;
        if (ElementTypes(type) is { Length: > 0 } elements && type.TypeKind != TypeKind.Interface)
            return elements.Select(Check).FirstOrDefault(static f => f is not null);
        if (type.TypeKind == TypeKind.Interface)
            return derived.Length > 0 ? null : new(type, null, "an interface that is no collection and does not list its types with [DerivedTypeShape]");
        if (type.IsAbstract && derived.Length == 0)
            return new(type, null, "an abstract class that does not list its types with [DerivedTypeShape]");
        if (!type.IsAbstract && type.TypeKind == TypeKind.Class && !type.InstanceConstructors.Any(CanBeCalled))
            return new(type, null, "a class without a public constructor, so that it cannot be deserialized");
        return CheckMembers(type);
    }

    private Fault? CheckMembers(INamedTypeSymbol type)
    {
        var parameters = new HashSet<string>(
            type.InstanceConstructors.Where(CanBeCalled).SelectMany(static c => c.Parameters).Select(static p => p.Name), StringComparer.OrdinalIgnoreCase);
        bool isFilled = IsFilledAfterwards(type);
        for (INamedTypeSymbol? t = type; t is not null && t.SpecialType != SpecialType.System_Object; t = t.BaseType)
        {
            foreach (ISymbol member in t.GetMembers())
            {
                if (member.IsStatic || member.DeclaredAccessibility != Accessibility.Public || IsSpecial(member))
                    continue;
                ITypeSymbol? held = member switch
                {
                    IFieldSymbol { IsReadOnly: false } field => field.Type,
                    IFieldSymbol field when parameters.Contains(field.Name) => field.Type,
                    IPropertySymbol { IsIndexer: false, GetMethod: not null } property when IsSettable(property) || parameters.Contains(property.Name) => property.Type,
                    _ => null,
                };
                if (held is not null && Check(held) is { } fault)
                    return fault.Member is null ? new(fault.Type, member, fault.Why) : fault;
                if (held is null && member is IPropertySymbol lost && IsStored(lost) && !(isFilled && ElementTypes(lost.Type).Length > 0))
                    return new(lost.Type, lost, "not sent, for its reader could not set it: give it a public set or init accessor or a constructor's parameter, or say [PropertyShape(Ignore = true)]");
            }
        }

        return null;
    }

    private static bool CanBeCalled(IMethodSymbol constructor) =>
        constructor.DeclaredAccessibility == Accessibility.Public || constructor.GetAttributes().Any(static a => a.AttributeClass?.Name == "ConstructorShapeAttribute");

    private static bool IsSettable(IPropertySymbol property) => property.SetMethod?.DeclaredAccessibility == Accessibility.Public;

    /// <summary>Whether the reader makes an empty object first and then sets what it reads: only then does it fill collections that it cannot set.</summary>
    private static bool IsFilledAfterwards(INamedTypeSymbol type)
    {
        if (!type.InstanceConstructors.Any(static c => CanBeCalled(c) && c.Parameters.Length == 0))
            return false;
        for (INamedTypeSymbol? t = type; t is not null; t = t.BaseType)
        {
            if (t.GetMembers().OfType<IPropertySymbol>().Any(static p => p.IsRequired || p.SetMethod?.IsInitOnly == true))
                return false;
        }

        return true;
    }

    /// <summary>A value that the object keeps, rather than one computed from others.</summary>
    private static bool IsStored(IPropertySymbol property) =>
        property.GetMethod is { DeclaredAccessibility: Accessibility.Public } && !property.IsOverride
        && property.ContainingType.GetMembers().OfType<IFieldSymbol>().Any(f => SymbolEqualityComparer.Default.Equals(f.AssociatedSymbol, property));

    private static bool IsSpecial(ISymbol member) =>
        member.GetAttributes().Any(static a => a.AttributeClass?.Name is "PropertyShapeAttribute" or "MessagePackConverterAttribute");

    private static bool HasConverter(INamedTypeSymbol type) => type.GetAttributes().Any(static a =>
        a.AttributeClass?.Name == "MessagePackConverterAttribute"
        || (a.AttributeClass?.Name is "TypeShapeAttribute" && a.NamedArguments.Any(static n => n.Key is "Marshaler" or "Kind")));

    private static IEnumerable<INamedTypeSymbol> DerivedTypes(INamedTypeSymbol type) =>
        type.GetAttributes()
            .Where(static a => a.AttributeClass?.Name is "DerivedTypeShapeAttribute")
            .Select(static a => a.ConstructorArguments.FirstOrDefault().Value)
            .OfType<INamedTypeSymbol>()
            .Where(t => !SymbolEqualityComparer.Default.Equals(t, type) && !t.IsUnboundGenericType);

    /// <summary>What a collection holds; empty: the type is no collection.</summary>
    private static ITypeSymbol[] ElementTypes(ITypeSymbol type) =>
        type.SpecialType == SpecialType.System_String
            ? []
            : type is IArrayTypeSymbol array
                ? [array.ElementType]
                : [.. type.AllInterfaces
                    .Concat(type is INamedTypeSymbol { TypeKind: TypeKind.Interface } self ? [self] : [])
                    .Where(static i => i.OriginalDefinition.SpecialType == SpecialType.System_Collections_Generic_IEnumerable_T)
                    .SelectMany(static i => i.TypeArguments)];

    private sealed record Fault(ITypeSymbol Type, ISymbol? Member, string Why);
}
