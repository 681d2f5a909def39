#pragma warning disable RS0022 // not sealed for RpcFault alone
namespace GlooX;

/// <summary>The root of all exceptions that GlooX throws on purpose. The message says what failed, where, why and what to do.</summary>
public abstract class GlooXException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What failed, where, why and what to do.</param>
    /// <param name="inner">The cause; null: none.</param>
    protected GlooXException(string message, Exception? inner)
        : base(message, inner)
    {
    }
}

/// <summary>Why a call or a connection failed. The numbers are part of the protocol and never change.</summary>
public enum RpcError
{
    /// <summary>The called method threw an exception; see <see cref="RpcException.RemoteType"/> and <see cref="RpcException.InnerCode"/>.</summary>
    Remote = 1,

    /// <summary>The connection could not be made, or broke before the answer arrived. The call may or may not have run.</summary>
    Connection = 2,

    /// <summary>TLS failed, or this side does not trust the other side's certificate.</summary>
    Tls = 3,

    /// <summary>No answer arrived before the deadline.</summary>
    Timeout = 4,

    /// <summary>The other side does not trust this side's certificate.</summary>
    Unauthorized = 5,

    /// <summary>The process offers no service of that name.</summary>
    ServiceNotFound = 6,

    /// <summary>The service has no method of that name.</summary>
    MethodNotFound = 7,

    /// <summary>The number or the types of the arguments do not fit the method.</summary>
    BadArguments = 8,

    /// <summary>A limit of the other side is reached, such as the number of calls in flight or of connections.</summary>
    Overloaded = 9,

    /// <summary>A message is larger than one side accepts.</summary>
    TooLarge = 10,

    /// <summary>The other side violated the protocol or speaks another version.</summary>
    Protocol = 11,

    /// <summary>The call was cancelled.</summary>
    Cancelled = 12,

    /// <summary>The answer does not fit the type that the caller asked for.</summary>
    BadResult = 13,

    /// <summary>The process is shutting down.</summary>
    ShuttingDown = 14,

    /// <summary>The caller's role does not allow the call, or the caller did not send the service's token.</summary>
    Forbidden = 15,
}

/// <summary>A call or a connection failed; <see cref="Code"/> says why. The only derived type is <see cref="RpcFault{T}"/>.</summary>
public class RpcException : GlooXException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="code">Why the call or connection failed.</param>
    /// <param name="message">What failed, why, and what to do.</param>
    /// <param name="inner">The cause; null: none.</param>
    public RpcException(RpcError code, string message, Exception? inner = null)
        : base(message, inner) => Code = code;

    /// <summary>Why the call or connection failed.</summary>
    public RpcError Code { get; }

    /// <summary>The other side, as <c>host:port</c>; null: not known.</summary>
    public string? Url { get; init; }

    /// <summary>The called method, as <c>service/method</c> or <c>method</c>; null: no call was involved, or the call was never sent.</summary>
    public string? Method { get; init; }

    /// <summary>With <see cref="RpcError.Remote"/>: the full name of the exception's type on the other side.</summary>
    public string? RemoteType { get; init; }

    /// <summary>With <see cref="RpcError.Remote"/>: the stack trace on the other side, if that side sends it (<see cref="RpcServerOptions.SendStackTraces"/>).</summary>
    public string? RemoteStack { get; init; }

    /// <summary>
    /// With <see cref="RpcError.Remote"/>: the detail of the <see cref="RpcFault{T}"/> that the handler threw; null: none. Present also when the
    /// caller has no type for it.
    /// </summary>
    public RpcFaultDetail? RemoteDetail { get; init; }

    /// <summary>
    /// With <see cref="RpcError.Remote"/>: why a call failed that the handler had made itself, when the handler did not catch that. Null: the
    /// handler failed for another reason.
    /// </summary>
    public RpcError? InnerCode { get; init; }

    /// <summary>Whether a call of this process came to this end, rather than that a handler or an interceptor refuses a call by it.</summary>
    internal bool IsOfOwnCall { get; set => field |= value; }

    /// <summary>
    /// Whether the other side is told the code as it is. Not what leaked from a call that the handler made: there the code tells of another
    /// connection than the caller's.
    /// </summary>
    internal bool IsRefusal => !IsOfOwnCall && Url is null && Code is not (RpcError.Remote or RpcError.Connection or RpcError.Tls or RpcError.BadResult);

    /// <summary>What is sent with it; null: nothing. A failure that is only passed on keeps what came with it.</summary>
    internal virtual RpcFaultDetail? DetailToSend() => RemoteDetail;
}

/// <summary>The certificates of this process cannot be used. The message names the file or variable and what to do.</summary>
public sealed class IdentityException : GlooXException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="source">The variable or file at fault.</param>
    /// <param name="message">What is wrong and what to do.</param>
    /// <param name="inner">The cause; null: none.</param>
    public IdentityException(string source, string message, Exception? inner = null)
        : base($"{source}: {message}", inner) => Origin = source;

    /// <summary>The environment variable or the file at fault.</summary>
    public string Origin { get; }
}
