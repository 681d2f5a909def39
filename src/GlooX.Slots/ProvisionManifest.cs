using System.Text.Json;

namespace GlooX.Slots;

/// <summary>
/// A provision in a file, for what has no attribute: <c>gloox.json</c> beside a payload says what each process of it needs,
/// <c>{ "memory": "1GB", "disk": "500MB", "cores": 0.5, "resources": { "gpu": 1 }, "maxPerNode": 2 }</c>; what is left out does not limit. What it says of
/// how the payload is run (<c>command</c>, <c>files</c>) is passed over here. Stateless.
/// </summary>
public static class ProvisionManifest
{
    private const string Known = "memory, disk, cores, resources, maxPerNode";
    private const int MaxBytes = 64 * 1024;

    /// <summary>The name of the file.</summary>
    public const string FileName = "gloox.json";

    /// <summary>Where the manifest of a payload lies.</summary>
    /// <param name="payload">The file to be run.</param>
    /// <returns>A path beside it.</returns>
    /// <exception cref="ArgumentException">The path is empty.</exception>
    public static string PathFor(string payload) => Path.Combine(Path.GetDirectoryName(Path.GetFullPath(payload))!, FileName);

    /// <summary>The provision of a payload that has a manifest.</summary>
    /// <param name="payload">The file to be run.</param>
    /// <returns>Null if there is no manifest.</returns>
    /// <exception cref="ArgumentException">The path is null or empty.</exception>
    /// <exception cref="PayloadException">The manifest cannot be read.</exception>
    public static Provision? FindFor(string payload)
    {
        ArgumentException.ThrowIfNullOrEmpty(payload);
        var path = PathFor(payload);
        return File.Exists(path) ? Read(path) : null;
    }

    /// <summary>Reads a manifest.</summary>
    /// <param name="path">The file.</param>
    /// <returns>What it asks for.</returns>
    /// <exception cref="ArgumentException">The path is null or empty.</exception>
    /// <exception cref="PayloadException">It is missing, no JSON, or asks for something else or for nonsense; the message names it.</exception>
    public static Provision Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var full = Path.GetFullPath(path);
        try
        {
            if (new FileInfo(full).Length > MaxBytes)
                throw new FormatException($"it is larger than {MaxBytes} bytes.");
            using var manifest = JsonDocument.Parse(File.ReadAllBytes(full), new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, AllowDuplicateProperties = false });
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
                "resources" => throw new FormatException("resources is no object of names and amounts, such as { \"gpu\": 1 }."),
                "maxPerNode" when setting.Value.ValueKind == JsonValueKind.Number && setting.Value.TryGetInt32(out var most) => provision with { MaxPerNode = most },
                "maxPerNode" => throw new FormatException("maxPerNode is no whole number, such as 2."),
                "command" or "files" => provision,
                _ => throw new FormatException($"it asks for {setting.Name}, and what this version knows is {Known}, command, files."),
            };
        }

        return provision;
    }

    // A bare number is a count of bytes.
    private static long Size(JsonProperty setting) => ByteSize.Parse(setting.Value.ValueKind switch
    {
        JsonValueKind.String => setting.Value.GetString()!,
        JsonValueKind.Number => setting.Value.GetRawText(),
        _ => throw new FormatException($"{setting.Name} is no size, such as \"1GB\"."),
    });

    private static decimal Number(JsonProperty setting) => setting.Value.ValueKind == JsonValueKind.Number && setting.Value.TryGetDecimal(out var number)
        ? number
        : throw new FormatException($"{setting.Name} is no number, such as 1 or 0.5.");
}
