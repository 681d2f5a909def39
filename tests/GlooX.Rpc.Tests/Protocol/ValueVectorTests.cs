using System.Buffers;
using System.Globalization;
using System.Numerics;
using System.Text.Json;
using GlooX.Rpc.Tests.RpcRuntime;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Rpc.Tests.Protocol;

/// <summary>Values of all kinds against the vectors, written and read.</summary>
public sealed class ValueVectorTests
{
    private static readonly JsonElement s_values = Vectors.Read("values.json");

    // How each type of the vectors is meant, from its JSON.
    private static readonly Kinds s_kinds = new()
    {
        { "bool", j => j.GetBoolean() },
        { "int", j => j.GetInt32() },
        { "sbyte", j => j.GetSByte() },
        { "byte", j => j.GetByte() },
        { "short", j => j.GetInt16() },
        { "ushort", j => j.GetUInt16() },
        { "uint", j => j.GetUInt32() },
        { "long", j => j.GetInt64() },
        { "ulong", j => j.GetUInt64() },
        { "char", j => j.GetString()![0] },
        { "float", j => j.GetSingle() },
        { "Half", j => (Half)j.GetSingle() },
        { "double", j => j.GetDouble() },
        { "string", j => j.GetString() },
        { "Uri", j => new Uri(j.GetString()!) },
        { "Version", j => Version.Parse(j.GetString()!) },
        { "byte[]", j => j.GetString() is { } hex ? Convert.FromHexString(hex) : null },
        { "Memory<byte>", j => (Memory<byte>)Convert.FromHexString(j.GetString()!), m => m.ToArray() },
        { "int?", j => j.Deserialize<int?>() },
        { "Color", j => Enum.Parse<Color>(j.GetString()!) },
        { "Color?", j => j.GetString() is { } name ? Enum.Parse<Color>(name) : (Color?)null },
        { "int[]", j => j.Deserialize<int[]>() },
        { "List<string>", j => j.Deserialize<List<string>>() },
        { "int?[]", j => j.Deserialize<int?[]>() },
        { "int[][]", j => j.Deserialize<int[][]>() },
        { "(int, string)", j => (j[0].GetInt32(), j[1].GetString()!) },
        { "Dictionary<string, int>", j => j.Deserialize<Dictionary<string, int>>() },
        { "Dictionary<int, string>", j => j.Deserialize<Dictionary<int, string>>() },
        { "Order", j => j.Deserialize<Order>() },
        { "Animal", j => (Animal)j.Deserialize<Dog>()! },
        { "Shape", j => (Shape)j.Deserialize<Circle>()! },
        { "Employee", j => j.TryGetProperty("kind", out _) ? j.Deserialize<Manager>()! : j.Deserialize<Employee>()! },
        { "DateTime", j => DateTime.Parse(j.GetString()!, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind) },
        { "DateTimeOffset", j => j.GetDateTimeOffset(), d => (d.UtcDateTime, d.Offset) },
        { "TimeSpan", j => TimeSpan.Parse(j.GetString()!, CultureInfo.InvariantCulture) },
        { "DateOnly", j => DateOnly.Parse(j.GetString()!, CultureInfo.InvariantCulture) },
        { "TimeOnly", j => TimeOnly.Parse(j.GetString()!, CultureInfo.InvariantCulture) },
        { "Guid", j => j.GetGuid() },
        { "BigInteger", j => BigInteger.Parse(j.GetString()!, CultureInfo.InvariantCulture) },
        { "Int128", j => Int128.Parse(j.GetString()!, CultureInfo.InvariantCulture) },
        { "UInt128", j => UInt128.Parse(j.GetString()!, CultureInfo.InvariantCulture) },
        { "decimal", j => decimal.Parse(j.GetString()!, CultureInfo.InvariantCulture) },
    };

    public static TheoryData<string> Values => Vectors.Names("values.json", "values", Name);

    public static TheoryData<string> Read => Vectors.Names("values.json", "read", v => v.Text("name"));

    public static TheoryData<string> Refused => Vectors.Names("values.json", "refused", v => v.Text("name"));

    [Theory]
    [MemberData(nameof(Values))]
    public void A_value_is_written_and_read_as_in_the_vectors(string name)
    {
        JsonElement vector = s_values.GetProperty("values").EnumerateArray().Single(v => Name(v) == name);
        Kind kind = s_kinds[vector.Text("type")];
        Assert.Equal(vector.Text("hex"), Convert.ToHexStringLower(kind.Write(vector.GetProperty("value"))));
        kind.AssertRead(vector.GetProperty("value"), vector.Hex());
    }

    [Theory]
    [MemberData(nameof(Read))]
    public void A_value_that_is_written_otherwise_elsewhere_is_read(string name)
    {
        JsonElement vector = s_values.GetProperty("read").EnumerateArray().Single(v => v.Text("name") == name);
        s_kinds[vector.Text("type")].AssertRead(vector.GetProperty("value"), vector.Hex());
    }

    [Theory]
    [MemberData(nameof(Refused))]
    public void A_value_that_does_not_fit_is_refused(string name)
    {
        JsonElement vector = s_values.GetProperty("refused").EnumerateArray().Single(v => v.Text("name") == name);
        Assert.ThrowsAny<Exception>(() => s_kinds[vector.Text("type")].Read(vector.Hex()));
    }

    private static string Name(JsonElement vector) => $"{vector.Text("type")} {vector.Text("hex")}";

    private sealed class Kinds() : Dictionary<string, Kind>(StringComparer.Ordinal)
    {
        public void Add<T>(string type, Func<JsonElement, T> parse, Func<T, object>? comparable = null) => Add(type, new Kind<T>(parse, comparable));
    }

    private abstract class Kind
    {
        public abstract byte[] Write(JsonElement value);

        public abstract object? Read(byte[] bytes);

        public abstract void AssertRead(JsonElement expected, byte[] bytes);
    }

    private sealed class Kind<T>(Func<JsonElement, T> parse, Func<T, object>? comparable) : Kind
    {
        public override byte[] Write(JsonElement value)
        {
            var buffer = new ArrayBufferWriter<byte>();
            var writer = new MessagePackWriter(buffer);
            RpcSerializer.Default.Write(ref writer, parse(value));
            writer.Flush();
            return buffer.WrittenSpan.ToArray();
        }

        public override object? Read(byte[] bytes)
        {
            var reader = new MessagePackReader(bytes);
            T? read = RpcSerializer.Default.Read<T>(ref reader);
            Assert.True(reader.End);
            return read;
        }

        public override void AssertRead(JsonElement expected, byte[] bytes)
        {
            var read = (T?)Read(bytes);
            T value = parse(expected);
            if (value is Order)
            {
                Assert.Equivalent(value, read, strict: true);
            }
            else
            {
                Assert.Equal(comparable?.Invoke(value) ?? value, comparable?.Invoke(read!) ?? read);
            }
        }
    }
}

public enum Color
{
    Red,
    Green,
}
