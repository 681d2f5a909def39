using System.ComponentModel;
using GlooX.Server;
using Nerdbank.MessagePack;
using PolyType;

// The API of generated code. It is public because generated code lives in the user's assembly, and hidden from completion because no
// person writes against it.
namespace GlooX.RpcRuntime;

/// <summary>Reads the result of a call. Runs on the connection's read loop.</summary>
/// <typeparam name="T">The result's type.</typeparam>
/// <param name="reader">Positioned at the result.</param>
/// <param name="serializer">Serializes values that are no primitives.</param>
/// <returns>The result.</returns>
[EditorBrowsable(EditorBrowsableState.Never)]
public delegate T RpcResultReader<out T>(ref MessagePackReader reader, RpcSerializer serializer);

/// <summary>The arguments of one call, as a value type, so that a call allocates nothing for them.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public interface IRpcArguments
{
    /// <summary>Writes one MessagePack array with all arguments.</summary>
    /// <param name="writer">Receives the array.</param>
    /// <param name="serializer">Serializes values that are no primitives.</param>
    void Write(ref MessagePackWriter writer, RpcSerializer serializer);
}

/// <summary>The result of a method that returns nothing; nil on the wire.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public readonly struct RpcVoid
{
    /// <summary>Reads nil, or skips any other value.</summary>
    /// <param name="reader">Positioned at the result.</param>
    /// <param name="serializer">Not used.</param>
    /// <returns>The empty result.</returns>
    public static RpcVoid Read(ref MessagePackReader reader, RpcSerializer serializer)
    {
        reader.Skip(new SerializationContext());
        return default;
    }
}

/// <summary>A method as callers see it: one static instance for each method of a contract.</summary>
/// <typeparam name="TResult">The result's type; <see cref="RpcVoid"/> for none.</typeparam>
/// <param name="name">The name on the wire.</param>
/// <param name="readResult">Reads the result.</param>
/// <param name="timeoutMilliseconds">0: the client's default; -1: no limit.</param>
/// <param name="isOneWay">Whether the caller wants no answer.</param>
/// <param name="isIdempotent">Whether a call may be repeated when its connection broke.</param>
/// <param name="faults">The details that its failures may carry; null: none.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcMethod<TResult>(
    string name, RpcResultReader<TResult> readResult, int timeoutMilliseconds = 0, bool isOneWay = false, bool isIdempotent = false, RpcFaultKind[]? faults = null)
{
    /// <summary>The name on the wire.</summary>
    internal string Name { get; } = name;

    /// <summary>0: the client's default; -1: no limit.</summary>
    internal int TimeoutMilliseconds { get; } = timeoutMilliseconds;

    /// <summary>Whether the caller wants no answer.</summary>
    internal bool IsOneWay { get; } = isOneWay;

    /// <summary>Whether a call may be repeated when its connection broke.</summary>
    internal bool IsIdempotent { get; } = isIdempotent;

    internal RpcResultReader<TResult> ReadResult { get; } = readResult;

    internal RpcFaultKind[]? Faults { get; } = faults;

    /// <summary>Whether the code that follows its answers is quick. Trusted at first, because it is this process's own code.</summary>
    internal MethodTrust Trust { get; init; } = new(isQuick: true);
}

/// <summary>Turns requests for one class or contract into calls of its methods. Stateless; one instance for each type.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public abstract class RpcDispatcher
{
    private MethodTrust[]? _trust;

    /// <summary>The names on the wire; a method's index is its position.</summary>
    public abstract IReadOnlyList<string> Methods { get; }

    /// <summary>Whether the method's runs have been quick.</summary>
    internal MethodTrust TrustOf(int method) => (Volatile.Read(ref _trust) ?? MakeTrust())[method];

    private MethodTrust[] MakeTrust()
    {
        MethodTrust[] made = [.. Methods.Select(static _ => new MethodTrust(isQuick: false))];
        return Interlocked.CompareExchange(ref _trust, made, null) ?? made;
    }

    /// <summary>
    /// Reads the arguments and returns a request that is ready to run. Runs on the connection's read loop; the only user code it runs are the
    /// types' converters.
    /// </summary>
    /// <param name="method">Index into <see cref="Methods"/>.</param>
    /// <param name="target">The object to call.</param>
    /// <param name="arguments">Positioned at the array of arguments.</param>
    /// <param name="serializer">Serializes values that are no primitives.</param>
    /// <param name="inbound">Reads streams and callbacks.</param>
    /// <returns>The request.</returns>
    public abstract RpcRequest Read(int method, object target, ref MessagePackReader arguments, RpcSerializer serializer, RpcInbound inbound);
}

/// <summary>Helpers for generated code.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public static class RpcArguments
{
    /// <summary>Reads the header of the argument array.</summary>
    /// <param name="reader">Positioned at the array.</param>
    /// <param name="required">The smallest number of arguments.</param>
    /// <param name="maximum">The largest number of arguments.</param>
    /// <returns>The number of arguments.</returns>
    /// <exception cref="RpcException"><see cref="RpcError.BadArguments"/>: too few or too many arguments.</exception>
    public static int Begin(ref MessagePackReader reader, int required, int maximum)
    {
        int count = reader.ReadArrayHeader();
        if (count < required || count > maximum)
        {
            string takes = required == maximum ? $"{required}" : $"{required} to {maximum}";
            throw new RpcException(RpcError.BadArguments, $"takes {takes} argument{(maximum == 1 ? "" : "s")}, got {count}");
        }

        return count;
    }

    /// <summary>Refuses null where the contract does not allow it.</summary>
    /// <typeparam name="T">The parameter's type.</typeparam>
    /// <param name="value">The argument.</param>
    /// <param name="parameter">The parameter's name.</param>
    /// <returns><paramref name="value"/>.</returns>
    /// <exception cref="RpcException"><see cref="RpcError.BadArguments"/>: the argument is null.</exception>
    public static T NotNull<T>(T? value, string parameter)
        where T : class =>
        value ?? throw new RpcException(RpcError.BadArguments, $"argument '{parameter}' must not be null");
}

/// <summary>The proxies, dispatchers and shapes that generated module initializers register. Thread-safe.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public static partial class RpcRegistry
{
    /// <summary>Registers the proxy of a contract.</summary>
    /// <typeparam name="T">The contract.</typeparam>
    /// <param name="create">Creates a proxy that calls through the given invoker.</param>
    public static partial void AddProxy<T>(Func<RpcInvoker, T> create)
        where T : class;

    /// <summary>Registers generated shapes, so that their types are serialized without reflection.</summary>
    /// <param name="provider">Returns the shapes of an assembly; called when the first one is needed.</param>
    public static partial void AddShapes(Func<ITypeShapeProvider> provider);

    /// <summary>Registers the dispatcher of a class or contract.</summary>
    /// <param name="type">The class or contract.</param>
    /// <param name="dispatcher">Its dispatcher.</param>
    public static partial void AddDispatcher(Type type, RpcDispatcher dispatcher);
}
