using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace GlooX.Payloads;

/// <summary>
/// What an assembly needs of the folder that it lies in: the assemblies that it refers to, and those that they do, with their symbols and
/// translations. Only metadata is read, and nothing as long as the folder is as it was. Thread-safe.
/// </summary>
internal static class AssemblyFiles
{
    private static readonly ConcurrentDictionary<string, (DateTime Folder, Seen[] Files)> s_known = new(StringComparer.Ordinal);

    // What every agent has beside it: the closure of GlooX.Agent, or, in an application that only calls, of GlooX.
    private static readonly Lazy<FrozenSet<string>> s_provided = new(() => typeof(Worker).Assembly.Location is { Length: > 0 } own
        ? Closure(AgentBeside(own) ?? own, static _ => false).Where(IsAssembly).Select(static f => Path.GetFileNameWithoutExtension(f))
            .ToFrozenSet(StringComparer.Ordinal)
        : FrozenSet<string>.Empty);

    /// <summary>The names of the assemblies that every agent has.</summary>
    public static IReadOnlyCollection<string> Provided => s_provided.Value;

    /// <summary>
    /// Whether a file is an assembly of which the agent's copy would be used anyhow, or goes with one: it does not travel. What every agent
    /// has but uses for itself, a payload may need in another version.
    /// </summary>
    public static bool IsProvided(string file)
    {
        if (Path.GetFileName(file).StartsWith("gloox-host.", StringComparison.Ordinal))
        {
            return true;
        }

        string name = Path.GetFileNameWithoutExtension(file).Replace(".resources", "", StringComparison.Ordinal);
        return Path.GetExtension(file) is ".dll" or ".pdb" or ".xml" && PayloadContext.IsShared(name) && s_provided.Value.Contains(name);
    }

    /// <summary>The files, as full paths, without what every agent has; the assembly itself first.</summary>
    public static IReadOnlyList<string> Of(string assembly)
    {
        DateTime folder = Directory.GetLastWriteTimeUtc(Path.GetDirectoryName(assembly)!);
        if (s_known.TryGetValue(assembly, out (DateTime Folder, Seen[] Files) known) && known.Folder == folder
            && Array.TrueForAll(known.Files, static f => f == Seen.Now(f.File)))
        {
            return Array.ConvertAll(known.Files, static f => f.File);
        }

        string[] files = [.. Closure(assembly, IsProvided)];
        s_known[assembly] = (folder, Array.ConvertAll(files, Seen.Now));
        return files;
    }

    /// <summary>Whether an assembly is a program: it has a method to begin with, and its configuration lies beside it.</summary>
    public static bool IsProgram(string assembly)
    {
        try
        {
            using var file = new PEReader(File.OpenRead(assembly));
            return file.PEHeaders.CorHeader is { EntryPointTokenOrRelativeVirtualAddress: not 0 }
                && File.Exists(Path.ChangeExtension(assembly, ".runtimeconfig.json"));
        }
        catch (BadImageFormatException)
        {
            return false;
        }
    }

    private static List<string> Closure(string assembly, Predicate<string> skip)
    {
        string folder = Path.GetDirectoryName(assembly)!;
        string[] below = Directory.GetDirectories(folder);
        List<string> files = [];
        HashSet<string> seen = new([assembly], StringComparer.Ordinal);
        Queue<string> open = new([assembly]);
        while (open.TryDequeue(out string? next))
        {
            string name = Path.GetFileNameWithoutExtension(next);
            files.Add(next);
            files.AddRange(below.Select(b => Path.Combine(b, name + ".resources.dll")).Append(Path.ChangeExtension(next, ".pdb"))
                .Where(File.Exists));
            foreach (string reference in References(next).Select(r => Path.Combine(folder, r + ".dll"))
                .Where(r => !skip(r) && File.Exists(r) && seen.Add(r)))
            {
                open.Enqueue(reference);
            }
        }

        return files;
    }

    private static List<string> References(string assembly)
    {
        try
        {
            using var file = new PEReader(File.OpenRead(assembly));
            if (!file.HasMetadata)
            {
                return [];
            }

            MetadataReader reader = file.GetMetadataReader();
            return [.. reader.AssemblyReferences.Select(r => reader.GetString(reader.GetAssemblyReference(r).Name))
                .Where(static n => Path.GetFileName(n) == n)];
        }
        catch (BadImageFormatException)
        {
            return []; // to load it fails
        }
    }

    private static string? AgentBeside(string own) =>
        Path.Combine(Path.GetDirectoryName(own)!, "GlooX.Agent.dll") is var agent && File.Exists(agent) ? agent : null;

    private static bool IsAssembly(string file) => Path.GetExtension(file) == ".dll";

    private sealed record Seen(string File, DateTime Time, long Size)
    {
        public static Seen Now(string path)
        {
            var file = new FileInfo(path);
            return file.Exists ? new(path, file.LastWriteTimeUtc, file.Length) : new(path, default, -1);
        }
    }
}
