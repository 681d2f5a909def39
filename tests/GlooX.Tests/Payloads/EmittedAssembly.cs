using System.Reflection;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

using GlooX.Payloads;
using GlooX.Slots;
using GlooX.Slots.Tests;

namespace GlooX.Tests;

/// <summary>
/// Writes small assemblies, so that the inspector meets classes that derive from <c>GlooX.Worker</c> without the real one. Each class
/// has a static constructor that would end the process, if anybody ran it.
/// </summary>
internal sealed class EmittedAssembly
{
    private readonly PersistedAssemblyBuilder _assembly;
    private readonly ModuleBuilder _module;

    public EmittedAssembly(string name)
    {
        _assembly = new PersistedAssemblyBuilder(new AssemblyName(name), typeof(object).Assembly);
        _module = _assembly.DefineDynamicModule(name);
    }

    public TypeBuilder Class(string name, Type? parent = null, TypeAttributes extra = default, string? memory = null, string? disk = null, double cores = 0, string? resources = null, int maxPerNode = 0)
    {
        var type = _module.DefineType(name, TypeAttributes.Public | TypeAttributes.Class | extra, parent ?? typeof(object));
        if (memory is not null || disk is not null || cores != 0 || resources is not null || maxPerNode != 0)
            type.SetCustomAttribute(ProvisionAttribute(memory, disk, cores, resources, maxPerNode));
        AddBomb(type);
        type.CreateType();
        return type;
    }

    /// <summary>A class whose <c>[Provision]</c> has these bytes for its settings (ECMA-335, II.23.3).</summary>
    public void ClassWithProvisionBytes(string name, Type parent, byte[] settings)
    {
        var type = _module.DefineType(name, TypeAttributes.Public, parent);
        type.SetCustomAttribute(typeof(ProvisionAttribute).GetConstructor([])!, settings);
        type.CreateType();
    }

    public TypeBuilder Nested(TypeBuilder outer, string name, Type? parent = null)
    {
        var type = outer.DefineNestedType(name, TypeAttributes.NestedPublic | TypeAttributes.Class, parent ?? typeof(object));
        type.CreateType();
        return type;
    }

    public TypeBuilder GenericClass(string name, Type parent)
    {
        var type = _module.DefineType(name, TypeAttributes.Public | TypeAttributes.Class, parent);
        type.DefineGenericParameters("T");
        type.CreateType();
        return type;
    }

    public TypeBuilder Type(string name, TypeAttributes attributes, Type? parent)
    {
        var type = _module.DefineType(name, attributes, parent);
        type.CreateType();
        return type;
    }

    public void Delegate(string name)
    {
        var type = _module.DefineType(name, TypeAttributes.Public | TypeAttributes.Sealed, typeof(MulticastDelegate));
        var constructor = type.DefineConstructor(MethodAttributes.Public, CallingConventions.Standard, [typeof(object), typeof(nint)]);
        constructor.SetImplementationFlags(MethodImplAttributes.Runtime);
        type.CreateType();
    }

    public string Save(TempFolder folder)
    {
        var path = Path.Join(folder.Path, _assembly.GetName().Name + ".dll");
        _assembly.Save(path);
        return path;
    }

    /// <summary>An assembly called GlooX with a class Worker, as user code refers to it.</summary>
    public static (EmittedAssembly Assembly, TypeBuilder Worker) GlooX()
    {
        var assembly = new EmittedAssembly("GlooX");
        return (assembly, assembly.Class("GlooX.Worker", extra: TypeAttributes.Abstract));
    }

    /// <summary>
    /// No compiler writes this: <c>Round</c> and <c>About</c> derive from each other, and <c>Lost</c> from a type that lies in a
    /// type that lies in the first.
    /// </summary>
    public static string SaveCircular(TempFolder folder)
    {
        var metadata = new MetadataBuilder();
        metadata.AddModule(0, metadata.GetOrAddString("Circle.dll"), metadata.GetOrAddGuid(Guid.Empty), default, default);
        metadata.AddAssembly(metadata.GetOrAddString("Circle"), new Version(1, 0), default, default, default, default);
        metadata.AddTypeReference(MetadataTokens.TypeReferenceHandle(2), default, metadata.GetOrAddString("Egg"));
        metadata.AddTypeReference(MetadataTokens.TypeReferenceHandle(1), default, metadata.GetOrAddString("Hen"));
        Define("<Module>", default);
        Define("Round", MetadataTokens.TypeDefinitionHandle(3));
        Define("About", MetadataTokens.TypeDefinitionHandle(2));
        Define("Lost", MetadataTokens.TypeReferenceHandle(1));

        var file = new BlobBuilder();
        new ManagedPEBuilder(PEHeaderBuilder.CreateLibraryHeader(), new MetadataRootBuilder(metadata), new BlobBuilder()).Serialize(file);
        var path = Path.Join(folder.Path, "Circle.dll");
        File.WriteAllBytes(path, file.ToArray());
        return path;

        void Define(string name, EntityHandle parent) => metadata.AddTypeDefinition(
            TypeAttributes.Public, default, metadata.GetOrAddString(name), parent, MetadataTokens.FieldDefinitionHandle(1), MetadataTokens.MethodDefinitionHandle(1));
    }

    private static CustomAttributeBuilder ProvisionAttribute(string? memory, string? disk, double cores, string? resources, int maxPerNode)
    {
        var type = typeof(ProvisionAttribute);
        return new CustomAttributeBuilder(
            type.GetConstructor([])!,
            [],
            [Property("Memory"), Property("Disk"), Property("Cores"), Property("Resources"), .. maxPerNode == 0 ? Array.Empty<PropertyInfo>() : [Property("MaxPerNode")]],
            [memory, disk, cores, resources, .. maxPerNode == 0 ? Array.Empty<object>() : [maxPerNode]]);

        PropertyInfo Property(string name) => type.GetProperty(name)!;
    }

    private static void AddBomb(TypeBuilder type)
    {
        var code = type.DefineTypeInitializer().GetILGenerator();
        code.Emit(OpCodes.Ldstr, "the inspector ran code of the payload");
        code.Emit(OpCodes.Call, typeof(Environment).GetMethod(nameof(Environment.FailFast), [typeof(string)])!);
        code.Emit(OpCodes.Ret);
    }
}
