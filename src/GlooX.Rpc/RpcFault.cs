using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX;

/// <summary>
/// A failure with details that the caller can act on. A handler throws it. A caller whose contract declares <typeparamref name="T"/> with
/// <see cref="RpcFaultAttribute"/> catches it; any other caller catches an <see cref="RpcException"/> with the details in
/// <see cref="RpcException.RemoteDetail"/>. The code is always <see cref="RpcError.Remote"/>.
/// </summary>
/// <typeparam name="T">The type of the details: any type that may be an argument. Its full name identifies it on the wire.</typeparam>
public sealed class RpcFault<T> : RpcException
{
    /// <summary>Creates the exception, to be thrown by a handler.</summary>
    /// <param name="detail">The details.</param>
    /// <param name="message">A message for people. Null (default): the name of <typeparamref name="T"/> and <paramref name="detail"/> as text.</param>
    public RpcFault(T detail, string? message = null)
        : base(RpcError.Remote, message ?? $"{typeof(T).Name}: {detail}")
    {
        Detail = detail;
        RemoteType = RpcFaultDetail.ExceptionType;
    }

    /// <summary>The details.</summary>
    public T Detail { get; }

    internal override RpcFaultDetail? DetailToSend()
    {
        if (RemoteDetail is not null)
        {
            return RemoteDetail;
        }

        var bytes = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(bytes);
        RpcSerializer.Default.Write(ref writer, Detail);
        writer.Flush();
        return new RpcFaultDetail(RpcFaultDetail.NameOf(typeof(T)), bytes.WrittenMemory);
    }
}

/// <summary>The details of an <see cref="RpcFault{T}"/> as they arrived, not yet deserialized. Immutable.</summary>
public sealed class RpcFaultDetail
{
    internal const string ExceptionType = "GlooX.RpcFault";

    internal RpcFaultDetail(string type, ReadOnlyMemory<byte> messagePack)
    {
        Type = type;
        MessagePack = messagePack;
    }

    /// <summary>The full name of the details' type on the other side.</summary>
    public string Type { get; }

    /// <summary>The details in MessagePack.</summary>
    public ReadOnlyMemory<byte> MessagePack { get; }

    /// <summary>Deserializes the details as a type, whatever their type on the other side is.</summary>
    /// <typeparam name="T">The type; with <see cref="object"/>, as the result of an untyped call.</typeparam>
    /// <returns>The details.</returns>
    /// <exception cref="RpcException"><see cref="RpcError.BadResult"/>: the details do not fit the type.</exception>
    public T? Read<T>() => TryRead(out T? value, out Exception? failure)
        ? value
        : throw new RpcException(RpcError.BadResult, $"the detail, a {Type} there, is no {typeof(T).Name}: {failure.Message}", failure);

    internal bool TryRead<T>(out T? value, [NotNullWhen(false)] out Exception? failure)
    {
        try
        {
            var reader = new MessagePackReader(MessagePack);
            (value, failure) = (RpcSerializer.Default.Read<T>(ref reader), null);
            return true;
        }
        catch (Exception e)
        {
            (value, failure) = (default, e); // whatever a converter throws over bytes that do not fit
            return false;
        }
    }

    internal static string NameOf(Type type) => type.ToString();
}
