using System.ComponentModel;

namespace GlooX.RpcRuntime;

/// <summary>A detail that failures of a method may carry, as its contract declares. Stateless.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public abstract class RpcFaultKind
{
    internal RpcFaultKind(string name) => Name = name;

    /// <summary>The detail's type on the wire.</summary>
    internal string Name { get; }

    /// <summary>The failure with its detail deserialized; null: the detail does not fit.</summary>
    internal abstract RpcException? Read(RpcException failure, RpcFaultDetail detail);
}

/// <inheritdoc/>
/// <typeparam name="T">The detail's type.</typeparam>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcFaultKind<T> : RpcFaultKind
{
    /// <summary>Creates the description.</summary>
    public RpcFaultKind()
        : base(RpcFaultDetail.NameOf(typeof(T)))
    {
    }

    internal override RpcException? Read(RpcException failure, RpcFaultDetail detail) => !detail.TryRead(out T? value, out _)
        ? null
        : new RpcFault<T>(value!, failure.Message)
        {
            Url = failure.Url,
            Method = failure.Method,
            RemoteType = failure.RemoteType,
            RemoteStack = failure.RemoteStack,
            RemoteDetail = detail,
            InnerCode = failure.InnerCode,
        };
}
