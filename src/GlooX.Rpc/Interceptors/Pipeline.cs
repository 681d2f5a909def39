using GlooX.Protocol;

namespace GlooX.Interceptors;

/// <summary>The interceptors of one side, outermost first, behind its telemetry. Idle, it costs a call a few comparisons.</summary>
internal sealed class Pipeline(IReadOnlyList<RpcInterceptor> interceptors)
{
    private readonly RpcInterceptor[] _chain = [RpcTelemetry.Instance, .. interceptors];

    /// <summary>Nobody wants to know of calls.</summary>
    public bool IsIdle => _chain.Length == 1 && !RpcTelemetry.IsWatched;

    public async ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> send)
    {
        try
        {
            return await CallAsync(0, call, send).ConfigureAwait(false);
        }
        catch (RpcException e)
        {
            e.IsOfOwnCall = true; // an interceptor refuses what this side calls, not what it serves
            throw;
        }
    }

    public ValueTask<T> ServeAsync<T>(RpcCall call, Func<ValueTask<T>> handle) => ServeAsync(0, call, handle);

    /// <exception cref="RpcException">One of them refuses the call.</exception>
    public void Admit(RpcCall call)
    {
        try
        {
            foreach (RpcInterceptor interceptor in _chain)
            {
                interceptor.Admit(call);
            }
        }
        catch (Exception e) when (e is not RpcException)
        {
            throw new RpcException(RpcError.Remote, $"{e.GetType().FullName}: {ExceptionText.Message(e)}", e) { RemoteType = e.GetType().FullName };
        }
    }

    private ValueTask<T> CallAsync<T>(int at, RpcClientCall call, Func<ValueTask<T>> send) =>
        at == _chain.Length ? send() : _chain[at].CallAsync(call, () => CallAsync(at + 1, call, send));

    private ValueTask<T> ServeAsync<T>(int at, RpcCall call, Func<ValueTask<T>> handle) =>
        at == _chain.Length ? handle() : _chain[at].ServeAsync(call, () => ServeAsync(at + 1, call, handle));
}
