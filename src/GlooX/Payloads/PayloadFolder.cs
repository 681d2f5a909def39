using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace GlooX.Payloads;

/// <summary>A payload's assembly, and other assemblies of its folder that are opened when a base class is in them.</summary>
internal sealed class PayloadFolder : IDisposable
{
    // Real types do not nest that deep; a forged assembly may contain a cycle.
    private const int MaxNesting = 20;

    private readonly Dictionary<string, PayloadAssembly?> _siblings = new(StringComparer.OrdinalIgnoreCase);

    /// <exception cref="PayloadException">The file cannot be read as a .NET assembly.</exception>
    public PayloadFolder(string path) => Main = PayloadAssembly.Open(path);

    public PayloadAssembly Main { get; }

    /// <summary>The type of a handle; null when the handle is nil or the type is in no assembly of the folder.</summary>
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

        // The payload chooses the name: it must not lead out of the folder.
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

    /// <summary>Whether the exception is one that the metadata reader throws for invalid bytes.</summary>
    public static bool IsDamage(Exception e) => e is BadImageFormatException or OverflowException;

    public static PayloadAssembly Open(string path)
    {
        PEReader? file = null;
        try
        {
            file = new PEReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete),
                PEStreamOptions.PrefetchMetadata);
            if (file.HasMetadata)
                return new PayloadAssembly(path, file, file.GetMetadataReader());
        }
        catch (Exception e) when (IsDamage(e) || e is IOException or UnauthorizedAccessException)
        {
            file?.Dispose();
            throw new PayloadException(path, e switch
            {
                FileNotFoundException or DirectoryNotFoundException => $"The file '{path}' does not exist.",
                IOException or UnauthorizedAccessException => $"'{path}' cannot be read: {e.Message}",
                _ => $"'{path}' is not a .NET assembly: {e.Message}",
            }, e);
        }

        file.Dispose();
        throw new PayloadException(path, $"'{path}' is a native library, not a .NET assembly.", inner: null);
    }

    public IEnumerable<PayloadType> TopLevelTypes() => Reader.TypeDefinitions
        .Select(handle => new PayloadType(this, handle))
        .Where(type => type.Definition.GetDeclaringType().IsNil);

    public PayloadType? TopLevelType(string @namespace, string name)
    {
        foreach (var type in TopLevelTypes())
        {
            if (Reader.StringComparer.Equals(type.Definition.Name, name)
                && Reader.StringComparer.Equals(type.Definition.Namespace, @namespace))
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

    /// <summary>Definition or reference of the base type; for <c>Base&lt;int&gt;</c> that of <c>Base&lt;T&gt;</c>.</summary>
    public EntityHandle BaseHandle
    {
        get
        {
            var handle = Definition.BaseType;
            if (handle.IsNil || handle.Kind != HandleKind.TypeSpecification)
                return handle;

            // II.23.2.14: GENERICINST CLASS TypeDefOrRef …; no other type specification can be a base.
            var blob = Assembly.Reader.GetBlobReader(Assembly.Reader.GetTypeSpecification((TypeSpecificationHandle)handle).Signature);
            var isGeneric = blob.ReadSignatureTypeCode() == SignatureTypeCode.GenericTypeInstance
                && blob.ReadCompressedInteger() == (int)SignatureTypeKind.Class;
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

    /// <summary>The attribute of the type with this full name, when the attribute class is in another assembly; else null.</summary>
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
