using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using PolyType;

namespace GlooX.RpcRuntime;

public static partial class RpcRegistry
{
    // Weak by type, so that an assembly in an unloadable context can go.
    private static readonly ConditionalWeakTable<Type, Delegate> s_proxies = [];
    private static readonly ConditionalWeakTable<Type, RpcDispatcher> s_dispatchers = [];

    public static partial void AddProxy<T>(Func<RpcInvoker, T> create)
        where T : class => s_proxies.AddOrUpdate(typeof(T), create);

    public static partial void AddShapes(Func<ITypeShapeProvider> provider) => Shapes.Add(provider);

    public static partial void AddDispatcher(Type type, RpcDispatcher dispatcher) => s_dispatchers.AddOrUpdate(type, dispatcher);

    /// <exception cref="ArgumentException">No proxy was generated for the type.</exception>
    internal static T CreateProxy<T>(RpcInvoker invoker)
        where T : class
    {
        RunInitializer(typeof(T));
        return s_proxies.TryGetValue(typeof(T), out Delegate? create)
            ? ((Func<RpcInvoker, T>)create)(invoker)
            : throw new ArgumentException($"{typeof(T)} cannot be called remotely: it is no interface with [RpcService], or its project does not run the GlooX source generator (it comes with the GlooX package)", nameof(T));
    }

    /// <summary>
    /// The dispatcher of a class or contract, or of the nearest base class that has one, or of the contracts of a class that generated code
    /// cannot name; null if nothing of it is exposed.
    /// </summary>
    /// <param name="type">The class or contract.</param>
    /// <returns>The dispatcher, or null.</returns>
    [UnconditionalSuppressMessage("Trimming", "IL2070", Justification = "Only contracts matter, which generated code names: an object keeps the interfaces that somebody can cast it to.")]
    public static RpcDispatcher? FindDispatcher(Type type)
    {
        RpcDispatcher? found = null;
        Type? at = type;
        while (at is not null && at != typeof(object) && (found = Registered(at)) is null)
        {
            at = at.BaseType;
        }

        if (at == type)
        {
            return found;
        }

        RpcDispatcher[] contracts = [.. type.GetInterfaces()
            .Where(static i => i.IsDefined(typeof(RpcServiceAttribute), inherit: false))
            .OrderBy(static i => i.FullName, StringComparer.Ordinal)
            .Select(Registered)
            .OfType<RpcDispatcher>()];
        return contracts.Length == 0 ? found : new ContractsDispatcher(found is null ? contracts : [found, .. contracts]);
    }

    /// <summary>The dispatcher of a class or contract, as <see cref="FindDispatcher"/>.</summary>
    /// <param name="type">The class or contract.</param>
    /// <returns>The dispatcher.</returns>
    /// <exception cref="ArgumentException">The type exposes nothing.</exception>
    public static RpcDispatcher GetDispatcher(Type type) => FindDispatcher(type)
        ?? throw new ArgumentException($"nothing of {type} can be called: no method has [Rpc], no interface has [RpcService], or its project does not run the GlooX source generator (it comes with the GlooX package)", nameof(type));

    private static RpcDispatcher? Registered(Type type)
    {
        RunInitializer(type);
        return s_dispatchers.TryGetValue(type, out RpcDispatcher? dispatcher) ? dispatcher : null;
    }

    // Naming a type does not run its module's initializer, which registers the generated code.
    private static void RunInitializer(Type type) => RuntimeHelpers.RunModuleConstructor(type.Module.ModuleHandle);
}
