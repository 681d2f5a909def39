using System.Reflection;
using System.Reflection.Metadata;

namespace GlooX.Slots;

/// <summary>A class that can be spawned.</summary>
/// <param name="FullName">With its namespace.</param>
/// <param name="Name">Without.</param>
/// <param name="Provision">What its <c>[Provision]</c>, or the one it inherits, asks for; null if there is none.</param>
public sealed record PayloadClass(string FullName, string Name, Provision? Provision);

/// <summary>A payload cannot be used: its file is missing, unreadable or no .NET assembly, or a value in a <c>[Provision]</c> is invalid.</summary>
public sealed class PayloadException : Exception
{
    internal PayloadException(string assemblyPath, string message, Exception? inner, string? className = null) : base(message, inner)
    {
        AssemblyPath = assemblyPath;
        ClassName = className;
    }

    /// <summary>The assembly, as a full path: the payload itself, or one beside it that it needs.</summary>
    public string AssemblyPath { get; }

    /// <summary>The full name of the class with the invalid <c>[Provision]</c>; null if the trouble is with the file.</summary>
    public string? ClassName { get; }
}

/// <summary>
/// Looks into an assembly, which may come from anywhere, without running or loading any of it: only its metadata tables are read
/// (ECMA-335, part II). Stateless; safe from any thread.
/// </summary>
public static class PayloadInspector
{
    private const string WorkerAssembly = "GlooX";
    private const string WorkerNamespace = "GlooX";
    private const string WorkerName = "Worker";

    // Nobody inherits that deep; a forged assembly may inherit in a circle.
    private const int MaxDepth = 100;

    /// <summary>
    /// The classes that can be spawned: those that are not abstract, generic or nested, and derive from <c>GlooX.Worker</c>, be it
    /// through other classes in the assembly or in those beside it in its folder.
    /// </summary>
    /// <param name="assemblyPath">The .dll.</param>
    /// <returns>In the order of the assembly; empty if there is none.</returns>
    /// <exception cref="ArgumentException">The path is null or empty.</exception>
    /// <exception cref="PayloadException">The file cannot be read as a .NET assembly, or one of these classes has an invalid size.</exception>
    public static IReadOnlyList<PayloadClass> ReadClasses(string assemblyPath) => Read(assemblyPath, folder =>
    {
        var classes = new List<PayloadClass>();
        foreach (var type in folder.Main.TopLevelTypes())
        {
            // Interfaces and static classes are abstract too.
            if (!type.Definition.Attributes.HasFlag(TypeAttributes.Abstract)
                && type.Definition.GetGenericParameters().Count == 0
                && LineToWorker(folder, type) is { } line)
                classes.Add(new PayloadClass(type.FullName, type.Name, line.Select(ReadProvision).FirstOrDefault(p => p is not null)));
        }

        return classes;
    });

    /// <summary>
    /// The full names of all top-level classes that somebody wrote, spawnable or not: for telling "there is no such class" from
    /// "that class is no worker".
    /// </summary>
    /// <param name="assemblyPath">The .dll.</param>
    /// <returns>In the order of the assembly; no interfaces, structs, enums, delegates or what a compiler added.</returns>
    /// <exception cref="ArgumentException">The path is null or empty.</exception>
    /// <exception cref="PayloadException">The file cannot be read as a .NET assembly.</exception>
    public static IReadOnlyList<string> ReadClassNames(string assemblyPath) => Read(assemblyPath, folder =>
        folder.Main.TopLevelTypes().Where(IsWrittenClass).Select(type => type.FullName).ToList());

    private static T Read<T>(string assemblyPath, Func<PayloadFolder, T> read)
    {
        ArgumentException.ThrowIfNullOrEmpty(assemblyPath);
        using var folder = new PayloadFolder(Path.GetFullPath(assemblyPath));
        try
        {
            return read(folder);
        }
        catch (Exception e) when (PayloadAssembly.IsDamage(e))
        {
            throw new PayloadException(folder.Main.Path, $"'{folder.Main.Path}', or an assembly beside it that it builds on, is damaged: {e.Message}", e);
        }
    }

