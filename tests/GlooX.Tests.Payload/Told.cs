using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace GlooX.Tests.Payload;

/// <summary>Tells that code of this assembly has run, by the context that it was loaded into.</summary>
public static class Told
{
    public static string Key(string? context) => $"code of the payload has run in {context}";

#pragma warning disable CA2255 // that it runs at all is what it tells
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Tell() => AppDomain.CurrentDomain.SetData(Key(AssemblyLoadContext.GetLoadContext(typeof(Told).Assembly)?.Name), true);
}
