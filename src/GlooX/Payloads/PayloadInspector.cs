using System.Reflection;
using System.Reflection.Metadata;

namespace GlooX.Payloads;

/// <summary>A class that can be spawned.</summary>
/// <param name="FullName">The name with its namespace.</param>
/// <param name="Name">The name without its namespace.</param>
/// <param name="Provision">The class's own or inherited <c>[Provision]</c>; null without one.</param>
internal sealed record PayloadClass(string FullName, string Name, Provision? Provision);

/// <summary>A payload cannot be used: a file is missing, unreadable or not a .NET assembly, or a <c>[Provision]</c> is invalid.</summary>
internal sealed class PayloadException : Exception
{
    internal PayloadException(string assemblyPath, string message, Exception? inner, string? className = null) : base(message, inner)
    {
        AssemblyPath = assemblyPath;
        ClassName = className;
    }

    /// <summary>Full path of the file: the payload itself, or another assembly in its folder.</summary>
    public string AssemblyPath { get; }

    /// <summary>Full name of the class with the invalid <c>[Provision]</c>; null when the file is at fault.</summary>
    public string? ClassName { get; }
}

/// <summary>
/// Reads the classes of an untrusted assembly without loading or running its code: only the metadata tables are read (ECMA-335, part II).
/// Thread-safe.
/// </summary>
internal static class PayloadInspector
{
    private const string WorkerAssembly = "GlooX";
    private const string WorkerNamespace = "GlooX";
    private const string WorkerName = "Worker";

    // Real classes do not inherit that deep; a forged assembly may contain a cycle.
    private const int MaxDepth = 100;

    /// <summary>
    /// The classes that can be spawned, in the order of the assembly: not abstract, generic or nested, and derived from
    /// <c>GlooX.Worker</c>, directly or through other classes in assemblies of the same folder.
    /// </summary>
    /// <exception cref="PayloadException">The file is not a readable .NET assembly, or a class has an invalid
    /// <c>[Provision]</c>.</exception>
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
    /// The full names of all top-level classes, spawnable or not, to tell a missing class from one that is not a worker. Without
    /// interfaces, structs, enums, delegates and compiler-generated classes.
    /// </summary>
    /// <exception cref="PayloadException">The file is not a readable .NET assembly.</exception>
    public static IReadOnlyList<string> ReadClassNames(string assemblyPath) => Read(assemblyPath, folder =>
        folder.Main.TopLevelTypes().Where(IsWrittenClass).Select(type => type.FullName).ToList());

    private static T Read<T>(string assemblyPath, Func<PayloadFolder, T> read)
    {
        using var folder = new PayloadFolder(Path.GetFullPath(assemblyPath));
        try
        {
            return read(folder);
        }
        catch (Exception e) when (PayloadAssembly.IsDamage(e))
        {
            throw new PayloadException(
                folder.Main.Path, $"'{folder.Main.Path}', or an assembly beside it that it builds on, is damaged: {e.Message}", e);
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
                var name = kind is SerializationTypeCode.String or SerializationTypeCode.Double or SerializationTypeCode.Int32
                    ? blob.ReadSerializedString() : null;
                switch (kind, name)
                {
                    case (SerializationTypeCode.String, nameof(ProvisionAttribute.Memory)): memory = blob.ReadSerializedString()
                        ?? memory; break;
                    case (SerializationTypeCode.String, nameof(ProvisionAttribute.Disk)): disk = blob.ReadSerializedString() ?? disk; break;
                    case (SerializationTypeCode.String, nameof(ProvisionAttribute.Resources)): resources = blob.ReadSerializedString()
                        ?? resources; break;
                    case (SerializationTypeCode.Double, nameof(ProvisionAttribute.Cores)): cores = ToDecimal(blob.ReadDouble()); break;
                    case (SerializationTypeCode.Int32, nameof(ProvisionAttribute.MaxPerNode)): most = blob.ReadInt32(); break;
                    default: throw new FormatException(
                        "the attribute sets more than Memory, Disk, Cores, Resources and MaxPerNode, which are all that this version knows.");
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
    private static decimal ToDecimal(double cores) =>
        Math.Abs(cores) <= 1e9 ? (decimal)cores : throw new FormatException($"{cores} is not a number of cores.");

    private static bool IsWrittenClass(PayloadType type) =>
        !type.Definition.Attributes.HasFlag(TypeAttributes.Interface)
        && !type.Name.StartsWith('<')
        && type.BaseName is not ("System.ValueType" or "System.Enum" or "System.MulticastDelegate")
        && type.FindAttribute("System.Runtime.CompilerServices", "CompilerGeneratedAttribute") is null;
}
