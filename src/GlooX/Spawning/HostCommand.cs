using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using GlooX.Tls;

namespace GlooX.Spawning;

/// <summary>How a host is started.</summary>
internal static class HostCommand
{
    private const string Suffix = ".runtimeconfig.json";
    private static readonly Lazy<string[]> s_arguments = new(Make);

    /// <summary>What follows the name of the dotnet command.</summary>
    public static IReadOnlyList<string> Arguments => s_arguments.Value;

    // In an application on a larger framework, such as ASP.NET, some assemblies that GlooX needs are not beside it but in that framework:
    // the host then runs on the application's frameworks, but else as hosts do, for its settings are made for a quick start and little memory.
    private static string[] Make()
    {
        string beside = Path.GetDirectoryName(typeof(Agent).Assembly.Location) is { Length: > 0 } folder ? folder : AppContext.BaseDirectory;
        string host = Path.Combine(beside, "gloox-host.dll");
        string application = Path.Combine(beside, Assembly.GetEntryAssembly()?.GetName().Name + Suffix), own = Path.ChangeExtension(host, null) + Suffix;
        if (File.Exists(Path.Combine(beside, "Microsoft.Extensions.Logging.Abstractions.dll")) || !File.Exists(application) || !File.Exists(own))
        {
            return ["exec", host];
        }

        try
        {
            application = Merge(own, application);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            // with the application's own it starts too, only not as quickly
        }

        return ["exec", "--runtimeconfig", application, host];
    }

    private static string Merge(string own, string application)
    {
        JsonNode merged = Read(own);
        JsonObject options = merged["runtimeOptions"]!.AsObject(), theirs = Read(application)["runtimeOptions"]!.AsObject();
        foreach (string name in new[] { "tfm", "framework", "frameworks" })
        {
            options.Remove(name);
            if (theirs[name] is { } value)
            {
                options[name] = value.DeepClone();
            }
        }

        // Its name is that of what it holds, so that whoever writes it writes the same.
        string text = merged.ToJsonString();
        string file = Path.Combine(GlooXHome.CreateFolder(Path.Combine(GlooXHome.Path, "hosts")), Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..16] + Suffix);
        if (!File.Exists(file))
        {
            string whole = $"{file}.{Environment.ProcessId}";
            File.WriteAllText(whole, text);
            File.Move(whole, file, overwrite: true);
        }

        return file;
    }

    private static JsonNode Read(string file) => JsonNode.Parse(File.ReadAllText(file))!;
}
