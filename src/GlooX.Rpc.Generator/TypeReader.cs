using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace GlooX.Generator;

/// <summary>
/// Reads one contract or class into its model. A fault anywhere means no model, so a faulty type generates nothing while the
/// others do. Members of base types are read again for each type; a fault in them has one place and is reported once.
/// </summary>
internal sealed class TypeReader
{
    private readonly INamedTypeSymbol _type;
    private readonly List<Fault> _faults = [];
    private readonly List<MethodModel> _methods = [];
    private readonly Dictionary<string, (IMethodSymbol Method, ISymbol Identity)> _byWireName = new(StringComparer.Ordinal);

    private TypeReader(INamedTypeSymbol type) => _type = type;

    public static TypeResult ReadContract(INamedTypeSymbol contract)
    {
        var reader = new TypeReader(contract);
        reader.CheckType();
        reader.AddContract(contract);
        return reader.Result(isContract: true);
    }

    public static TypeResult ReadClass(INamedTypeSymbol type)
    {
        var reader = new TypeReader(type);

        // The most derived comes last, so that a clash of names is reported where it was made.
        foreach (INamedTypeSymbol contract in type.AllInterfaces.Where(Symbols.IsContract))
            reader.AddContract(contract);
        IMethodSymbol[] own = [.. type.BaseClasses().Append(type).SelectMany(Symbols.OwnRpcMethods)];
        foreach (IMethodSymbol method in own)
            reader.Add(method, Root(method));
        if (own.Length > 0)
            reader.CheckType();

        // A class that carries no [Rpc] itself and cannot be named is no fault: its contracts have dispatchers of their own.
        return type.IsAbstract || type.TypeKind != TypeKind.Class || type.WhyInvisible() is not null || type.IsGenericAnywhere()
            ? new(null, reader._faults.ToEquatableArray())
            : reader.Result(isContract: false);
    }

    private TypeResult Result(bool isContract) => new(
        _faults.Count > 0
            ? null
            : new(_type.ToCode(), _type.ToFullName(), GeneratedNames.For(_type.ToFullName()), isContract, _methods.ToEquatableArray()),
        _faults.ToEquatableArray());

    private void CheckType()
    {
        bool isInterface = _type.TypeKind == TypeKind.Interface;
        string cure = isInterface ? "public or internal" : "a public or internal class";
        if (!isInterface && _type.TypeKind != TypeKind.Class)
        {
            Report(_type, Diagnostics.InvisibleType, _type.ToMessage(), "no class", cure);
            return;
        }

        // Abstract classes are never the target themselves: what derives from them is looked at instead.
        if (_type.IsAbstract && !isInterface)
            return;
        if (_type.WhyInvisible() is { } why)
            Report(_type, Diagnostics.InvisibleType, _type.ToMessage(), why, cure);
        if (_type.IsGenericAnywhere())
        {
            Report(_type, Diagnostics.Generic, _type.ToMessage(), isInterface
                ? "write one contract for each type that you need"
                : "make it abstract and derive a class for each type that you need");
        }
    }

    private void AddContract(INamedTypeSymbol contract)
    {
        foreach (ISymbol member in contract.AllInterfaces.Add(contract).SelectMany(static i => i.GetMembers()))
        {
            switch (member)
            {
                case IPropertySymbol { IsStatic: false, ExplicitInterfaceImplementations.IsEmpty: true }:
                    Report(member, Diagnostics.NotAMethod, member.ToMessage(), "a property");
                    break;
                case IEventSymbol { IsStatic: false, ExplicitInterfaceImplementations.IsEmpty: true }:
                    Report(member, Diagnostics.NotAMethod, member.ToMessage(), "an event");
                    break;
                case { IsStatic: true, IsAbstract: true }:
                    Report(member, Diagnostics.NotAMethod, member.ToMessage(), "static");
                    break;

                // What is neither abstract nor virtual belongs to the interface alone: private and sealed helpers.
                case IMethodSymbol { MethodKind: MethodKind.Ordinary, IsStatic: false } method when method.IsAbstract || method.IsVirtual:
                    Add(method, Implementation(method));
                    break;
            }
        }
    }

    private void Add(IMethodSymbol method, ISymbol identity)
    {
        if (WhyUncallable(method) is { } why)
        {
            Report(method, Diagnostics.UncallableMethod, method.ToMessage(), why);
            return;
        }

        if (MethodReader.Read(method, Report) is not { } model)
            return;
        if (!_byWireName.TryGetValue(model.WireName, out (IMethodSymbol Method, ISymbol Identity) first))
        {
            _byWireName.Add(model.WireName, (method, identity));
            _methods.Add(model);
        }
        else if (!SymbolEqualityComparer.Default.Equals(first.Identity, identity))
        {
            // Two methods of one other type clash there, and are reported there.
            bool clashesHere = !SymbolEqualityComparer.Default.Equals(first.Method.ContainingType, method.ContainingType)
                && !SymbolEqualityComparer.Default.Equals(method.ContainingType, _type);
            Report(clashesHere ? _type : method, Diagnostics.DuplicateWireName, first.Method.ToMessage(), method.ToMessage(), model.WireName);
        }
    }

    /// <summary>Reports at the symbol, or at the type that is read when the symbol comes from another assembly.</summary>
    private void Report(ISymbol symbol, DiagnosticDescriptor descriptor, params string[] arguments)
    {
        bool isHere = SymbolEqualityComparer.Default.Equals(symbol.ContainingAssembly, _type.ContainingAssembly);
        _faults.Add(Fault.At(isHere ? symbol : _type, descriptor, arguments));
    }

    /// <summary>The method of the class that answers for the contract's method, so that both are known to be the same.</summary>
    private IMethodSymbol Implementation(IMethodSymbol method) =>
        _type.TypeKind != TypeKind.Interface && _type.FindImplementationForInterfaceMember(method) is IMethodSymbol implementation
            ? Root(implementation)
            : method;

    private static IMethodSymbol Root(IMethodSymbol method)
    {
        while (method.OverriddenMethod is { } overridden)
            method = overridden;
        return method;
    }

    private static string? WhyUncallable(IMethodSymbol method) => method switch
    {
        { IsStatic: true } => "static",
        { MethodKind: MethodKind.ExplicitInterfaceImplementation } => "an explicit implementation",
        { DeclaredAccessibility: Accessibility.Public or Accessibility.Internal or Accessibility.ProtectedOrInternal } => null,
        _ => SyntaxFacts.GetText(method.DeclaredAccessibility),
    };
}
