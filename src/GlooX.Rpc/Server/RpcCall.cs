using GlooX.RpcRuntime;

namespace GlooX;

/// <summary>What a handler can know about the call that it serves.</summary>
/// <remarks>Tied to the thread, so that calls which do not ask pay nothing: ask before the handler's first await, and keep what you need.</remarks>
public sealed class RpcCall
{
    [ThreadStatic]
    private static RpcRequest? t_running;

    private readonly RpcRequest _request;

    private RpcCall(RpcRequest request) => _request = request;

    /// <summary>The call that this thread serves.</summary>
    /// <exception cref="InvalidOperationException">This thread serves none, or no more since an await.</exception>
    public static RpcCall Current => t_running is { } running
        ? new RpcCall(running)
        : throw new InvalidOperationException("this thread serves no call: ask for RpcCall.Current in a handler, before its first await");

    /// <summary>How long the caller still waits; null: without a limit.</summary>
    public TimeSpan? Remaining => _request.Remaining;

    /// <summary>The caller, as <c>host:port</c>.</summary>
    public string Caller => _request.Connection.Remote;

    internal static RpcRequest? Running
    {
        get => t_running;
        set => t_running = value;
    }
}
