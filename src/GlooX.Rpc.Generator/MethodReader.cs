using Microsoft.CodeAnalysis;

namespace GlooX.Generator;

internal delegate void ReportFault(ISymbol symbol, DiagnosticDescriptor descriptor, params string[] arguments);

/// <summary>Reads one method and says what keeps it from being called over the network.</summary>
internal static class MethodReader
{
    /// <summary>Reads a method.</summary>
    /// <param name="method">Of a contract, or of a class; the latter may also return plainly.</param>
    /// <param name="report">Takes what is wrong.</param>
    /// <returns>Null when something is wrong.</returns>
    public static MethodModel? Read(IMethodSymbol method, ReportFault report)
    {
        bool sound = true;
        AttributeData? rpc = method.FindRpc();
        string wireName = WireName(method, rpc);
        if (string.IsNullOrWhiteSpace(wireName))
            Refuse(method, Diagnostics.EmptyWireName, method.ToMessage());
        if (method.IsGenericMethod)
            Refuse(method, Diagnostics.Generic, method.ToMessage(), "write one method for each type that you need");

        var parameters = new List<ParameterModel>();
        string? cancellation = null;
        foreach (IParameterSymbol parameter in method.Parameters)
        {
            string name = GeneratedNames.Identifier(parameter.Name);
            if (WhyCannotTravel(parameter) is { } why)
                Refuse(parameter, Diagnostics.Parameter, parameter.Name, method.ToMessage(), why);
            else if (parameter.Type.DefinitionName() != "System.Threading.CancellationToken")
                parameters.Add(ReadParameter(parameter, name));
            else if (parameter.Ordinal == method.Parameters.Length - 1)
                cancellation = name;
            else
                Refuse(parameter, Diagnostics.CancellationTokenNotLast, method.ToMessage());
        }

        (ReturnKind kind, ITypeSymbol? result) = ReadReturn(method);
        if (WhyCannotReturn(method, kind, result) is { } complaint)
            Refuse(method, Diagnostics.ReturnType, method.ToMessage(), method.ReturnType.ToMessage(), complaint);
        if (Named<bool>(rpc, "OneWay") && kind is not (ReturnKind.Task or ReturnKind.ValueTask or ReturnKind.Nothing))
            Refuse(method, Diagnostics.ReturnType, method.ToMessage(), method.ReturnType.ToMessage(), "a one-way call brings nothing back; return Task or ValueTask");
        if (Named<bool>(rpc, "OneWay") && parameters.Any(static p => p.Carriage == Carriage.Stream))
            Refuse(method, Diagnostics.ReturnType, method.ToMessage(), method.ReturnType.ToMessage(), "a one-way call has no end that a stream could last until; let it be answered");
        foreach (ITypeSymbol detail in method.FindFaults())
        {
            if (TravelRules.WhyNot(detail) is { } unfit)
                Refuse(method, Diagnostics.FaultDetail, method.ToMessage(), unfit);
        }

        if (!sound)
            return null;

        return new(
            wireName,
            method.Name,
            method.ContainingType.ToCode(),
            method.ReturnType.ToCode(),
            kind,
            result is null ? null : ValueReader.Read(result),
            parameters.ToEquatableArray(),
            Required: parameters.FindLastIndex(static p => p.Default is null) + 1,
            cancellation,
            Named<int>(rpc, "TimeoutMilliseconds"),
            Named<bool>(rpc, "OneWay") || (method.MethodKind == MethodKind.DelegateInvoke && method.ReturnsVoid),
            Named<bool>(rpc, "Idempotent"),
            method.FindFaults().Select(static t => t.ToCode()).Distinct(StringComparer.Ordinal).ToEquatableArray(),
            ShapeReader.Read(method.Parameters.Select(static p => p.Type).Append(method.ReturnType).Concat(method.FindFaults())));

        void Refuse(ISymbol symbol, DiagnosticDescriptor descriptor, params string[] arguments)
        {
            sound = false;
            report(symbol, descriptor, arguments);
        }
    }

    private static string WireName(IMethodSymbol method, AttributeData? rpc)
    {
        if (rpc?.ConstructorArguments.FirstOrDefault().Value is string name)
            return name;
        return method.Name.Length > "Async".Length && method.Name.EndsWith("Async", StringComparison.Ordinal)
            ? method.Name.Substring(0, method.Name.Length - "Async".Length)
            : method.Name;
    }

    private static T Named<T>(AttributeData? rpc, string name)
        where T : struct =>
        rpc?.NamedArguments.FirstOrDefault(a => a.Key == name).Value.Value as T? ?? default;

    private static ParameterModel ReadParameter(IParameterSymbol parameter, string name)
    {
        ValueModel value = ValueReader.ReadParameter(parameter);
        if (IsStream(parameter.Type))
            return new(name, parameter.Name, value, null, Carriage.Stream, ValueReader.Read(((INamedTypeSymbol)parameter.Type).TypeArguments[0]));
        if (parameter.Type is not INamedTypeSymbol type || !IsReference(type))
            return new(name, parameter.Name, value, ValueReader.ReadDefault(parameter));

        string? byDefault = ValueReader.ReadDefault(parameter);
        bool mayBeNull = byDefault is not null || type.NullableAnnotation == NullableAnnotation.Annotated;
        MethodModel? invoke = type.DelegateInvokeMethod is { } method ? Read(method, static (_, _, _) => { }) : null;
        return new(name, parameter.Name, value, byDefault, Carriage.Reference, Reference: new(type.WithNullableAnnotation(NullableAnnotation.NotAnnotated).ToCode(), mayBeNull, invoke));
    }

