using System.Buffers;
using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Dynamic;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Client;

/// <summary>What a dynamic call brings that is no single value: it converts to the type that it is assigned to.</summary>
[RequiresDynamicCode(DynamicClient.Why)]
[RequiresUnreferencedCode(DynamicClient.Why)]
internal abstract class DynamicValue : DynamicObject
{
    /// <summary>Integers as the smallest of int, long and ulong, which then convert by themselves; maps and arrays with members and conversions.</summary>
    public static object? Of(object? value) => value switch
    {
        long and >= int.MinValue and <= int.MaxValue => (int)(long)value,
        object?[] items => new DynamicList([.. items.Select(Of)]),
        Dictionary<string, object?> map => new DynamicMap(map.ToDictionary(static e => e.Key, static e => Of(e.Value), StringComparer.Ordinal)),
        _ => value,
    };

    public sealed override bool TryConvert(ConvertBinder binder, out object? result)
    {
        if (binder.Type.IsInstanceOfType(this))
        {
            result = this;
            return true;
        }

        var bytes = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(bytes);
        RpcSerializer.Default.WriteUntyped(ref writer, Plain(this), 0);
        writer.Flush();
        try
        {
            var reader = new MessagePackReader(bytes.WrittenMemory);
            result = RpcSerializer.Default.Read(ref reader, binder.Type);
            return true;
        }
        catch (Exception e)
        {
            throw new RpcException(RpcError.BadResult, $"the answer is no {binder.Type.Name}: {e.Message}", e); // whatever a converter throws over what does not fit
        }
    }

    /// <summary>Back to what can be sent.</summary>
    public static object? Plain(object? value) => value switch
    {
        DynamicList list => list.Select(Plain).ToArray(),
        DynamicMap map => map.ToDictionary(static e => e.Key, static e => Plain(e.Value), StringComparer.Ordinal),
        _ => value,
    };
}

/// <summary>An array.</summary>
[RequiresDynamicCode(DynamicClient.Why)]
[RequiresUnreferencedCode(DynamicClient.Why)]
internal sealed class DynamicList(object?[] items) : DynamicValue, IReadOnlyList<object?>
{
    public int Count => items.Length;

    public object? this[int index] => items[index];

    public IEnumerator<object?> GetEnumerator() => ((IEnumerable<object?>)items).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => items.GetEnumerator();
}

/// <summary>A map, whose keys can be read as members.</summary>
[RequiresDynamicCode(DynamicClient.Why)]
[RequiresUnreferencedCode(DynamicClient.Why)]
internal sealed class DynamicMap(Dictionary<string, object?> map) : DynamicValue, IReadOnlyDictionary<string, object?>
{
    public int Count => map.Count;

    public IEnumerable<string> Keys => map.Keys;

    public IEnumerable<object?> Values => map.Values;

    public object? this[string key] => map[key];

    public override IEnumerable<string> GetDynamicMemberNames() => map.Keys;

    public override bool TryGetMember(GetMemberBinder binder, out object? result) => map.TryGetValue(binder.Name, out result);

    public bool ContainsKey(string key) => map.ContainsKey(key);

    public bool TryGetValue(string key, out object? value) => map.TryGetValue(key, out value);

    public IEnumerator<KeyValuePair<string, object?>> GetEnumerator() => map.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => map.GetEnumerator();
}
