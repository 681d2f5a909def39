using static GlooX.Generator.GeneratedNames;

namespace GlooX.Generator;

/// <summary>A type in the registry.</summary>
internal sealed record Registration(string Type, string Dispatcher, string? Proxy, EquatableArray<ShapeModel> Shapes)
{
    public static Registration Of(TypeModel type) =>
        new(type.Type, GeneratedNames.Dispatcher(type), type.IsContract ? GeneratedNames.Proxy(type) : null, type.Methods.SelectMany(static m => m.Shapes).ToEquatableArray());
}

/// <summary>Writes the one file that tells the runtime of all proxies and dispatchers when the assembly is loaded.</summary>
internal static class RegistrationWriter
{
    public static string Write(IEnumerable<Registration> registrations)
    {
        var code = new CodeWriter();
        code.Open("file static class RpcRegistration");
        code.Line("[global::System.Runtime.CompilerServices.ModuleInitializer]");
        code.Open("internal static void Register()");

        foreach (IGrouping<string, ShapeModel> shapes in registrations.SelectMany(static r => r.Shapes).GroupBy(static s => s.Assembly, StringComparer.Ordinal).OrderBy(static s => s.Key, StringComparer.Ordinal))
            code.Line($"{Runtime}.RpcRegistry.AddShapes(static () => global::PolyType.Abstractions.TypeShapeResolver.Resolve<{shapes.Min(static s => s.Type)}>().Provider);");

        // Sorted, so that moving a type between files changes nothing.
        foreach (Registration r in registrations.OrderBy(static r => r.Type, StringComparer.Ordinal))
        {
            if (r.Proxy is not null)
                code.Line($"{Runtime}.RpcRegistry.AddProxy<{r.Type}>(static invoker => new global::GlooX.Generated.{r.Proxy}(invoker));");
            code.Line($"{Runtime}.RpcRegistry.AddDispatcher(typeof({r.Type}), new global::GlooX.Generated.{r.Dispatcher}());");
        }

        code.Close();
        code.Close();
        return code.ToString();
    }
}
