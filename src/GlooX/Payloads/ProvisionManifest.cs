using System.Text.Json;

namespace GlooX.Payloads;

/// <summary>
/// A provision in a file, for payloads without an attribute: <c>gloox.json</c> beside a payload states what each process of it needs,
/// <c>{ "memory": "1GB", "disk": "500MB", "cores": 0.5, "resources": { "gpu": 1 }, "maxPerNode": 2 }</c>; a setting
/// that is left out does not limit. The settings of how the payload is run (<c>command</c>, <c>files</c>) are ignored here.
/// </summary>
internal static class ProvisionManifest
{
    private const string Known = "memory, disk, cores, resources, maxPerNode";
    private const int MaxBytes = 64 * 1024;

    private static readonly JsonDocumentOptions s_json = new()
    {
        CommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        AllowDuplicateProperties = false,
    };

    /// <summary>The name of the file.</summary>
    public const string FileName = "gloox.json";

    /// <summary>Where the manifest of a payload lies.</summary>
    /// <param name="payload">The file to be run.</param>
    /// <returns>A path beside it.</returns>
    /// <exception cref="ArgumentException">The path is empty.</exception>
    public static string PathFor(string payload) => Path.Combine(Path.GetDirectoryName(Path.GetFullPath(payload))!, FileName);

    /// <summary>The provision of a payload that has a manifest.</summary>
    /// <param name="payload">The file to be run.</param>
    /// <returns>Null without a manifest.</returns>
    /// <exception cref="PayloadException">The manifest cannot be read.</exception>
    public static Provision? FindFor(string payload)
    {
        var path = PathFor(payload);
        return File.Exists(path) ? Read(path) : null;
    }

    /// <summary>Reads a manifest.</summary>
    /// <exception cref="PayloadException">The file is missing, not JSON, or has an unknown or invalid setting; the message names
    /// it.</exception>
    public static Provision Read(string path)
    {
        var full = Path.GetFullPath(path);
        try
        {
            if (new FileInfo(full).Length > MaxBytes)
                throw new FormatException($"it is larger than {MaxBytes} bytes.");
            using var manifest = JsonDocument.Parse(File.ReadAllBytes(full), s_json);
            return Read(manifest.RootElement);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or FormatException or ArgumentException)
        {
            throw new PayloadException(full, $"The manifest '{full}' cannot be used: {e.Message}", e);
        }
    }

    private static Provision Read(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object)
            throw new FormatException($"it is no object with some of {Known}.");
        var provision = Provision.None;
        foreach (var setting in root.EnumerateObject())
        {
            provision = setting.Name switch
            {
                "memory" => provision with { MemoryBytes = Size(setting) },
                "disk" => provision with { DiskBytes = Size(setting) },
                "cores" => provision with { Cores = Number(setting) },
                "resources" when setting.Value.ValueKind == JsonValueKind.Object => provision with
                {
                    Resources = ResourceAmounts.From(setting.Value.EnumerateObject().Select(r => KeyValuePair.Create(r.Name, Number(r)))),
                },
                "resources" => throw new FormatException("resources is not an object of names and amounts, such as { \"gpu\": 1 }."),
                "maxPerNode" when setting.Value.ValueKind == JsonValueKind.Number
                    && setting.Value.TryGetInt32(out var most) => provision with { MaxPerNode = most },
                "maxPerNode" => throw new FormatException("maxPerNode is not a whole number, such as 2."),
                "command" or "files" => provision,
                _ => throw new FormatException($"unknown setting {setting.Name}; this version knows {Known}, command, files."),
            };
        }

        return provision;
    }

    // A number without a unit is a number of bytes.
    private static long Size(JsonProperty setting) => ByteSize.Parse(setting.Value.ValueKind switch
    {
        JsonValueKind.String => setting.Value.GetString()!,
        JsonValueKind.Number => setting.Value.GetRawText(),
        _ => throw new FormatException($"{setting.Name} is not a size, such as \"1GB\"."),
    });

    private static decimal Number(JsonProperty setting) => setting.Value.ValueKind == JsonValueKind.Number
        && setting.Value.TryGetDecimal(out var number)
        ? number
        : throw new FormatException($"{setting.Name} is not a number, such as 1 or 0.5.");
}
