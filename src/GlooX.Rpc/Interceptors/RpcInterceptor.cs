using GlooX.Protocol;

namespace GlooX;

/// <summary>
/// Runs around calls and handlers, for authentication, logging, metrics or retries. Derive, override what you need, and add an instance to
/// <see cref="RpcClientOptions.Interceptors"/> or <see cref="RpcServerOptions.Interceptors"/>.
/// </summary>
/// <remarks>
/// One instance serves many calls at once. Both sides of a connection can call, because an argument may be a callback: a client's interceptors
/// also see the callbacks it serves, and a server's those it makes. A stream counts as one call from start to end; its result is meaningless.
/// An exception of an interceptor reaches the caller like one of a handler: an <see cref="RpcException"/> unchanged, any other as
/// <see cref="RpcError.Remote"/>.
/// </remarks>
public abstract class RpcInterceptor
{
    /// <summary>Wraps a call that this side makes.</summary>
    /// <typeparam name="T">The result of the call.</typeparam>
    /// <param name="call">The call; add metadata before invoking <paramref name="next"/>.</param>
    /// <param name="next">Continues with the next interceptor and finally the network. May be invoked again to retry, except for a stream.</param>
    /// <returns>The result for the caller.</returns>
    public virtual ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next)
    {
        ArgumentNullException.ThrowIfNull(next);
        return next();
    }

    /// <summary>
    /// Refuses a call by throwing, before its arguments are read. All other calls of the connection wait meanwhile, so it must not block; work that
    /// takes longer belongs in <see cref="ServeAsync"/>.
    /// </summary>
    /// <param name="call">The call.</param>
    public virtual void Admit(RpcCall call)
    {
    }

    /// <summary>Wraps a call that this side serves.</summary>
    /// <typeparam name="T">The result of the handler.</typeparam>
    /// <param name="call">The call.</param>
    /// <param name="next">Continues with the next interceptor and finally the handler.</param>
    /// <returns>The result for the caller.</returns>
    public virtual ValueTask<T> ServeAsync<T>(RpcCall call, Func<ValueTask<T>> next)
    {
        ArgumentNullException.ThrowIfNull(next);
        return next();
    }
}

/// <summary>A call that is about to be made, as interceptors see it.</summary>
public sealed class RpcClientCall
{
    private Dictionary<string, string>? _metadata;

    internal RpcClientCall(string method, string url, CancellationToken cancellation)
    {
        Method = method;
        Url = url;
        Cancellation = cancellation;
    }

    /// <summary>The called method, as <c>service/method</c> or <c>method</c>.</summary>
    public string Method { get; }

    /// <summary>The server, as <c>host:port</c>.</summary>
    public string Url { get; }

    /// <summary>Cancelled when the caller cancels the call.</summary>
    public CancellationToken Cancellation { get; }

    /// <summary>
    /// Entries that travel with the call beside its arguments, for the other side's interceptors and <see cref="RpcCall.Metadata"/>. At most 64
    /// entries, 16 KiB together.
    /// </summary>
    public IDictionary<string, string> Metadata => _metadata ??= new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Null: none.</summary>
    internal Dictionary<string, string>? Sent => _metadata is { Count: > 0 } ? _metadata : null;
}
