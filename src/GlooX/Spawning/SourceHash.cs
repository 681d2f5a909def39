using System.Security.Cryptography;
using System.Text;

namespace GlooX.Spawning;

/// <summary>
/// Names a build by all that goes into it: the source file, the projects and files that its <c>#:</c> lines name, the build files above
/// it, and the GlooX at hand. Equal hash, equal build.
/// </summary>
internal static class SourceHash
{
    private static readonly string[] s_above = ["Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props", "global.json", "NuGet.config"];

    public static async Task<string> OfAsync(string source, CancellationToken ct)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(typeof(Agent).Module.ModuleVersionId.ToByteArray());
        foreach (string file in Inputs(source).Order(StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes(file));
            hash.AppendData(SHA256.HashData(await File.ReadAllBytesAsync(file, ct).ConfigureAwait(false)));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset())[..24];
    }

    private static HashSet<string> Inputs(string source)
    {
        string folder = Path.GetDirectoryName(source)!;
        HashSet<string> inputs = new(StringComparer.Ordinal) { source };
        foreach (string line in File.ReadLines(source).TakeWhile(l => !l.StartsWith("using ", StringComparison.Ordinal)).Where(l => l.StartsWith("#:", StringComparison.Ordinal)))
        {
            string named = Path.GetFullPath(Path.Combine(folder, line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..].Trim()));
            if (Path.GetFileNameWithoutExtension(named) == "GlooX")
            {
                continue; // its build is in the hash
            }

            if (File.Exists(named) && !named.EndsWith("proj", StringComparison.Ordinal))
            {
                inputs.Add(named);
            }
            else if (Directory.Exists(named) || File.Exists(named))
            {
                string project = Directory.Exists(named) ? named : Path.GetDirectoryName(named)!;
                inputs.UnionWith(Directory.EnumerateFiles(project, "*", SearchOption.AllDirectories).Where(f => !IsOutput(Path.GetRelativePath(project, f))));
            }
        }

        for (DirectoryInfo? above = new(folder); above is not null; above = above.Parent)
        {
            inputs.UnionWith(s_above.Select(name => Path.Combine(above.FullName, name)).Where(File.Exists));
        }

        return inputs;
    }

    private static bool IsOutput(string relative) =>
        relative.Split(Path.DirectorySeparatorChar) is [.. var folders, _] && folders.Any(f => f is "bin" or "obj" || f.StartsWith('.'));
}
