using static GlooX.Generator.GeneratedNames;

namespace GlooX.Generator;

/// <summary>Writes the class that serves calls: it reads the arguments of a call and makes the request that runs it.</summary>
internal static class DispatcherWriter
{
    public static string Write(TypeModel type)
    {
        var code = new CodeWriter();
        WriteClass(code, type, $"internal sealed class {Dispatcher(type)}");
        return code.ToString();
    }

    /// <summary>The class alone, to stand in a file of its own or in another class.</summary>
    public static void WriteClass(CodeWriter code, TypeModel type, string head)
    {
        code.Open($"{head} : {Runtime}.RpcDispatcher");
        code.Line($"private static readonly string[] __methods = [{string.Join(", ", type.Methods.Select(static m => Literal(m.WireName)))}];");
        code.Line();
        code.Line("public override global::System.Collections.Generic.IReadOnlyList<string> Methods => __methods;");
        code.Line();
        code.Open($"public override {Runtime}.RpcRequest Read(int __method, object __target, ref {MessagePackReader} __reader, {Runtime}.RpcSerializer __serializer, {Runtime}.RpcInbound __inbound)");
        code.Open("switch (__method)");
        for (int i = 0; i < type.Methods.Count; i++)
            WriteCase(code, type.Methods[i], i);
        code.Line("default:");
        code.Line("    throw new global::System.ArgumentOutOfRangeException(nameof(__method));");
        code.Close();
        code.Close();
        for (int i = 0; i < type.Methods.Count; i++)
        {
            code.Line();
            WriteRequest(code, type.Methods[i], i);
            WriteCallers(code, type.Methods[i], i);
        }

        code.Close();
    }

    /// <summary>What calls the delegates that a method is given.</summary>
    private static void WriteCallers(CodeWriter code, MethodModel method, int index)
    {
        for (int i = 0; i < method.Parameters.Count; i++)
        {
            if (method.Parameters[i].Reference is not { Invoke: not null } reference)
                continue;
            code.Line();
            ProxyWriter.WriteClass(code, reference.AsType(), $"private sealed class {Callback(method, index, i)}", isDelegate: true);
        }
    }

    private static string Request(MethodModel method, int index) => $"{method.Name}Request{index}";

    private static void WriteCase(CodeWriter code, MethodModel method, int index)
    {
        code.Open($"case {index}:");
        bool hasOptional = method.Required < method.Parameters.Count;
        code.Line($"{(hasOptional ? "int __count = " : "")}{Runtime}.RpcArguments.Begin(ref __reader, {method.Required}, {method.Parameters.Count});");
        for (int i = 0; i < method.Parameters.Count; i++)
        {
            ParameterModel parameter = method.Parameters[i];
            string read = Codec.ReadArgument(parameter, Callback(method, index, i));
            code.Line(i < method.Required
                ? $"{parameter.Value.Type} {parameter.Name} = {read};"
                : $"{parameter.Value.Type} {parameter.Name} = __count > {i} ? {read} : {parameter.Default};");
        }

        string values = string.Concat(method.Parameters.Select(static p => ", " + p.Name));
        code.Line($"return new {Request(method, index)}(({method.Owner})__target{values});");
        code.Close();
    }

    private static void WriteRequest(CodeWriter code, MethodModel method, int index)
    {
        string fields = string.Concat(method.Parameters.Select(static p => $", {p.Value.Type} {p.Name}"));
        string cancellable = method.Cancellation is null ? "false" : "true";
        string baseClass = method switch
        {
            { Result: null } => $"{Runtime}.RpcVoidRequest({cancellable})",
            { Returns: ReturnKind.Stream } => $"{Runtime}.RpcStreamRequest<{method.Result.Type}>",
            _ => $"{Runtime}.RpcRequest<{method.Result.Type}>({cancellable})",
        };
        code.Open($"private sealed class {Request(method, index)}({method.Owner} __target{fields}) : {baseClass}");
        WriteInvoke(code, method);
        if (method.Result is not null)
        {
            code.Line();
            string write = method.Returns == ReturnKind.Stream ? "WriteItem" : "WriteResult";
            code.Line($"protected override void {write}(ref {MessagePackWriter} __writer, {method.Result.Type} __result, {Runtime}.RpcSerializer __serializer) =>");
            code.Line("    " + Codec.Write(method.Result, "__result"));
        }

        code.Close();
    }

    private static void WriteInvoke(CodeWriter code, MethodModel method)
    {
        IEnumerable<string> values = method.Parameters.Select(static p => p.Name);
        if (method.Cancellation is not null)
            values = values.Append("__cancellationToken");
        string call = $"__target.{Identifier(method.Name)}({string.Join(", ", values)})";
        string returns = method.Result is null ? ValueTaskType : $"{ValueTaskType}<{method.Result.Type}>";
        string invoke = $"protected override {returns} InvokeAsync({CancellationTokenType} __cancellationToken)";
        switch (method.Returns)
        {
            case ReturnKind.Nothing:
                code.Open(invoke);
                code.Line($"{call};");
                code.Line("return default;");
                code.Close();
                break;
            case ReturnKind.Stream:
                code.Line($"protected override {method.ReturnType} Invoke({CancellationTokenType} __cancellationToken) => {call};");
                break;
            case ReturnKind.ValueTask or ReturnKind.ValueTaskOfT:
                code.Line($"{invoke} => {call};");
                break;
            default:
                code.Line($"{invoke} => new {returns}({call});");
                break;
        }
    }
}
