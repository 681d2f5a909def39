using System.Text.Json;

namespace GlooX.Spawning;

/// <summary>
/// What a <c>gloox.json</c> beside a payload says of it: <c>command</c> (how it is run), <c>files</c> (what belongs to it), <c>memory</c> and
/// <c>disk</c> (what it needs). All may be left out; anything else is refused, for it would be a mistake that nobody notices.
/// </summary>
internal sealed record PayloadNote(string[]? Command, string[]? Files, Provision? Provision)
{
    public const string FileName = "gloox.json";
    private const int MostBytes = 64 * 1024;

    /// <summary>Null: there is none.</summary>
    /// <exception cref="SpawnException">It cannot be read, or says what it cannot.</exception>
    public static PayloadNote? Read(string folder)
    {
        string file = Path.Combine(folder, FileName);
        if (!File.Exists(file))
        {
            return null;
        }

        try
        {
            if (new FileInfo(file).Length > MostBytes)
            {
                throw new FormatException($"it takes more than {MostBytes} bytes");
            }

            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(file), new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, AllowDuplicateProperties = false });
            return Read(json.RootElement);
        }
        catch (Exception e) when (e is JsonException or FormatException or IOException or UnauthorizedAccessException)
        {
            throw new SpawnException($"{file} cannot be used: {e.Message}", e);
        }
    }

    private static PayloadNote Read(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new FormatException("it is no JSON object");
        }

        string[]? command = null, files = null;
        string? memory = null, disk = null;
        foreach (JsonProperty property in root.EnumerateObject())
        {
            switch (property.Name)
            {
                case "command":
                    command = Texts(property);
                    break;
                case "files":
                    files = Texts(property);
                    break;
                case "memory":
                    memory = Text(property.Name, property.Value);
                    break;
                case "disk":
                    disk = Text(property.Name, property.Value);
                    break;
                default:
                    throw new FormatException($"it has a property '{property.Name}'; there are command, files, memory, disk");
            }
        }

        return new PayloadNote(command, files, memory is null && disk is null ? null : new Provision(memory ?? "0", disk ?? "0"));
    }

    private static string Text(string name, JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new FormatException($"'{name}' must be text in quotes");

    private static string[] Texts(JsonProperty property) => property.Value.ValueKind == JsonValueKind.Array && property.Value.GetArrayLength() > 0
        ? [.. property.Value.EnumerateArray().Select(v => Text(property.Name, v))]
        : throw new FormatException($"'{property.Name}' must be a list of texts, with one at least");
}
