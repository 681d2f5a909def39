using GlooX.Protocol;

namespace GlooX;

/// <summary>
/// Stands between calls and their handlers: for authentication, logs, measures, tries again. Derive, override what concerns you, and give an
/// instance to <see cref="RpcClientOptions.Interceptors"/> or <see cref="RpcServerOptions.Interceptors"/>.
/// </summary>
/// <remarks>
/// One instance serves many calls at once. Both sides of a connection can call, since an argument may be an object that is called back: so
/// a client's interceptors also see the calls that it serves, and a server's those that it makes. A stream is one call from its start to its
/// end, whose result is of no interest. What an interceptor throws reaches the caller like what a handler throws: an
/// <see cref="RpcException"/> as it is, anything else as <see cref="RpcError.Remote"/>.
/// </remarks>
public abstract class RpcInterceptor
{
    /// <summary>Wraps a call that this side makes.</summary>
    /// <typeparam name="T">What the call returns.</typeparam>
    /// <param name="call">The call; metadata can be added before <paramref name="next"/>.</param>
    /// <param name="next">Goes on with the call: through the next interceptor, in the end over the network. A call that is no stream may be made again.</param>
    /// <returns>What the caller gets.</returns>
    public virtual ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next)
    {
        ArgumentNullException.ThrowIfNull(next);
        return next();
    }

    /// <summary>
    /// Refuses a call that has come, by throwing, before its arguments are read. It holds up all other calls of the connection meanwhile: it
    /// must not wait. What takes longer belongs in <see cref="ServeAsync"/>.
    /// </summary>
    /// <param name="call">The call.</param>
    public virtual void Admit(RpcCall call)
    {
    }

    /// <summary>Wraps a call that this side serves.</summary>
    /// <typeparam name="T">What the handler returns.</typeparam>
    /// <param name="call">The call.</param>
    /// <param name="next">Goes on: through the next interceptor, in the end to the handler.</param>
    /// <returns>What is answered.</returns>
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

    /// <summary>What is called, as <c>service/method</c> or <c>method</c>.</summary>
    public string Method { get; }

    /// <summary>Who is called, as <c>host:port</c>.</summary>
    public string Url { get; }

    /// <summary>Cancelled when the caller gives up.</summary>
    public CancellationToken Cancellation { get; }

    /// <summary>
    /// What travels with the call beside its arguments, for the other side's interceptors and <see cref="RpcCall.Metadata"/>. At most 64
    /// entries of 16 KiB in all.
    /// </summary>
    public IDictionary<string, string> Metadata => _metadata ??= new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Null: none.</summary>
    internal Dictionary<string, string>? Sent => _metadata is { Count: > 0 } ? _metadata : null;
}
