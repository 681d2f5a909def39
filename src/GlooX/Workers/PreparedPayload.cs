using System.Reflection;
using GlooX.Payloads;

namespace GlooX.Workers;

/// <summary>
/// Inside a host: the assemblies of one payload, loaded before the payload is spawned. None of their code is run. The files of the payload
/// are held meanwhile.
/// </summary>
internal sealed class PreparedPayload : IDisposable
{
    private readonly FileStream? _held;

    /// <param name="path">The assembly.</param>
    /// <param name="lockFile">What holds its files.</param>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="BadImageFormatException">It is no assembly.</exception>
    public PreparedPayload(string path, string lockFile)
    {
        Path = path;
        _held = FileLock.TryShare(lockFile);
        try
        {
            var context = new PayloadContext("payload", path, isCollectible: false);
            Main = context.LoadFromAssemblyPath(path);
            HashSet<string> seen = new(StringComparer.Ordinal);
            Queue<Assembly> open = new([Main]);
            while (open.TryDequeue(out Assembly? assembly))
            {
                foreach (AssemblyName name in assembly.GetReferencedAssemblies().Where(n => seen.Add(n.FullName)))
                {
                    if (TryLoad(context, name) is { } loaded)
                    {
                        open.Enqueue(loaded);
                    }
                }
            }
        }
        catch
        {
            _held?.Dispose();
            throw;
        }
    }

    public string Path { get; }

    public Assembly Main { get; }

    public void Dispose() => _held?.Dispose();

    private static Assembly? TryLoad(PayloadContext context, AssemblyName name)
    {
        try
        {
            return context.LoadFromAssemblyName(name);
        }
        catch (Exception e) when (e is IOException or BadImageFormatException)
        {
            return null; // perhaps it is not needed; otherwise its use fails
        }
    }
}
