using static GlooX.Generator.GeneratedNames;

namespace GlooX.Generator;

/// <summary>Writes the class that callers hold: it implements the contract and sends each call through its invoker.</summary>
internal static class ProxyWriter
{
    public static string Write(TypeModel type)
    {
        var code = new CodeWriter();
        WriteClass(code, type, $"internal sealed class {Proxy(type)}", isDelegate: false);
        return code.ToString();
    }

    /// <summary>The class alone, to stand in a file of its own or in another class.</summary>
    public static void WriteClass(CodeWriter code, TypeModel type, string head, bool isDelegate)
    {
        code.Open($"{head}({Runtime}.RpcInvoker __invoker){(isDelegate ? "" : " : " + type.Type)}");
        for (int i = 0; i < type.Methods.Count; i++)
        {
            if (i > 0)
                code.Line();
            WriteMethod(code, type.Methods[i], i, isDelegate);
        }

        code.Close();
    }

    private static void WriteMethod(CodeWriter code, MethodModel method, int index, bool isDelegate)
    {
        string result = method.Result?.Type ?? $"{Runtime}.RpcVoid";
        string read = method.Result is null
            ? $"{Runtime}.RpcVoid.Read"
            : $"static (ref {MessagePackReader} __reader, {Runtime}.RpcSerializer __serializer) => {Codec.ReadResult(method.Result)}";
        code.Line($"private static readonly {Runtime}.RpcMethod<{result}> __method{index} = new(");
        code.Line($"    {Literal(method.WireName)},");
        code.Line($"    {read},");
        code.Line($"    {method.TimeoutMilliseconds},");
        string faults = string.Join(", ", method.Faults.Select(static f => $"new {Runtime}.RpcFaultKind<{f}>()"));
        code.Line($"    {(method.IsOneWay ? "true" : "false")},");
        code.Line($"    {(method.Idempotent ? "true" : "false")}{(faults.Length == 0 ? "" : $", [{faults}]")});");
        code.Line();
        code.Line($"private readonly {Runtime}.RpcBoundMethod<{result}> __bound{index} = __invoker.Bind(__method{index});");
        code.Line();

        string arguments = $"{method.Name}Arguments{index}";
        var signature = method.Parameters.Select(static p => $"{p.Value.Type} {p.Name}").ToList();
        if (method.Cancellation is not null)
            signature.Add($"{CancellationTokenType} {method.Cancellation}");
        string invoke = method.Result is null ? "InvokeVoidAsync" : "InvokeAsync";
        string asTask = method.Returns is ReturnKind.Task or ReturnKind.TaskOfT ? ".AsTask()" : "";
        string values = string.Join(", ", method.Parameters.Select((p, i) => Attach(p, p.Reference?.Invoke is null ? "" : $", __callback{index}_{i}")));
        string made = method.IsAttached ? $"__call => new {arguments}({values})" : $"new {arguments}({values})";
        if (method.Returns == ReturnKind.Stream)
            invoke = "Stream";
        if (method.Returns == ReturnKind.Nothing)
            invoke = "Post";
        string name = isDelegate ? $"public {method.ReturnType} {method.Name}" : $"{method.ReturnType} {method.Owner}.{Identifier(method.Name)}";
        code.Line($"{name}({string.Join(", ", signature)}) =>");
        code.Line($"    __bound{index}.{invoke}({made}, {method.Cancellation ?? "default"}){asTask};");
        code.Line();
        WriteArguments(code, method, arguments);
        for (int i = 0; i < method.Parameters.Count; i++)
        {
            if (method.Parameters[i].Reference is not { Invoke: not null } reference)
                continue;
            code.Line();
            DispatcherWriter.WriteClass(code, reference.AsType(), $"private sealed class {Callback(method, index, i)}");
            code.Line();
            code.Line($"private static readonly {Callback(method, index, i)} __callback{index}_{i} = new();");
        }
    }

    /// <summary>The argument, or the number that stands for it.</summary>
    private static string Attach(ParameterModel parameter, string dispatcher) => parameter.Carriage switch
    {
        Carriage.Stream => $"__call.Stream<{parameter.Item!.Type}>({parameter.Name}, static (ref {MessagePackWriter} __writer, {parameter.Item.Type} __item, {Runtime}.RpcSerializer __serializer) => {Codec.Write(parameter.Item, "__item").TrimEnd(';')})",
        Carriage.Reference => (parameter.Reference!.MayBeNull ? $"{parameter.Name} is null ? -1 : " : "") + $"__call.Export<{parameter.Reference.Type}>({parameter.Name}{dispatcher})",
        _ => parameter.Name,
    };

    private static string WriteArgument(ParameterModel parameter) => parameter switch
    {
        { Carriage: Carriage.Value } => Codec.Write(parameter.Value, parameter.Name),
        { Reference.MayBeNull: true } => $"if ({parameter.Name} < 0) __writer.WriteNil(); else __writer.Write({parameter.Name});",
        _ => $"__writer.Write({parameter.Name});",
    };

    private static void WriteArguments(CodeWriter code, MethodModel method, string name)
    {
        string fields = string.Join(", ", method.Parameters.Select(static p => $"{(p.Carriage == Carriage.Value ? p.Value.Type : "int")} {p.Name}"));
        code.Open($"private readonly struct {name}({fields}) : {Runtime}.IRpcArguments");
        code.Open($"public void Write(ref {MessagePackWriter} __writer, {Runtime}.RpcSerializer __serializer)");
        code.Line($"__writer.WriteArrayHeader({method.Parameters.Count});");
        foreach (ParameterModel parameter in method.Parameters)
            code.Line(WriteArgument(parameter));
        code.Close();
        code.Close();
    }
}
