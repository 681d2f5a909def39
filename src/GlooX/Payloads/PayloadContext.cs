using System.Reflection;
using System.Runtime.Loader;

namespace GlooX.Payloads;

/// <summary>Where the user's code is loaded: with assemblies of its own, but one GlooX for all.</summary>
internal sealed class PayloadContext : AssemblyLoadContext
{
    private static readonly string[] s_own =
        ["GlooX", "GlooX.Agent", "GlooX.Rpc", "GlooX.Grid", "GlooX.Slots", "GlooX.Channels", "GlooX.Hosting"];
    private static readonly string[] s_shared = ["Nerdbank.", "PolyType", "Microsoft.Extensions.", "Akka", "Google.Protobuf"];
    private readonly AssemblyDependencyResolver _resolver;

    /// <param name="name">For diagnostics.</param>
    /// <param name="path">The main assembly, with its <c>.deps.json</c> beside it.</param>
    /// <param name="isCollectible">Whether it can be unloaded.</param>
    public PayloadContext(string name, string path, bool isCollectible)
        : base(name, isCollectible)
    {
        _resolver = new AssemblyDependencyResolver(path);

        // What is shared where the process has it: where it has not, the payload's own serves.
        Resolving += (_, wanted) => _resolver.ResolveAssemblyToPath(wanted) is { } file ? LoadFromAssemblyPath(file) : null;
    }

    /// <summary>Whether an assembly is the process's own in every context.</summary>
    public static bool IsShared(string assembly) =>
        s_own.Contains(assembly, StringComparer.Ordinal) || Array.Exists(s_shared, s => assembly.StartsWith(s, StringComparison.Ordinal));

    protected override Assembly? Load(AssemblyName assemblyName) =>
        IsShared(assemblyName.Name!) ? null
        : _resolver.ResolveAssemblyToPath(assemblyName) is { } file ? LoadFromAssemblyPath(file) : null;

    protected override nint LoadUnmanagedDll(string unmanagedDllName) =>
        _resolver.ResolveUnmanagedDllToPath(unmanagedDllName) is { } file ? LoadUnmanagedDllFromPath(file) : 0;
}
