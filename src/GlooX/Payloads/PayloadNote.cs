using System.Text.Json;
using GlooX.Slots;

namespace GlooX.Payloads;

/// <summary>
/// What a <c>gloox.json</c> beside a payload says of it: <c>command</c> (how it is run), <c>files</c> (what belongs to it), and what it
/// needs, as <see cref="ProvisionManifest"/> reads it. All may be left out; anything else is refused, for it would be a mistake that nobody
/// notices.
/// </summary>
internal sealed record PayloadNote(string[]? Command, string[]? Files, Provision? Provision)
{
    public const string FileName = ProvisionManifest.FileName;

    /// <summary>Reads the file; null: there is no such file.</summary>
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
            Provision provision = ProvisionManifest.Read(file); // refuses unknown names
            using JsonDocument json =
                JsonDocument.Parse(File.ReadAllBytes(file),
                new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            return new PayloadNote(Texts(json.RootElement, "command"), Texts(json.RootElement, "files"), provision);
        }
        catch (Exception e) when (e is PayloadException or JsonException or FormatException or IOException or UnauthorizedAccessException)
        {
            throw new SpawnException(e is PayloadException ? e.Message : $"{file} cannot be used: {e.Message}", e);
        }
    }

    private static string[]? Texts(JsonElement root, string name) => !root.TryGetProperty(name, out JsonElement list) ? null
        : list.ValueKind == JsonValueKind.Array && list.GetArrayLength() > 0 && list.EnumerateArray()
            .All(static v => v.ValueKind == JsonValueKind.String)
            ? [.. list.EnumerateArray().Select(static v => v.GetString()!)]
            : throw new FormatException($"'{name}' must be a list of texts in quotes, with one at least");
}
