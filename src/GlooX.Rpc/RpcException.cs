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

/// <summary>Why a call, or a connection, failed. The numbers are part of the protocol and never change.</summary>
public enum RpcError
{
    /// <summary>The called method threw; see <see cref="RpcException.RemoteType"/>.</summary>
    Remote = 1,

    /// <summary>No connection could be made, or it broke before the answer came. The call may or may not have been executed.</summary>
    Connection = 2,

    /// <summary>The other side's certificate was not accepted, or TLS failed.</summary>
    Tls = 3,

    /// <summary>No answer within the deadline.</summary>
    Timeout = 4,

    /// <summary>The other side does not accept this side's certificate.</summary>
    Unauthorized = 5,

    /// <summary>The process offers no such service.</summary>
    ServiceNotFound = 6,

    /// <summary>The service has no such method.</summary>
    MethodNotFound = 7,

    /// <summary>The arguments do not fit the method: their number or their types.</summary>
    BadArguments = 8,

    /// <summary>Too many calls in flight.</summary>
    Overloaded = 9,

    /// <summary>A message is larger than one side allows.</summary>
    TooLarge = 10,

    /// <summary>The other side broke the protocol, or speaks another version of it.</summary>
    Protocol = 11,

    /// <summary>The call was cancelled.</summary>
    Cancelled = 12,

    /// <summary>The answer does not fit the type that the caller asked for.</summary>
    BadResult = 13,

    /// <summary>The process is shutting down.</summary>
    ShuttingDown = 14,

    /// <summary>The caller is known, but may not call this: its role does not allow it, or it did not give the service's token.</summary>
    Forbidden = 15,
}

/// <summary>A call or a connection failed. <see cref="Code"/> says why. The one kind beside it is <see cref="RpcFault{T}"/>.</summary>
public class RpcException : GlooXException
{
    /// <summary>Makes one.</summary>
    /// <param name="code">Why.</param>
    /// <param name="message">What failed, why, what to do.</param>
    /// <param name="inner">The cause.</param>
    public RpcException(RpcError code, string message, Exception? inner = null)
        : base(message, inner) => Code = code;

    /// <summary>Why it failed.</summary>
    public RpcError Code { get; }

    /// <summary>The other side, as <c>host:port</c>; null where it is not known.</summary>
    public string? Url { get; init; }

    /// <summary>The method that was called, as <c>service/method</c> or <c>method</c>; null where no call was involved.</summary>
    public string? Method { get; init; }

    /// <summary>With <see cref="RpcError.Remote"/>: the full name of the exception's type on the other side.</summary>
    public string? RemoteType { get; init; }

    /// <summary>With <see cref="RpcError.Remote"/>: the stack on the other side, if that side was told to send it.</summary>
    public string? RemoteStack { get; init; }

    /// <summary>
    /// With <see cref="RpcError.Remote"/>: what the handler sent with an <see cref="RpcFault{T}"/>, unread; null: nothing. It is here too
    /// when the caller knows no type for it.
    /// </summary>
    public RpcFaultDetail? RemoteDetail { get; init; }

    /// <summary>What is sent with it; null: nothing. A failure that is only passed on keeps what came with it.</summary>
    internal virtual RpcFaultDetail? DetailToSend() => RemoteDetail;
}

/// <summary>The certificates that this process should use cannot be used. The message names the file or variable and the cure.</summary>
public sealed class IdentityException : GlooXException
{
    /// <summary>Makes one.</summary>
    /// <param name="source">The variable or file at fault.</param>
    /// <param name="message">What is wrong and what to do.</param>
    /// <param name="inner">The cause.</param>
    public IdentityException(string source, string message, Exception? inner = null)
        : base($"{source}: {message}", inner) => Origin = source;

    /// <summary>The environment variable or the file at fault.</summary>
    public string Origin { get; }
}
