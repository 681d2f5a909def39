using static GlooX.Generator.GeneratedNames;

namespace GlooX.Generator;

/// <summary>Writes the class that callers hold: it implements the contract and sends each call through its invoker.</summary>
internal static class ProxyWriter
{
    public static string Write(TypeModel type)
    {
        var code = new CodeWriter();
        code.Open($"internal sealed class {Proxy(type)}({Runtime}.RpcInvoker __invoker) : {type.Type}");
        for (int i = 0; i < type.Methods.Count; i++)
        {
            if (i > 0)
                code.Line();
            WriteMethod(code, type.Methods[i], i);
        }

        code.Close();
        return code.ToString();
    }

    private static void WriteMethod(CodeWriter code, MethodModel method, int index)
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
        code.Line($"    {(method.IsOneWay ? "true" : "false")}{(faults.Length == 0 ? "" : $", [{faults}]")});");
        code.Line();
        code.Line($"private readonly {Runtime}.RpcBoundMethod<{result}> __bound{index} = __invoker.Bind(__method{index});");
        code.Line();

        string arguments = $"{method.Name}Arguments{index}";
        var signature = method.Parameters.Select(static p => $"{p.Value.Type} {p.Name}").ToList();
        if (method.Cancellation is not null)
            signature.Add($"{CancellationTokenType} {method.Cancellation}");
        string invoke = method.Result is null ? "InvokeVoidAsync" : "InvokeAsync";
        string asTask = method.Returns is ReturnKind.Task or ReturnKind.TaskOfT ? ".AsTask()" : "";
        string values = string.Join(", ", method.Parameters.Select(Attach));
        string made = method.IsAttached ? $"__call => new {arguments}({values})" : $"new {arguments}({values})";
        if (method.Returns == ReturnKind.Stream)
            invoke = "Stream";
        code.Line($"{method.ReturnType} {method.Owner}.{Identifier(method.Name)}({string.Join(", ", signature)}) =>");
        code.Line($"    __bound{index}.{invoke}({made}, {method.Cancellation ?? "default"}){asTask};");
        code.Line();
        WriteArguments(code, method, arguments);
    }

    /// <summary>The argument, or the number that stands for it.</summary>
    private static string Attach(ParameterModel parameter) => parameter.Carriage switch
    {
        Carriage.Stream => $"__call.Stream<{parameter.Item!.Type}>({parameter.Name}, static (ref {MessagePackWriter} __writer, {parameter.Item.Type} __item, {Runtime}.RpcSerializer __serializer) => {Codec.Write(parameter.Item, "__item").TrimEnd(';')})",
        Carriage.Lent => $"__call.Lend<{parameter.Value.Type}>({parameter.Name})",
        _ => parameter.Name,
    };

    private static void WriteArguments(CodeWriter code, MethodModel method, string name)
    {
        string fields = string.Join(", ", method.Parameters.Select(static p => $"{(p.Carriage == Carriage.Value ? p.Value.Type : "int")} {p.Name}"));
        code.Open($"private readonly struct {name}({fields}) : {Runtime}.IRpcArguments");
        code.Open($"public void Write(ref {MessagePackWriter} __writer, {Runtime}.RpcSerializer __serializer)");
        code.Line($"__writer.WriteArrayHeader({method.Parameters.Count});");
        foreach (ParameterModel parameter in method.Parameters)
            code.Line(parameter.Carriage == Carriage.Value ? Codec.Write(parameter.Value, parameter.Name) : $"__writer.Write({parameter.Name});");
        code.Close();
        code.Close();
    }
}
