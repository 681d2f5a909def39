using System.Reflection;
using System.Runtime.CompilerServices;
using GlooX.Payloads;
using GlooX.RpcRuntime;

namespace GlooX.Addons;

/// <summary>The code of an add-on, in a context of its own that can be unloaded, and one object of its class.</summary>
internal sealed class AddonAssembly
{
    private readonly PayloadContext _context;

    private AddonAssembly(PayloadContext context, object target)
    {
        _context = context;
        Target = target;
    }

    public object Target { get; private set; }

    /// <summary>Builds the source if it must be, loads it and makes the object.</summary>
    /// <exception cref="AddonException"><see cref="AddonError.BadSource"/> or <see cref="AddonError.StartFailed"/>.</exception>
    public static async Task<AddonAssembly> LoadAsync(string name, AddonSource source, CancellationToken ct)
    {
        string path;
        try
        {
            path = await Payload.AssemblyOfAsync(source.Path, ct).ConfigureAwait(false);
        }
        catch (SpawnException e)
        {
            throw Bad(name, e.Message, e);
        }

        return Load(name, source, path);
    }

    /// <summary>From now on nothing of the add-on is kept here: its memory is free when the last of its own references is gone.</summary>
    public void Unload()
    {
        Target = null!;
        _context.Unload();
    }

    private static AddonAssembly Load(string name, AddonSource source, string path)
    {
        var context = new PayloadContext($"add-on {name}", path, isCollectible: true);
        try
        {
            Type type = Choose(name, source, context.LoadFromAssemblyPath(path));
            return new AddonAssembly(context, Create(name, type));
        }
        catch (Exception e)
        {
            context.Unload();
            throw e is AddonException ? e : Bad(name, $"{path} cannot be loaded: {e.Message}", e);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static object Create(string name, Type type)
    {
        try
        {
            return Activator.CreateInstance(type, nonPublic: true)!;
        }
        catch (TargetInvocationException e)
        {
            throw new AddonException(AddonError.StartFailed, $"the add-on '{name}' was not attached: {type} cannot be made: {e.InnerException?.Message}", e.InnerException);
        }
        catch (MissingMethodException e)
        {
            throw Bad(name, $"{type} has no constructor without parameters", e);
        }
    }

    private static Type Choose(string name, AddonSource source, Assembly assembly)
    {
        Type[] there = [.. assembly.GetTypes().Where(static t => t is { IsClass: true, IsAbstract: false, IsGenericTypeDefinition: false } && !t.IsSubclassOf(typeof(Agent)) && RpcRegistry.FindDispatcher(t) is not null)];
        Type[] fitting = source.Class is { } wanted ? [.. there.Where(t => t.FullName == wanted || t.Name == wanted)] : there;
        string all = there.Length == 0 ? "it has none with [Rpc] methods or an [RpcService] interface" : $"it has: {string.Join(", ", there.Select(static t => t.FullName))}";
        return fitting.Length switch
        {
            1 => fitting[0],
            0 => throw Bad(name, $"{source.Path} has no class {source.Class} that can be called; {all}"),
            _ => throw Bad(name, $"say which class of {source.Path}; {all}"),
        };
    }

    private static AddonException Bad(string name, string why, Exception? inner = null) => new(AddonError.BadSource, $"the add-on '{name}' was not attached: {why}", inner);
}