    private static (ReturnKind Kind, ITypeSymbol? Result) ReadReturn(IMethodSymbol method)
    {
        if (method.ReturnsVoid)
            return (ReturnKind.Nothing, null);
        return method.ReturnType.DefinitionName() switch
        {
            "System.Threading.Tasks.ValueTask" => (ReturnKind.ValueTask, null),
            "System.Threading.Tasks.Task" => (ReturnKind.Task, null),
            "System.Threading.Tasks.ValueTask<TResult>" => (ReturnKind.ValueTaskOfT, ((INamedTypeSymbol)method.ReturnType).TypeArguments[0]),
            "System.Threading.Tasks.Task<TResult>" => (ReturnKind.TaskOfT, ((INamedTypeSymbol)method.ReturnType).TypeArguments[0]),
            "System.Collections.Generic.IAsyncEnumerable<T>" => (ReturnKind.Stream, ((INamedTypeSymbol)method.ReturnType).TypeArguments[0]),
            _ => (ReturnKind.Value, method.ReturnType),
        };
    }

    private static string? WhyCannotReturn(IMethodSymbol method, ReturnKind kind, ITypeSymbol? result)
    {
        if (result is not null && IsStream(result))
            return "a stream needs no task around it; return the IAsyncEnumerable itself";
        if (result is not null && IsReference(result))
            return "only an argument can be called back; take it as a parameter of a method that the other side calls";
        if (kind is ReturnKind.Task or ReturnKind.TaskOfT && method.ReturnType.NullableAnnotation == NullableAnnotation.Annotated)
            return "the task itself may not be null; return a task";
        if (kind is ReturnKind.Value or ReturnKind.Nothing && method.ContainingType.TypeKind == TypeKind.Interface)
            return "a call over the network takes time; return Task, Task<T>, ValueTask or ValueTask<T>";
        if (kind == ReturnKind.Nothing && method.IsAsync)
            return "nobody can await it; return Task";
        if (kind == ReturnKind.Value && method.MethodKind == MethodKind.DelegateInvoke)
            return "a call over the network takes time; return Task, Task<T>, ValueTask, ValueTask<T>, or nothing";
        if (method.RefKind != RefKind.None || (result is not null && IsStackOnly(result)))
            return "it cannot travel over the network; return a plain type by value";
        return result is not null && TravelRules.WhyNot(result) is { } why ? $"the result is {why} and cannot travel over the network" : null;
    }

    private static string? WhyCannotTravel(IParameterSymbol parameter)
    {
        if (parameter.RefKind != RefKind.None)
        {
            string modifier = parameter.RefKind == RefKind.RefReadOnlyParameter ? "ref readonly" : parameter.RefKind.ToString().ToLowerInvariant();
            return $"passed by '{modifier}'";
        }

        if (IsStackOnly(parameter.Type))
            return $"of type '{parameter.Type.ToMessage()}'";
        if (parameter.Type.DefinitionName() == "System.Collections.Generic.IAsyncEnumerator<T>")
            return "half of a stream";
        if (parameter.Type.NullableAnnotation == NullableAnnotation.Annotated && IsStream(parameter.Type))
            return "a stream that may be null";
        if (parameter.Type is INamedTypeSymbol { DelegateInvokeMethod: { } invoke })
            return WhyCannotBeCalledBack(parameter, invoke);
        ITypeSymbol type = IsStream(parameter.Type) ? ((INamedTypeSymbol)parameter.Type).TypeArguments[0] : parameter.Type;
        return IsReference(type) && !IsStream(parameter.Type) || parameter.Type.DefinitionName() == "System.Threading.CancellationToken" ? null : TravelRules.WhyNot(type);
    }

    private static string? WhyCannotBeCalledBack(IParameterSymbol parameter, IMethodSymbol invoke)
    {
        string type = $"the delegate '{parameter.Type.ToMessage()}', ";
        if (parameter.ContainingSymbol is IMethodSymbol { MethodKind: MethodKind.DelegateInvoke })
            return type + "which another delegate takes";
        if (invoke.ReturnsVoid && invoke.Parameters.Any(static p => IsStream(p.Type) || IsReference(p.Type)))
            return type + "which returns nothing, so it can take values only";
        string? why = null;
        Read(invoke, (symbol, descriptor, arguments) => why ??= descriptor.Id switch
        {
            "GLOOX002" => $"whose parameter '{symbol.Name}' is {arguments[2]}",
            "GLOOX003" => $"which returns '{arguments[1]}' ({arguments[2]})",
            _ => "which takes a CancellationToken before its last parameter",
        });
        return why is null ? null : type + why;
    }

    private static bool IsReference(ITypeSymbol type) => type is INamedTypeSymbol named && (named.DelegateInvokeMethod is not null || named.IsContract());

    private static bool IsStream(ITypeSymbol type) => type.DefinitionName() == "System.Collections.Generic.IAsyncEnumerable<T>";

    private static bool IsStackOnly(ITypeSymbol type) =>
        type.IsRefLikeType
        || type.TypeKind is TypeKind.Pointer or TypeKind.FunctionPointer
        || (type is IArrayTypeSymbol array && IsStackOnly(array.ElementType));
}
