using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using PolyType;
using PolyType.ReflectionProvider;

namespace GlooX.RpcRuntime;

/// <summary>
/// Where the serializer learns what types look like: from shapes that were generated, here or in the assembly of a contract; else, where code
/// can be made at run time, by reflection, once for each type. Thread-safe.
/// </summary>
internal static class Shapes
{
    private static readonly ConcurrentDictionary<Type, ITypeShape> s_known = new();
    private static readonly ConcurrentQueue<Lazy<ITypeShapeProvider>> s_providers = new();

    /// <summary>False in a program that was trimmed or compiled ahead of time: members that nobody names may be missing there.</summary>
#pragma warning disable IL4000 // a trimmer puts false here, as the guards say
    [FeatureGuard(typeof(RequiresUnreferencedCodeAttribute))]
    [FeatureGuard(typeof(RequiresDynamicCodeAttribute))]
    private static bool Reflects => RuntimeFeature.IsDynamicCodeSupported;
#pragma warning restore IL4000

    public static void Add(Func<ITypeShapeProvider> provider) => s_providers.Enqueue(new(provider));

    /// <exception cref="RpcException">The type cannot be serialized, or has no shape where it needs one.</exception>
    public static ITypeShape Of(Type type) => s_known.GetOrAdd(type, static t => Generated(t) ?? Reflected(t));

    private static ITypeShape? Generated(Type type)
    {
        ITypeShape? shape = CommonShapes.Provider.GetTypeShape(type);
        foreach (Lazy<ITypeShapeProvider> provider in s_providers)
        {
            shape ??= provider.Value.GetTypeShape(type);
        }

        return shape;
    }

    private static ITypeShape Reflected(Type type)
    {
        if (Reflects)
        {
            return Reflection.Provider.GetTypeShape(type) ?? throw new RpcException(RpcError.BadArguments, $"values of the type {type} cannot be sent");
        }

        throw new RpcException(
            RpcError.BadArguments,
            $"{type} has no shape, which a program compiled ahead of time needs: put [GenerateShape] on it if it is a record of yours, else [GenerateShapeFor(typeof({type.Name}))] on any partial class that a contract uses");
    }

    [RequiresUnreferencedCode("Reads types by reflection.")]
    [RequiresDynamicCode("Reads types by reflection.")]
    private static class Reflection
    {
        public static readonly ReflectionTypeShapeProvider Provider = ReflectionTypeShapeProvider.Create(new() { UseReflectionEmit = false });
    }
}
