namespace GlooX;

/// <summary>
/// Marks an interface as a contract that can be called over the network. All its methods are callable; the source generator
/// writes the proxy for callers and the dispatcher for servers, so no reflection happens on a call.
/// </summary>
/// <remarks>
/// Methods return <see cref="Task"/>, <see cref="Task{TResult}"/>, <see cref="ValueTask"/>, <see cref="ValueTask{TResult}"/> or, for a
/// stream, <see cref="IAsyncEnumerable{T}"/>. A parameter may be a stream too, or a contract: then the object stays with the caller, and the
/// method may call it until the connection ends;
/// a last parameter of type <see cref="CancellationToken"/> does not travel as an argument but as cancellation.
/// Two methods may not have the same name on the wire.
/// </remarks>
[AttributeUsage(AttributeTargets.Interface, Inherited = false)]
public sealed class RpcServiceAttribute : Attribute;

/// <summary>Exposes a method to callers: on a class it makes the method callable, on a contract it sets its name and manners.</summary>
/// <param name="name">The name on the wire; default is the method's name without a trailing <c>Async</c>.</param>
[AttributeUsage(AttributeTargets.Method, Inherited = false)]
public sealed class RpcAttribute(string? name = null) : Attribute
{
    /// <summary>The name on the wire; null means the method's name without a trailing <c>Async</c>.</summary>
    public string? Name { get; } = name;

    /// <summary>
    /// How long a call may take, in milliseconds and connecting included, before it fails with <see cref="RpcError.Timeout"/>.
    /// 0 (default): the client's <see cref="RpcClientOptions.CallTimeout"/>; -1: no limit.
    /// </summary>
    public int TimeoutMilliseconds { get; set; }

    /// <summary>
    /// No answer is wanted: the call completes when it waits to be sent, and whether it arrived, ran or failed is never known.
    /// Only for methods that return nothing. Default false.
    /// </summary>
    public bool OneWay { get; set; }

    /// <summary>
    /// Whether it does no harm to execute a call twice. Then a call whose connection broke before the answer came is made again on a new
    /// connection, until its deadline; connecting again is tried for as long. Default false: such a call fails with
    /// <see cref="RpcError.Connection"/> and is never repeated. Counts on contracts only, and neither for one-way calls nor for those that
    /// carry streams or lent objects.
    /// </summary>
    public bool Idempotent { get; set; }
}

/// <summary>
/// Says that the methods of a contract, or one of them, may fail with an <see cref="RpcFault{T}"/> of a type, so that callers catch just
/// that. Failures with other details arrive as <see cref="RpcException"/>.
/// </summary>
/// <param name="detail">The T of the <see cref="RpcFault{T}"/>.</param>
[AttributeUsage(AttributeTargets.Interface | AttributeTargets.Method, AllowMultiple = true, Inherited = false)]
public sealed class RpcFaultAttribute(Type detail) : Attribute
{
    /// <summary>The T of the <see cref="RpcFault{T}"/>.</summary>
    public Type Detail { get; } = detail;
}
