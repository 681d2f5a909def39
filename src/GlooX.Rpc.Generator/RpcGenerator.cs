using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace GlooX.Generator;

/// <summary>
/// Writes proxies for <c>[RpcService]</c> interfaces, dispatchers for them and for the classes that can be called, and the
/// registration of both, so that no reflection happens on a call.
/// </summary>
[Generator(LanguageNames.CSharp)]
public sealed class RpcGenerator : IIncrementalGenerator
{
    internal const string ContractsStep = "Contracts";
    internal const string ClassesStep = "Classes";
    internal const string FaultsStep = "Faults";
    internal const string RegistrationsStep = "Registrations";

    /// <inheritdoc/>
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        IncrementalValuesProvider<TypeResult> contracts = context.SyntaxProvider
            .ForAttributeWithMetadataName(
                Symbols.RpcServiceAttribute,
                static (node, _) => node is InterfaceDeclarationSyntax,
                static (c, _) => TypeReader.ReadContract((INamedTypeSymbol)c.TargetSymbol))
            .WithTrackingName(ContractsStep);

        // Two roads to a class: its own [Rpc] methods, or else what it inherits. Each class takes one of them.
        IncrementalValuesProvider<TypeResult> withOwnMethods = context.SyntaxProvider
            .ForAttributeWithMetadataName(
                Symbols.RpcAttribute,
                static (node, _) => node is MethodDeclarationSyntax,
                static (c, _) => ReadClassOfFirstMethod((IMethodSymbol)c.TargetSymbol))
            .WhereNotNull()
            .WithTrackingName(ClassesStep);
        IncrementalValuesProvider<TypeResult> withInheritedMethods = context.SyntaxProvider
            .CreateSyntaxProvider(static (node, _) => MayInherit(node), ReadInheritingClass)
            .WhereNotNull()
            .WithTrackingName(ClassesStep);

        IncrementalValuesProvider<TypeModel>[] models = [Models(contracts), Models(withOwnMethods), Models(withInheritedMethods)];
        context.RegisterSourceOutput(models[0], static (output, type) =>
            output.AddSource($"{type.DisplayName}.Proxy.g.cs", ProxyWriter.Write(type)));
        foreach (IncrementalValuesProvider<TypeModel> types in models)
        {
            context.RegisterSourceOutput(types, static (output, type) =>
                output.AddSource($"{type.DisplayName}.Dispatcher.g.cs", DispatcherWriter.Write(type)));
        }

        context.RegisterSourceOutput(
            Gather(models, static m => m.Select(static (type, _) => Registration.Of(type))).WithTrackingName(RegistrationsStep),
            static (output, registrations) =>
            {
                if (registrations.Count > 0)
                    output.AddSource("GlooX.RpcRegistration.g.cs", RegistrationWriter.Write(registrations));
            });
        context.RegisterSourceOutput(
            Gather([contracts, withOwnMethods, withInheritedMethods], static r => r.SelectMany(static (result, _) => result.Faults))
                .WithTrackingName(FaultsStep),
            static (output, faults) =>
            {
                foreach (Fault fault in faults.Distinct())
                    output.ReportDiagnostic(fault.ToDiagnostic());
            });
    }

    private static IncrementalValuesProvider<TypeModel> Models(IncrementalValuesProvider<TypeResult> results) =>
        results.Select(static (result, _) => result.Model).WhereNotNull();

    /// <summary>All items of several streams as one value.</summary>
    private static IncrementalValueProvider<EquatableArray<TTo>> Gather<TFrom, TTo>(
        IncrementalValuesProvider<TFrom>[] streams,
        Func<IncrementalValuesProvider<TFrom>, IncrementalValuesProvider<TTo>> select)
        where TTo : IEquatable<TTo> =>
        streams
            .Select(stream => select(stream).Collect().Select(static (items, _) => items.ToEquatableArray()))
            .Aggregate(static (left, right) => left.Combine(right).Select(static (pair, _) => pair.Left.Concat(pair.Right).ToEquatableArray()));

    /// <summary>Reads the class once, however many methods lead to it.</summary>
    private static TypeResult? ReadClassOfFirstMethod(IMethodSymbol method)
    {
        INamedTypeSymbol type = method.ContainingType;
        return type.TypeKind != TypeKind.Interface
            && SymbolEqualityComparer.Default.Equals(type.OwnRpcMethods().FirstOrDefault(), method.PartialDefinitionPart ?? method)
                ? TypeReader.ReadClass(type)
                : null;
    }

    private static bool MayInherit(SyntaxNode node) =>
        node is TypeDeclarationSyntax { RawKind: (int)SyntaxKind.ClassDeclaration or (int)SyntaxKind.RecordDeclaration, BaseList: not null } type
        && !type.Modifiers.Any(SyntaxKind.AbstractKeyword)
        && !type.Modifiers.Any(SyntaxKind.StaticKeyword);

    private static TypeResult? ReadInheritingClass(GeneratorSyntaxContext context, CancellationToken cancellationToken)
    {
        if (context.SemanticModel.GetDeclaredSymbol(context.Node, cancellationToken) is not INamedTypeSymbol { IsAbstract: false } type)
            return null;

        // A partial class may name its bases in several files: the first counts.
        SyntaxReference first = type.DeclaringSyntaxReferences.First(r => MayInherit(r.GetSyntax(cancellationToken)));
        bool isOurs = first.SyntaxTree == context.Node.SyntaxTree && first.Span == context.Node.Span;
        return isOurs && !type.OwnRpcMethods().Any()
            && (type.AllInterfaces.Any(Symbols.IsContract) || type.BaseClasses().SelectMany(Symbols.OwnRpcMethods).Any())
                ? TypeReader.ReadClass(type)
                : null;
    }
}

internal static class ProviderExtensions
{
    public static IncrementalValuesProvider<T> WhereNotNull<T>(this IncrementalValuesProvider<T?> values)
        where T : class => values.Where(static v => v is not null)!;
}
