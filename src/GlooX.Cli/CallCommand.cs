using System.CommandLine;
using System.Text;
using System.Text.Json;

namespace GlooX.Cli;

/// <summary><c>gloox call</c>: calls a method by name; arguments and result are JSON.</summary>
internal static class CallCommand
{
    public static Command Create()
    {
        var url = new Argument<string>("URL") { Description = "The process: HOST:PORT" };
        var method = new Argument<string>("METHOD") { Description = "method, or service/method" };
        var arguments = new Argument<string[]>("ARGS") { Description = "JSON values; what is no JSON is a string", Arity = ArgumentArity.ZeroOrMore };
        Command command = Shared.Command("call", "Calls a method of a process and prints the result as JSON.", "gloox call 127.0.0.1:8888 all_well?");
        command.Add(url);
        command.Add(method);
        command.Add(arguments);
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(url)!, parsed.GetValue(method)!, parsed.GetValue(arguments) ?? [], ct));
        return command;
    }

    private static async Task<int> RunAsync(string url, string method, string[] arguments, CancellationToken ct)
    {
        await using RpcClient client = RpcClient.Connect(url);
        object? result = await client.CallAsync<object>(method, [.. arguments.Select(Value)], ct);
        using var buffer = new MemoryStream();
        await using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            Write(writer, result);
        }

        Console.WriteLine(Encoding.UTF8.GetString(buffer.ToArray()));
        return ExitCode.Done;
    }

    private static object? Value(string text)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(text);
            return Value(json.RootElement);
        }
        catch (JsonException)
        {
            return text;
        }
    }

    private static object? Value(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Null => null,
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Number => json.TryGetInt64(out long whole) ? whole : json.TryGetUInt64(out ulong large) ? large : json.GetDouble(),
        JsonValueKind.Array => json.EnumerateArray().Select(Value).ToArray(),
        JsonValueKind.Object => json.EnumerateObject().ToDictionary(p => p.Name, p => Value(p.Value), StringComparer.Ordinal),
        _ => json.GetString(),
    };

    private static void Write(Utf8JsonWriter writer, object? value)
    {
        switch (value)
        {
            case null: writer.WriteNullValue(); break;
            case bool v: writer.WriteBooleanValue(v); break;
            case long v: writer.WriteNumberValue(v); break;
            case ulong v: writer.WriteNumberValue(v); break;
            case double v when double.IsFinite(v): writer.WriteNumberValue(v); break;
            case byte[] v: writer.WriteBase64StringValue(v); break;
            case DateTime v: writer.WriteStringValue(v); break;
            case object?[] list:
                writer.WriteStartArray();
                foreach (object? item in list)
                {
                    Write(writer, item);
                }

                writer.WriteEndArray();
                break;
            case Dictionary<string, object?> map:
                writer.WriteStartObject();
                foreach ((string key, object? item) in map)
                {
                    writer.WritePropertyName(key);
                    Write(writer, item);
                }

                writer.WriteEndObject();
                break;
            default: writer.WriteStringValue(value.ToString()); break;
        }
    }
}
