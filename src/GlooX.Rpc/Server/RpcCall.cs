using System.Net;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using GlooX.Server;
using GlooX.Tls;

namespace GlooX;

/// <summary>The call that a handler or an interceptor serves.</summary>
/// <remarks>
/// <see cref="Current"/> is bound to the thread, so that calls which do not use it cost nothing: read it before the handler's first await, and
/// keep the result.
/// </remarks>
public sealed class RpcCall
{
    [ThreadStatic]
    private static RpcRequest? t_running;

    private readonly RpcConnection _connection;
    private readonly long _deadline;

    /// <param name="connection">Where it came.</param>
    /// <param name="method">What is called.</param>
    /// <param name="deadline">In <see cref="Environment.TickCount64"/>; 0: none.</param>
    /// <param name="metadata">What came with it.</param>
    internal RpcCall(RpcConnection connection, string method, long deadline, IReadOnlyDictionary<string, string> metadata)
    {
        _connection = connection;
        _deadline = deadline;
        Method = method;
        Metadata = metadata;
    }

    /// <summary>The call that this thread serves.</summary>
    /// <exception cref="InvalidOperationException">This thread serves no call, or an await came before.</exception>
    public static RpcCall Current => t_running is { } running
        ? running.Call
        : throw new InvalidOperationException("this thread serves no call: ask for RpcCall.Current in a handler, before its first await");

    /// <summary>The called method, as <c>service/method</c> or <c>method</c>.</summary>
    public string Method { get; }

    /// <summary>The time until the caller's deadline; null: no deadline.</summary>
    public TimeSpan? Remaining => _deadline == 0 ? null : TimeSpan.FromMilliseconds(Math.Max(0, _deadline - Environment.TickCount64));

    /// <summary>The caller, as <c>host:port</c>.</summary>
    public string Caller => _connection.Remote;

    /// <summary>The address of this machine by which the caller reached it; null for a UNIX-domain socket.</summary>
    public IPAddress? LocalAddress => _connection.LocalAddress;

    /// <summary>The subject of the caller's certificate.</summary>
    public string CallerSubject => _connection.Peer.Subject;

    /// <summary>The node in the caller's certificate, and in that of the node that made it for a spawned process; null: it states none.</summary>
    public string? CallerNode => _connection.Peer.Node;

    /// <summary>The serial number of the caller's certificate, in hexadecimal.</summary>
    public string CallerSerial => _connection.Peer.Serials.Count > 0 ? _connection.Peer.Serials[0] : "";

    /// <summary>The roles in the caller's certificate.</summary>
    public RpcRole CallerRoles => _connection.Peer.Roles;

    /// <summary>What the caller's interceptors sent with the call. A caller can write anything there; it proves nothing.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Runs other work on this thread, which does not see the call that the thread serves: <see cref="Current"/> throws there.</summary>
    /// <typeparam name="T">The state's type.</typeparam>
    /// <param name="state">Passed to <paramref name="action"/>.</param>
    /// <param name="action">The work.</param>
    public static void RunDetached<T>(T state, Action<T> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        RpcRequest? serving = t_running;
        t_running = null;
        try
        {
            action(state);
        }
        finally
        {
            t_running = serving;
        }
    }

    /// <summary>Where this process was called, as <c>host:port</c>; null: it does not listen.</summary>
    internal string? ServedAt => _connection.ServedAt;

    internal static RpcRequest? Running
    {
        get => t_running;
        set => t_running = value;
    }
}