    /// <summary>The class and its base classes below <c>GlooX.Worker</c>, nearest first; null if they do not lead there.</summary>
    private static List<PayloadType>? LineToWorker(PayloadFolder folder, PayloadType type)
    {
        var line = new List<PayloadType>();
        while (line.Count < MaxDepth)
        {
            line.Add(type);
            var handle = type.BaseHandle;
            if (IsAgent(type.Assembly, handle))
                return line;
            if (folder.Resolve(type.Assembly, handle) is not { } next)
                return null;
            type = next;
        }

        return null;
    }

    private static bool IsAgent(PayloadAssembly assembly, EntityHandle handle)
    {
        var reader = assembly.Reader;
        var text = reader.StringComparer;
        if (handle.IsNil)
            return false;
        if (handle.Kind == HandleKind.TypeReference)
        {
            var reference = reader.GetTypeReference((TypeReferenceHandle)handle);
            return text.Equals(reference.Name, WorkerName) && text.Equals(reference.Namespace, WorkerNamespace)
                && reference.ResolutionScope is { Kind: HandleKind.AssemblyReference } scope
                && text.Equals(reader.GetAssemblyReference((AssemblyReferenceHandle)scope).Name, WorkerAssembly);
        }

        // Inside of GlooX itself, reached through a base class that GlooX brings.
        var definition = reader.GetTypeDefinition((TypeDefinitionHandle)handle);
        return text.Equals(definition.Name, WorkerName) && text.Equals(definition.Namespace, WorkerNamespace) && reader.IsAssembly
            && text.Equals(reader.GetAssemblyDefinition().Name, WorkerAssembly);
    }

    private static Provision? ReadProvision(PayloadType type)
    {
        if (type.FindAttribute("GlooX", nameof(ProvisionAttribute)) is not { } attribute)
            return null;

        try
        {
            // II.23.3. By hand, because the general decoder follows nested arrays as deep and as long as a forged blob says.
            var blob = type.Assembly.Reader.GetBlobReader(attribute.Value);
            var (memory, disk, cores, resources, most) = ("0", "0", 0m, "", default(int?));
            blob.ReadUInt16(); // prolog
            for (int left = blob.ReadUInt16(); left > 0; left--)
            {
                blob.ReadByte(); // always a property
                var kind = blob.ReadSerializationTypeCode();
                var name = kind is SerializationTypeCode.String or SerializationTypeCode.Double or SerializationTypeCode.Int32 ? blob.ReadSerializedString() : null;
                switch (kind, name)
                {
                    case (SerializationTypeCode.String, nameof(ProvisionAttribute.Memory)): memory = blob.ReadSerializedString() ?? memory; break;
                    case (SerializationTypeCode.String, nameof(ProvisionAttribute.Disk)): disk = blob.ReadSerializedString() ?? disk; break;
                    case (SerializationTypeCode.String, nameof(ProvisionAttribute.Resources)): resources = blob.ReadSerializedString() ?? resources; break;
                    case (SerializationTypeCode.Double, nameof(ProvisionAttribute.Cores)): cores = ToDecimal(blob.ReadDouble()); break;
                    case (SerializationTypeCode.Int32, nameof(ProvisionAttribute.MaxPerNode)): most = blob.ReadInt32(); break;
                    default: throw new FormatException("it asks for more than Memory, Disk, Cores, Resources and MaxPerNode, which is all that this version knows.");
                }
            }

            return new Provision(memory, disk) { Cores = cores, Resources = ResourceAmounts.Parse(resources), MaxPerNode = most };
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            var message = $"Class '{type.FullName}' in '{type.Assembly.Path}' has an invalid [Provision]: {e.Message}";
            throw new PayloadException(type.Assembly.Path, message, e, type.FullName);
        }
    }

    // A double of the attribute means what was written there: 0.1 is a tenth.
    private static decimal ToDecimal(double cores) => Math.Abs(cores) <= 1e9 ? (decimal)cores : throw new FormatException($"{cores} is no number of cores.");

    private static bool IsWrittenClass(PayloadType type) =>
        !type.Definition.Attributes.HasFlag(TypeAttributes.Interface)
        && !type.Name.StartsWith('<')
        && type.BaseName is not ("System.ValueType" or "System.Enum" or "System.MulticastDelegate")
        && type.FindAttribute("System.Runtime.CompilerServices", "CompilerGeneratedAttribute") is null;
}
