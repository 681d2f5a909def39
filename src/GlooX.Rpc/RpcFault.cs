using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX;

/// <summary>
/// A failure with facts that the caller can act on. A handler throws it; a caller whose contract names <typeparamref name="T"/> with
/// <see cref="RpcFaultAttribute"/> catches it, any other caller an <see cref="RpcException"/> with the facts in
/// <see cref="RpcException.RemoteDetail"/>. Its code is always <see cref="RpcError.Remote"/>.
/// </summary>
/// <typeparam name="T">The facts: anything that could be an argument. Its full name tells the caller which it is.</typeparam>
public sealed class RpcFault<T> : RpcException
{
    /// <summary>Makes one, to be thrown by a handler.</summary>
    /// <param name="detail">The facts.</param>
    /// <param name="message">For people. Null (default): the name of <typeparamref name="T"/> and <paramref name="detail"/> as text.</param>
    public RpcFault(T detail, string? message = null)
        : base(RpcError.Remote, message ?? $"{typeof(T).Name}: {detail}")
    {
        Detail = detail;
        RemoteType = RpcFaultDetail.ExceptionType;
    }

    /// <summary>The facts.</summary>
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

/// <summary>What a handler sent with an <see cref="RpcFault{T}"/>, as it came. Immutable.</summary>
public sealed class RpcFaultDetail
{
    internal const string ExceptionType = "GlooX.RpcFault";

    internal RpcFaultDetail(string type, ReadOnlyMemory<byte> messagePack)
    {
        Type = type;
        MessagePack = messagePack;
    }

    /// <summary>The full name of its type on the other side.</summary>
    public string Type { get; }

    /// <summary>Its bytes in MessagePack.</summary>
    public ReadOnlyMemory<byte> MessagePack { get; }

    /// <summary>Reads it as a type, whatever the type's name is.</summary>
    /// <typeparam name="T">What to read; <see cref="object"/>: what an untyped call would return.</typeparam>
    /// <returns>The value.</returns>
    /// <exception cref="RpcException"><see cref="RpcError.BadResult"/>: it does not fit.</exception>
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
