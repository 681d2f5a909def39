using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace GlooX.Slots;

/// <summary>A payload's assembly and those beside it, opened when a base class leads there, closed together.</summary>
internal sealed class PayloadFolder : IDisposable
{
    // Nobody nests that deep; in a forged assembly two types may each lie in the other.
    private const int MaxNesting = 20;

    private readonly Dictionary<string, PayloadAssembly?> _siblings = new(StringComparer.OrdinalIgnoreCase);

    /// <exception cref="PayloadException">The file cannot be read as a .NET assembly.</exception>
    public PayloadFolder(string path) => Main = PayloadAssembly.Open(path);

    public PayloadAssembly Main { get; }

    /// <summary>Finds the type that a handle means; null if it is nil, or lies neither in the assembly nor beside it.</summary>
    public PayloadType? Resolve(PayloadAssembly assembly, EntityHandle handle, int depth = 0)
    {
        if (handle.IsNil || depth > MaxNesting)
            return null;
        if (handle.Kind == HandleKind.TypeDefinition)
            return new PayloadType(assembly, (TypeDefinitionHandle)handle);

        var reader = assembly.Reader;
        var reference = reader.GetTypeReference((TypeReferenceHandle)handle);
        var name = reader.GetString(reference.Name);
        switch (reference.ResolutionScope.Kind)
        {
            case HandleKind.AssemblyReference:
                var scope = reader.GetAssemblyReference((AssemblyReferenceHandle)reference.ResolutionScope);
                var sibling = Sibling(reader.GetString(scope.Name));
                return sibling?.TopLevelType(reader.GetString(reference.Namespace), name);
            case HandleKind.TypeReference:
                return Resolve(assembly, reference.ResolutionScope, depth + 1)?.Nested(name);
            default:
                return null;
        }
    }

    public void Dispose()
    {
        Main.Dispose();
        foreach (var sibling in _siblings.Values)
            sibling?.Dispose();
    }

    private PayloadAssembly? Sibling(string name)
    {
        if (_siblings.TryGetValue(name, out var known))
            return known;

        // The name is the payload's to choose: it must not lead out of the folder.
        var path = Path.Join(Path.GetDirectoryName(Main.Path), name + ".dll");
        var opened = Path.GetFileName(name) == name && File.Exists(path) ? PayloadAssembly.Open(path) : null;
        _siblings.Add(name, opened);
        return opened;
    }
}

/// <summary>The metadata of one file.</summary>
internal sealed class PayloadAssembly : IDisposable
{
    private readonly PEReader _file;

    private PayloadAssembly(string path, PEReader file, MetadataReader reader)
    {
        Path = path;
        _file = file;
        Reader = reader;
    }

    public string Path { get; }

    public MetadataReader Reader { get; }

    /// <summary>What the metadata reader throws when the bytes are not what they should be.</summary>
    public static bool IsDamage(Exception e) => e is BadImageFormatException or OverflowException;

    public static PayloadAssembly Open(string path)
    {
        PEReader? file = null;
        try
        {
            file = new PEReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete), PEStreamOptions.PrefetchMetadata);
            if (file.HasMetadata)
                return new PayloadAssembly(path, file, file.GetMetadataReader());
        }
        catch (Exception e) when (IsDamage(e) || e is IOException or UnauthorizedAccessException)
        {
            file?.Dispose();
            throw new PayloadException(path, e switch
            {
                FileNotFoundException or DirectoryNotFoundException => $"There is no file '{path}'.",
                IOException or UnauthorizedAccessException => $"'{path}' cannot be read: {e.Message}",
                _ => $"'{path}' is no .NET assembly: {e.Message}",
            }, e);
        }

        file.Dispose();
        throw new PayloadException(path, $"'{path}' is no .NET assembly but a native one.", inner: null);
    }

    public IEnumerable<PayloadType> TopLevelTypes() => Reader.TypeDefinitions
        .Select(handle => new PayloadType(this, handle))
        .Where(type => type.Definition.GetDeclaringType().IsNil);

    public PayloadType? TopLevelType(string @namespace, string name)
    {
        foreach (var type in TopLevelTypes())
        {
            if (Reader.StringComparer.Equals(type.Definition.Name, name) && Reader.StringComparer.Equals(type.Definition.Namespace, @namespace))
                return type;
        }

        return null;
    }

    public void Dispose() => _file.Dispose();
}

/// <summary>A type in the assembly that defines it.</summary>
internal readonly record struct PayloadType(PayloadAssembly Assembly, TypeDefinitionHandle Handle)
{
    public TypeDefinition Definition => Assembly.Reader.GetTypeDefinition(Handle);

    public string Name => Assembly.Reader.GetString(Definition.Name);

    public string FullName => Qualify(Definition.Namespace, Definition.Name);

    /// <summary>The base type's definition or reference; of a generic one (<c>Base&lt;int&gt;</c>) that of <c>Base&lt;T&gt;</c>.</summary>
    public EntityHandle BaseHandle
    {
        get
        {
            var handle = Definition.BaseType;
            if (handle.IsNil || handle.Kind != HandleKind.TypeSpecification)
                return handle;

            // II.23.2.14: GENERICINST CLASS TypeDefOrRef …; no other type specification can be a base.
            var blob = Assembly.Reader.GetBlobReader(Assembly.Reader.GetTypeSpecification((TypeSpecificationHandle)handle).Signature);
            var isGeneric = blob.ReadSignatureTypeCode() == SignatureTypeCode.GenericTypeInstance && blob.ReadCompressedInteger() == (int)SignatureTypeKind.Class;
            var generic = isGeneric ? blob.ReadTypeHandle() : default;
            return generic.Kind == HandleKind.TypeSpecification ? default : generic;
        }
    }

    public string? BaseName
    {
        get
        {
            var handle = BaseHandle;
            if (handle.IsNil)
                return null;
            if (handle.Kind == HandleKind.TypeDefinition)
                return new PayloadType(Assembly, (TypeDefinitionHandle)handle).FullName;
            var reference = Assembly.Reader.GetTypeReference((TypeReferenceHandle)handle);
            return Qualify(reference.Namespace, reference.Name);
        }
    }

    public PayloadType? Nested(string name)
    {
        foreach (var handle in Definition.GetNestedTypes())
        {
            if (Assembly.Reader.StringComparer.Equals(Assembly.Reader.GetTypeDefinition(handle).Name, name))
                return new PayloadType(Assembly, handle);
        }

        return null;
    }

    /// <summary>An attribute of a class in another assembly, by its full name; null if the type has none.</summary>
    public CustomAttribute? FindAttribute(string @namespace, string name)
    {
        var reader = Assembly.Reader;
        foreach (var handle in Definition.GetCustomAttributes())
        {
            var attribute = reader.GetCustomAttribute(handle);
            if (attribute.Constructor.Kind != HandleKind.MemberReference)
                continue;
            var owner = reader.GetMemberReference((MemberReferenceHandle)attribute.Constructor).Parent;
            if (owner.Kind != HandleKind.TypeReference)
                continue;
            var type = reader.GetTypeReference((TypeReferenceHandle)owner);
            if (reader.StringComparer.Equals(type.Name, name) && reader.StringComparer.Equals(type.Namespace, @namespace))
                return attribute;
        }

        return null;
    }

    private string Qualify(StringHandle @namespace, StringHandle name) =>
        @namespace.IsNil ? Assembly.Reader.GetString(name) : $"{Assembly.Reader.GetString(@namespace)}.{Assembly.Reader.GetString(name)}";
}
