using System.ComponentModel;
using Nerdbank.MessagePack;
using PolyType;

// What generated code is written against. Public because generated code lives in the user's assembly; hidden from completion
// because nobody writes against it by hand.
namespace GlooX.RpcRuntime;

/// <summary>Reads the result of a call. Runs on the connection's reader loop.</summary>
/// <typeparam name="T">The result's type.</typeparam>
/// <param name="reader">Positioned at the result.</param>
/// <param name="serializer">Reads what is no primitive.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public delegate T RpcResultReader<out T>(ref MessagePackReader reader, RpcSerializer serializer);

/// <summary>The arguments of one call, as a value type, so that a call allocates nothing for them.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public interface IRpcArguments
{
    /// <summary>Writes one MessagePack array with all arguments.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="serializer">Writes what is no primitive.</param>
    void Write(ref MessagePackWriter writer, RpcSerializer serializer);
}

/// <summary>The result of a method that returns nothing; nil on the wire.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public readonly struct RpcVoid
{
    /// <summary>Reads nil, or skips whatever is there.</summary>
    /// <param name="reader">Positioned at the result.</param>
    /// <param name="serializer">Not used.</param>
    /// <returns>Nothing.</returns>
    public static RpcVoid Read(ref MessagePackReader reader, RpcSerializer serializer)
    {
        reader.Skip(new SerializationContext());
        return default;
    }
}

/// <summary>A method as a caller knows it: one static instance for each method of a contract.</summary>
/// <typeparam name="TResult">What it returns; <see cref="RpcVoid"/> for nothing.</typeparam>
/// <param name="name">Name on the wire.</param>
/// <param name="readResult">Reads the result.</param>
/// <param name="timeoutMilliseconds">0: the client's default; -1: no limit.</param>
/// <param name="isOneWay">Whether no answer is wanted.</param>
/// <param name="isIdempotent">Whether a call may be made again when its connection broke.</param>
/// <param name="faults">The details that its failures may carry; null: none.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcMethod<TResult>(
    string name, RpcResultReader<TResult> readResult, int timeoutMilliseconds = 0, bool isOneWay = false, bool isIdempotent = false, RpcFaultKind[]? faults = null)
{
    /// <summary>Name on the wire.</summary>
    public string Name { get; } = name;

    /// <summary>0: the client's default; -1: no limit.</summary>
    public int TimeoutMilliseconds { get; } = timeoutMilliseconds;

    /// <summary>Whether no answer is wanted.</summary>
    public bool IsOneWay { get; } = isOneWay;

    /// <summary>Whether a call may be made again when its connection broke.</summary>
    public bool IsIdempotent { get; } = isIdempotent;

    internal RpcResultReader<TResult> ReadResult { get; } = readResult;

    internal RpcFaultKind[]? Faults { get; } = faults;
}

/// <summary>Turns the requests for one class or contract into calls of its methods. Stateless; one instance for each type.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public abstract class RpcDispatcher
{
    /// <summary>The names on the wire; the position is the method's index.</summary>
    public abstract IReadOnlyList<string> Methods { get; }

    /// <summary>Reads the arguments and returns the request, ready to run. Runs on the reader loop, so it runs no user code beyond the types' converters.</summary>
    /// <param name="method">Index into <see cref="Methods"/>.</param>
    /// <param name="target">The object that is called.</param>
    /// <param name="arguments">Positioned at the array of arguments.</param>
    /// <param name="serializer">Reads what is no primitive.</param>
    /// <param name="inbound">Reads what does not travel as a value.</param>
    /// <returns>The request.</returns>
    public abstract RpcRequest Read(int method, object target, ref MessagePackReader arguments, RpcSerializer serializer, RpcInbound inbound);
}

/// <summary>Small things that generated code needs.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public static class RpcArguments
{
    /// <summary>Reads the head of the argument array.</summary>
    /// <param name="reader">Positioned at the array.</param>
    /// <param name="required">How many arguments there must be.</param>
    /// <param name="maximum">How many there may be.</param>
    /// <returns>How many there are.</returns>
    /// <exception cref="RpcException"><see cref="RpcError.BadArguments"/>: too few or too many.</exception>
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
    /// <param name="value">What came.</param>
    /// <param name="parameter">The parameter's name.</param>
    /// <returns><paramref name="value"/>.</returns>
    /// <exception cref="RpcException"><see cref="RpcError.BadArguments"/>: it is null.</exception>
    public static T NotNull<T>(T? value, string parameter)
        where T : class =>
        value ?? throw new RpcException(RpcError.BadArguments, $"argument '{parameter}' may not be null");
}

/// <summary>What the generated module initializers fill: which proxy and which dispatcher belongs to a type. Thread-safe.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public static partial class RpcRegistry
{
    /// <summary>Registers the proxy of a contract.</summary>
    /// <typeparam name="T">The contract.</typeparam>
    /// <param name="create">Makes a proxy that calls through the given invoker.</param>
    public static partial void AddProxy<T>(Func<RpcInvoker, T> create)
        where T : class;

    /// <summary>Registers shapes that were generated: with them values are serialized without reflection.</summary>
    /// <param name="provider">Gives the shapes of an assembly; called when one is needed.</param>
    public static partial void AddShapes(Func<ITypeShapeProvider> provider);

    /// <summary>Registers the dispatcher of a class or contract.</summary>
    /// <param name="type">The class or contract.</param>
    /// <param name="dispatcher">Its dispatcher.</param>
    public static partial void AddDispatcher(Type type, RpcDispatcher dispatcher);
}
