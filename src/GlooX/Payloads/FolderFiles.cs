namespace GlooX.Payloads;

/// <summary>The files of a folder and all below it, as they go into a bundle.</summary>
internal static class FolderFiles
{
    /// <exception cref="BundleException">They are too many, or a folder is a link, which could lead in a circle.</exception>
    public static IReadOnlyList<(string Path, string Source)> Of(string folder)
    {
        List<(string, string)> files = [];
        Add(new DirectoryInfo(folder), "", folder, files);
        return files;
    }

    /// <summary>Some files and folders of a folder, by their names in it.</summary>
    /// <exception cref="BundleException">One is not there.</exception>
    public static IReadOnlyList<(string Path, string Source)> Of(string folder, IEnumerable<string> names)
    {
        List<(string, string)> files = [];
        foreach (string name in names.Distinct(StringComparer.Ordinal))
        {
            string full = Path.GetFullPath(Path.Combine(folder, name));
            string path = Path.GetRelativePath(folder, full);
            if (path is ".." || path.StartsWith("../", StringComparison.Ordinal) || Path.IsPathRooted(path))
            {
                throw new BundleException($"'{name}' is not below {folder}");
            }

            if (Directory.Exists(full))
            {
                Add(new DirectoryInfo(full), path == "." ? "" : path + "/", folder, files);
            }
            else
            {
                files.Add(File.Exists(full) ? (path, full) : throw new BundleException($"there is no '{name}' in {folder}"));
            }
        }

        return [.. files.Distinct()];
    }

    private static void Add(DirectoryInfo folder, string prefix, string root, List<(string, string)> files)
    {
        try
        {
            foreach (FileSystemInfo entry in folder.EnumerateFileSystemInfos())
            {
                string path = prefix + entry.Name;
                if (entry is FileInfo)
                {
                    files.Add((path, entry.FullName));
                }
                else if (entry.LinkTarget is null)
                {
                    Add((DirectoryInfo)entry, path + "/", root, files);
                }
                else
                {
                    throw new BundleException(
                        $"{entry.FullName} is a link to a folder, and such do not travel: put the folder itself there");
                }

                if (files.Count > BundleManifest.MostFiles)
                {
                    throw new BundleException(
                        $"{root} has more than {BundleManifest.MostFiles} files: publish what is to run into a folder of its own");
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BundleException($"{folder.FullName} cannot be packed: {e.Message}", e);
        }
    }
}
