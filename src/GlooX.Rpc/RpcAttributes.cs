namespace GlooX;

/// <summary>
/// Marks an interface as a contract: all its methods can be called over the network. The source generator writes the proxy for callers and the
/// dispatcher for servers at compile time; a call uses no reflection.
/// </summary>
/// <remarks>
/// Methods return <see cref="Task"/>, <see cref="Task{TResult}"/>, <see cref="ValueTask"/>, <see cref="ValueTask{TResult}"/> or, for a stream,
/// <see cref="IAsyncEnumerable{T}"/>. A parameter may be a stream too. A parameter may also be a contract or a delegate: the object stays with
/// the caller, and the method may call it until the connection ends. A last parameter of type <see cref="CancellationToken"/> cancels the call;
/// it is not sent as an argument. Each method of a contract needs a different name on the wire.
/// </remarks>
[AttributeUsage(AttributeTargets.Interface, Inherited = false)]
public sealed class RpcServiceAttribute : Attribute;

/// <summary>Makes a method of a class callable over the network; on a method of a contract, sets its name and options.</summary>
/// <param name="name">The name on the wire; by default the method's name without a trailing <c>Async</c>.</param>
[AttributeUsage(AttributeTargets.Method, Inherited = false)]
public sealed class RpcAttribute(string? name = null) : Attribute
{
    /// <summary>The name on the wire; null: the method's name without a trailing <c>Async</c>.</summary>
    public string? Name { get; } = name;

    /// <summary>
    /// How long a call may take, in milliseconds, including the time to connect, before it fails with <see cref="RpcError.Timeout"/>. Default 0:
    /// <see cref="RpcClientOptions.CallTimeout"/>; -1: no limit.
    /// </summary>
    public int TimeoutMilliseconds { get; set; }

    /// <summary>
    /// Whether the caller wants no answer. The call completes when it is queued to be sent; the caller never learns whether it arrived, ran or
    /// failed. Only for methods that return nothing. Default false.
    /// </summary>
    public bool OneWay { get; set; }

    /// <summary>
    /// Whether the method may run twice without harm. If the connection breaks before the answer arrives, the call is repeated on a new connection
    /// until its deadline. Default false: the call fails with <see cref="RpcError.Connection"/> and is never repeated. Has an effect on contracts
    /// only, and none on one-way calls and on calls with streams or callbacks.
    /// </summary>
    public bool Idempotent { get; set; }
}

/// <summary>
/// Declares that the methods of a contract, or one method, may fail with an <see cref="RpcFault{T}"/> of a type, so that callers can catch it.
/// Failures with other details arrive as <see cref="RpcException"/>.
/// </summary>
/// <param name="detail">The type argument of the <see cref="RpcFault{T}"/>.</param>
[AttributeUsage(AttributeTargets.Interface | AttributeTargets.Method, AllowMultiple = true, Inherited = false)]
public sealed class RpcFaultAttribute(Type detail) : Attribute
{
    /// <summary>The type argument of the <see cref="RpcFault{T}"/>.</summary>
    public Type Detail { get; } = detail;
}
