using System.Collections;
using System.ComponentModel;
using System.Numerics;
using System.Runtime.CompilerServices;
using Nerdbank.MessagePack;
using PolyType;
using PolyType.Abstractions;

namespace GlooX.RpcRuntime;

/// <summary>
/// The one seam between RPC and serialization: MessagePack, records as maps by property name. Types with a generated PolyType shape use
/// it; all others are read by reflection once. Thread-safe.
/// </summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcSerializer
{
    /// <summary>The serializer that every connection uses.</summary>
    public static RpcSerializer Default { get; } = new();

    // Deep nesting is refused, so that a hostile message cannot overflow the stack. A level that cannot be read takes 17 KB of it, for each
    // one wraps the exception of the next; the smallest stacks have 1.5 MB.
    private const int MaxDepth = 32;

    private readonly MessagePackSerializer _inner = new()
    {
        StartingContext = new SerializationContext { MaxDepth = MaxDepth },
        Converters = [new UntypedConverter()],
    };

    private RpcSerializer()
    {
    }

    /// <summary>Writes a value of a type known at compile time.</summary>
    /// <typeparam name="T">The declared type; with <see cref="object"/> the value's own type decides.</typeparam>
    /// <param name="writer">Where to.</param>
    /// <param name="value">What.</param>
    public void Write<T>(ref MessagePackWriter writer, T? value)
    {
        if (typeof(T) == typeof(object))
        {
            WriteUntyped(ref writer, value, 0);
        }
        else
        {
            _inner.Serialize(ref writer, value, Shape<T>.Instance);
        }
    }

    /// <summary>Reads a value of a type known at compile time.</summary>
    /// <typeparam name="T">The declared type; with <see cref="object"/>: null, bool, long, ulong, double, string, byte[], object[], a dictionary by string, or DateTime, Guid, BigInteger, decimal, Int128, UInt128.</typeparam>
    /// <param name="reader">Where from.</param>
    /// <returns>The value.</returns>
    public T? Read<T>(ref MessagePackReader reader) =>
        typeof(T) == typeof(object) ? (T?)ReadUntyped(ref reader, 0) : _inner.Deserialize(ref reader, Shape<T>.Instance);

    /// <summary>Writes a value by its own type: what an untyped call sends.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="value">Null, a primitive, a string, bytes, a dictionary, a sequence, or any record.</param>
    /// <param name="depth">How deep inside other values it is.</param>
    internal void WriteUntyped(ref MessagePackWriter writer, object? value, int depth)
    {
        if (depth > MaxDepth)
        {
            throw new RpcException(RpcError.BadArguments, $"a value is nested deeper than {MaxDepth} levels");
        }

        switch (value)
        {
            case null: writer.WriteNil(); break;
            case bool v: writer.Write(v); break;
            case int v: writer.Write(v); break;
            case long v: writer.Write(v); break;
            case double v: writer.Write(v); break;
            case string v: writer.Write(v); break;
            case byte[] v: writer.Write(v); break;
            case byte or sbyte or short or ushort or uint: writer.Write(Convert.ToInt64(value, null)); break;
            case ulong v: writer.Write(v); break;
            case float v: writer.Write(v); break;
            case CancellationToken: throw new RpcException(RpcError.BadArguments, "a CancellationToken cannot be sent");
            case IDictionary map when value is IDictionary<string, object?> or Dictionary<string, string>:
                writer.WriteMapHeader(map.Count);
                foreach (DictionaryEntry entry in map)
                {
                    writer.Write((string)entry.Key);
                    WriteUntyped(ref writer, entry.Value, depth + 1);
                }

                break;
            case object?[] or IList<object?>:
                var list = (IList<object?>)value;
                writer.WriteArrayHeader(list.Count);
                foreach (object? item in list)
                {
                    WriteUntyped(ref writer, item, depth + 1);
                }

                break;
            default:
                _inner.SerializeObject(ref writer, value, Shapes.Of(value.GetType()));
                break;
        }
    }

    private static object? ReadUntyped(ref MessagePackReader reader, int depth)
    {
        if (depth > MaxDepth)
        {
            throw new RpcException(RpcError.BadResult, $"a value is nested deeper than {MaxDepth} levels");
        }

        switch (reader.NextMessagePackType)
        {
            case MessagePackType.Nil: reader.ReadNil(); return null;
            case MessagePackType.Boolean: return reader.ReadBoolean();
            case MessagePackType.Integer:
                MessagePackReader peek = reader.CreatePeekReader();
                ulong large = IsNegative(reader.NextCode) ? 0 : peek.ReadUInt64();
                return large > long.MaxValue ? reader.ReadUInt64() : reader.ReadInt64();
            case MessagePackType.Float: return reader.ReadDouble();
            case MessagePackType.String: return reader.ReadString();
            case MessagePackType.Binary: return ReadBytes(ref reader);
            case MessagePackType.Array:
                // The count is only a promise: the list grows with what is really there.
                int items = reader.ReadArrayHeader();
                var list = new List<object?>(Math.Min(items, 1024));
                for (int i = 0; i < items; i++)
                {
                    list.Add(ReadUntyped(ref reader, depth + 1));
                }

                return list.ToArray();
            case MessagePackType.Map:
                int pairs = reader.ReadMapHeader();
                var map = new Dictionary<string, object?>(Math.Min(pairs, 1024), StringComparer.Ordinal);
                for (int i = 0; i < pairs; i++)
                {
                    string key = ReadUntyped(ref reader, depth + 1)?.ToString() ?? "";
                    map[key] = ReadUntyped(ref reader, depth + 1);
                }

                return map;
            default:
                return ReadExtension(ref reader);
        }
    }

    private static object? ReadExtension(ref MessagePackReader reader)
    {
        sbyte code = reader.CreatePeekReader().ReadExtensionHeader().TypeCode;
        return code switch
        {
            -1 => reader.ReadDateTime(),
            2 => Default.Read<Guid>(ref reader),
            3 => Default.Read<BigInteger>(ref reader),
            4 => Default.Read<decimal>(ref reader),
            5 => Default.Read<Int128>(ref reader),
            6 => Default.Read<UInt128>(ref reader),
            _ => throw new RpcException(RpcError.BadResult, $"an untyped call cannot read MessagePack's extension {code}"),
        };
    }

    private static bool IsNegative(byte code) =>
        code >= MessagePackCode.MinNegativeFixInt || code is MessagePackCode.Int8 or MessagePackCode.Int16 or MessagePackCode.Int32 or MessagePackCode.Int64;

    /// <summary>Reads bytes, or null.</summary>
    /// <param name="reader">Where from.</param>
    /// <returns>An array of the caller's own.</returns>
    public static byte[]? ReadBytes(ref MessagePackReader reader)
    {
        if (reader.TryReadNil())
        {
            return null;
        }

        System.Buffers.ReadOnlySequence<byte> there = reader.ReadBytes().GetValueOrDefault();
        byte[] bytes = GC.AllocateUninitializedArray<byte>(checked((int)there.Length)); // all of it is written next
        System.Buffers.BuffersExtensions.CopyTo(there, bytes);
        return bytes;
    }

    /// <summary>What is declared as object inside other values travels as an argument of that type does.</summary>
    private sealed class UntypedConverter : MessagePackConverter<object>
    {
#pragma warning disable NBMsgPack031 // one value is read and written, elsewhere
        public override void Write(ref MessagePackWriter writer, in object? value, SerializationContext context)
        {
            context.DepthStep();
            Default.WriteUntyped(ref writer, value, MaxDepth - context.MaxDepth);
        }

        public override object? Read(ref MessagePackReader reader, SerializationContext context)
        {
            context.DepthStep();
            return ReadUntyped(ref reader, MaxDepth - context.MaxDepth);
        }
    }

    private static class Shape<T>
    {
        // Asking the type itself takes code made at run time; without it, contracts have told of what they use.
        public static readonly ITypeShape<T> Instance =
            (RuntimeFeature.IsDynamicCodeSupported ? TypeShapeResolver.ResolveDynamic<T>() : null) ?? (ITypeShape<T>)Shapes.Of(typeof(T));
    }
}
