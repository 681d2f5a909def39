using static GlooX.Generator.GeneratedNames;

namespace GlooX.Generator;

/// <summary>
/// The expressions that read and write one value: MessagePack directly for what it knows, the serializer for the rest. The code
/// around them has <c>__reader</c> or <c>__writer</c>, and <c>__serializer</c>.
/// </summary>
internal static class Codec
{
    public static string Write(ValueModel value, string expression) => value.Primitive is null
        ? $"__serializer.Write<{value.Type}>(ref __writer, {expression});"
        : $"__writer.Write({expression});";

    /// <summary>An argument: null where the contract does not allow it is refused.</summary>
    /// <param name="parameter">The argument.</param>
    /// <param name="callback">The class that calls it, if it is a delegate.</param>
    public static string ReadArgument(ParameterModel parameter, string callback) => (parameter.Carriage, parameter.Value.Nullness) switch
    {
        (Carriage.Stream, _) => $"__inbound.Stream<{parameter.Item!.Type}>(ref __reader, static (ref {MessagePackReader} __reader, {Runtime}.RpcSerializer __serializer) => {ReadResult(parameter.Item)})",
        (Carriage.Reference, _) when parameter.Reference!.MayBeNull => $"(__reader.TryReadNil() ? null{(parameter.Value.Nullness == Nullness.Declared ? "" : "!")} : {Import(parameter.Reference, callback)})",
        (Carriage.Reference, _) => Import(parameter.Reference!, callback),
        (_, Nullness.Never) => $"{Runtime}.RpcArguments.NotNull({Read(parameter.Value)}, {Literal(parameter.WireName)})",
        _ => ReadResult(parameter.Value),
    };

    /// <summary>A result, or an argument that may be null: taken as it comes, for the other side compiled the same contract.</summary>
    public static string ReadResult(ValueModel value) => value.Nullness == Nullness.Declared ? Read(value) : Read(value) + "!";

    private static string Import(ReferenceModel reference, string callback) => reference.Invoke is null
        ? $"__inbound.Import<{reference.Type}>(ref __reader)"
        : $"new {reference.Type}(new {callback}(__inbound.Import(ref __reader)).Invoke)";

    private static string Read(ValueModel value) => value.Primitive switch
    {
        null => $"__serializer.Read<{value.Type}>(ref __reader)",
        "Bytes" => "global::GlooX.RpcRuntime.RpcSerializer.ReadBytes(ref __reader)",
        _ => $"__reader.Read{value.Primitive}()",
    };
}
