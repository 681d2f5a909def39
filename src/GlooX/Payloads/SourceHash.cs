using System.Security.Cryptography;
using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace GlooX.Payloads;

/// <summary>
/// Names a build by all that goes into it: the source file or project, the projects and files that it names and those that they do, the
/// build files above them, and the GlooX at hand. Equal hash, equal build. What only patterns that leave a project's folder lead to is not
/// seen.
/// </summary>
internal static class SourceHash
{
    private static readonly string[] s_above =
        ["Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props", "global.json", "NuGet.config"];

    /// <exception cref="SpawnException">A file cannot be read.</exception>
    public static async Task<string> OfAsync(string source, CancellationToken ct)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(typeof(Worker).Module.ModuleVersionId.ToByteArray());
        try
        {
            foreach (string file in Inputs(source).Order(StringComparer.Ordinal))
            {
                hash.AppendData(Encoding.UTF8.GetBytes(
                    $"{file}\n{await FileHashes.OfAsync(new FileInfo(file), ct).ConfigureAwait(false)}\n"));
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or XmlException)
        {
            throw new SpawnException($"{source} cannot be built: {e.Message}", e);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset())[..24];
    }

    private static HashSet<string> Inputs(string source)
    {
        HashSet<string> inputs = new(StringComparer.Ordinal), projects = new(StringComparer.Ordinal);
        AddAbove(Path.GetDirectoryName(source)!, inputs);
        if (IsProject(source))
        {
            AddProject(source, inputs, projects);
            return inputs;
        }

        inputs.Add(source);
        foreach (string line in File.ReadLines(source).TakeWhile(l => !l.StartsWith("using ", StringComparison.Ordinal))
            .Where(l => l.StartsWith("#:", StringComparison.Ordinal)))
        {
            AddNamed(Path.GetDirectoryName(source)!, line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..].Trim(), inputs, projects);
        }

        return inputs;
    }

    private static void AddProject(string project, HashSet<string> inputs, HashSet<string> projects)
    {
        if (Path.GetFileNameWithoutExtension(project) == "GlooX" || !projects.Add(project))
        {
            return; // the build of GlooX is in the hash
        }

        string folder = Path.GetDirectoryName(project)!;
        inputs.UnionWith(Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Where(f => !IsOutput(Path.GetRelativePath(folder, f))));
        AddAbove(folder, inputs);
        foreach (string named in XDocument.Load(project).Descendants().SelectMany(static e => e.Attributes())
            .Where(static a => a.Name.LocalName is "Include" or "Project").Select(static a => a.Value))
        {
            AddNamed(folder, named, inputs, projects);
        }
    }

    private static void AddNamed(string folder, string name, HashSet<string> inputs, HashSet<string> projects)
    {
        string named = Path.GetFullPath(Path.Combine(folder, name.Replace('\\', '/')));
        if (Directory.Exists(named))
        {
            foreach (string project in Directory.EnumerateFiles(named, "*proj").Where(IsProject))
            {
                AddProject(project, inputs, projects);
            }
        }
        else if (File.Exists(named) && IsProject(named))
        {
            AddProject(named, inputs, projects);
        }
        else if (File.Exists(named))
        {
            inputs.Add(named);
        }
    }

    private static void AddAbove(string folder, HashSet<string> inputs)
    {
        for (DirectoryInfo? above = new(folder); above is not null; above = above.Parent)
        {
            inputs.UnionWith(s_above.Select(name => Path.Combine(above.FullName, name)).Where(File.Exists));
        }
    }

    private static bool IsProject(string file) => Path.GetExtension(file) is ".csproj" or ".fsproj" or ".vbproj";

    private static bool IsOutput(string relative) =>
        relative.Split(Path.DirectorySeparatorChar) is [.. var folders, _] && folders.Any(f => f is "bin" or "obj" || f.StartsWith('.'));
}
