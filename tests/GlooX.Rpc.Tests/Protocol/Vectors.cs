using System.Text.Json;

namespace GlooX.Rpc.Tests.Protocol;

/// <summary>The files of <c>docs/vectors</c>, which lie beside the tests.</summary>
internal static class Vectors
{
    public static JsonElement Read(string file)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "vectors", file)));
        return document.RootElement.Clone();
    }

    public static byte[] Hex(this JsonElement vector) => Convert.FromHexString(vector.GetProperty("hex").GetString()!);

    public static string Text(this JsonElement vector, string property) => vector.GetProperty(property).GetString()!;

    public static uint Number(this JsonElement vector, string property) => vector.GetProperty(property).GetUInt32();

    public static TheoryData<string> Names(string file, string list, Func<JsonElement, string> name)
    {
        var names = new TheoryData<string>();
        foreach (JsonElement vector in Read(file).GetProperty(list).EnumerateArray())
        {
            names.Add(name(vector));
        }

        return names;
    }

    /// <summary>JSON as what an untyped call carries; objects and arrays compare by content.</summary>
    public static object? Value(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Null => null,
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Number => json.GetInt64(),
        JsonValueKind.String => json.GetString(),
        JsonValueKind.Array => json.EnumerateArray().Select(Value).ToArray(),
        _ => json.EnumerateObject().ToDictionary(p => p.Name, p => Value(p.Value), StringComparer.Ordinal),
    };
}
