using System.Reflection;
using CsCheck;

using GlooX.Payloads;
using GlooX.Slots;
using GlooX.Slots.Tests;

namespace GlooX.Tests;

public sealed class PayloadInspectorTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly EmittedAssembly _payload = new("Payload");
    private readonly EmittedAssembly _gloox;
    private readonly Type _agent;

    public PayloadInspectorTests() => (_gloox, _agent) = EmittedAssembly.GlooX();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_class_that_derives_from_Worker_is_found_with_its_provision()
    {
        _payload.Class("Child", _agent, memory: "1GB", disk: "1.5 GiB");
        _payload.Class("My.Space.Other", _agent);

        Assert.Equal(
            [new PayloadClass("Child", "Child", new Provision("1GB", "1.5GiB")), new PayloadClass("My.Space.Other", "Other", null)],
            Classes());
    }

    [Fact]
    public void The_payload_is_not_loaded()
    {
        _payload.Class("Child", _agent, memory: "1GB");

        Assert.Single(Classes());
        Assert.DoesNotContain(AppDomain.CurrentDomain.GetAssemblies(), static a => a.GetName().Name == "Payload");
    }

    [Theory]
    [InlineData("1GB", null, 1_000_000_000, 0)]
    [InlineData(null, "1GB", 0, 1_000_000_000)]
    public void A_size_that_is_left_out_does_not_limit(string? memory, string? disk, long memoryBytes, long diskBytes)
    {
        _payload.Class("Child", _agent, memory: memory, disk: disk);

        Assert.Equal(Provision.FromBytes(memoryBytes, diskBytes), Assert.Single(Classes()).Provision);
    }

    [Fact]
    public void Only_classes_that_can_be_made_are_returned()
    {
        _payload.Class("AbstractOne", _agent, TypeAttributes.Abstract);
        _payload.GenericClass("GenericOne", _agent);
        _payload.Nested(_payload.Class("Outer"), "Inner", _agent);
        _payload.Class("NoAgent");
        _payload.Class("Child", _agent);

        Assert.Equal(["Child"], Classes().Select(c => c.FullName));
    }

    [Fact]
    public void A_class_may_derive_through_others_and_inherits_the_nearest_provision()
    {
        var grandparent = _payload.Class("Grandparent", _agent, TypeAttributes.Abstract, memory: "1GB", disk: "1GB");
        var parent = _payload.Class("Parent", grandparent, memory: "2GB");
        _payload.Class("Child", parent);
        _payload.Class("Uncle", grandparent);

        Assert.Equal(
            [("Parent", new Provision("2GB", "0")), ("Child", new Provision("2GB", "0")), ("Uncle", new Provision("1GB", "1GB"))],
            Classes().Select(c => (c.Name, c.Provision!)));
    }

    [Fact]
    public void A_class_may_derive_through_an_assembly_beside_it()
    {
        var library = new EmittedAssembly("Library");
        var middle = library.Class("Lib.Middle", library.Class("Lib.Base", _agent, memory: "3GB"));
        var nested = library.Nested(library.Class("Lib.Outer"), "Inner", _agent);
        library.Save(_folder);
        _payload.Class("Child", middle);
        _payload.Class("OfNested", nested);

        Assert.Equal([("Child", new Provision("3GB", "0")), ("OfNested", null)], Classes().Select(c => (c.Name, c.Provision)));
    }

    [Fact]
    public void A_base_class_in_an_assembly_that_is_not_there_leads_nowhere()
    {
        _payload.Class("Child", new EmittedAssembly("Absent").Class("Base", _agent));

        Assert.Empty(Classes());
    }

    [Fact]
    public void An_assembly_outside_of_the_folder_is_not_looked_at()
    {
        using var inner = new TempFolder();
        var outside = new EmittedAssembly("Outside");
        var trick = new EmittedAssembly($"../{Path.GetFileName(_folder.Path)}/Outside");
        _payload.Class("Child", trick.Class("Base", _agent));
        outside.Class("Base", _agent);
        outside.Save(_folder);

        Assert.Empty(PayloadInspector.ReadClasses(_payload.Save(inner)));
    }

    [Fact]
    public void A_class_may_derive_from_a_generic_one()
    {
        var generic = _payload.GenericClass("Base", _agent);
        _payload.Class("Child", generic.MakeGenericType(typeof(int)));

        Assert.Equal(["Child"], Classes().Select(c => c.Name));
    }

    [Fact]
    public void A_class_may_derive_from_a_worker_that_GlooX_brings()
    {
        var kind = _gloox.Class("GlooX.SpecialWorker", _agent);
        _gloox.Save(_folder);
        _payload.Class("Child", kind);

        Assert.Equal(["Child"], Classes().Select(c => c.Name));
    }

    [Fact]
    public void A_Worker_of_somebody_else_does_not_count()
    {
        var other = new EmittedAssembly("Other");
        _payload.Class("Child", other.Class("GlooX.Worker"));
        _payload.Class("Grandchild", _payload.Class("Worker", _gloox.Class("Worker")));
        other.Save(_folder);
        _gloox.Save(_folder);

        Assert.Empty(Classes());
    }

    [Fact]
    public void The_names_of_all_written_classes_are_known()
    {
        _payload.Class("Child", _agent);
        _payload.Class("My.NoAgent");
        _payload.Class("AbstractOne", extra: TypeAttributes.Abstract);
        _payload.GenericClass("GenericOne", _agent);
        _payload.Nested(_payload.Class("Outer"), "Inner");
        _payload.Type("<Generated>", TypeAttributes.Class, typeof(object));
        _payload.Type("IFace", TypeAttributes.Interface | TypeAttributes.Abstract, parent: null);
        _payload.Type("Value", TypeAttributes.Sealed, typeof(ValueType));
        _payload.Delegate("Delegate");

        Assert.Equal(["Child", "My.NoAgent", "AbstractOne", "GenericOne", "Outer"], PayloadInspector.ReadClassNames(_payload.Save(_folder)));
    }

    [Fact]
    public void A_compiled_assembly_shows_no_class_that_the_compiler_made()
    {
        var names = PayloadInspector.ReadClassNames(typeof(Ledger).Assembly.Location);

        Assert.Contains("GlooX.Slots.Ledger", names);
        Assert.DoesNotContain("GlooX.Slots.IMachine", names);
        Assert.DoesNotContain("GlooX.Slots.Usage", names);
        Assert.All(names, name => Assert.StartsWith("GlooX.", name, StringComparison.Ordinal));
        Assert.Empty(PayloadInspector.ReadClasses(typeof(Ledger).Assembly.Location));
    }

    [Theory]
    [InlineData("1 gigabyte", null, "1 gigabyte")]
    [InlineData("1GB", "-5MB", "-5MB")]
    public void An_invalid_size_names_the_class_and_the_value(string memory, string? disk, string culprit)
    {
        _payload.Class("Child", _payload.Class("My.Base", _agent, TypeAttributes.Abstract, memory, disk));
        var path = _payload.Save(_folder);

        var error = Assert.Throws<PayloadException>(() => PayloadInspector.ReadClasses(path));

        Assert.Equal(("My.Base", path), (error.ClassName, error.AssemblyPath));
        Assert.StartsWith($"Class 'My.Base' in '{path}' has an invalid [Provision]: '{culprit}' is ", error.Message, StringComparison.Ordinal);
        Assert.IsType<FormatException>(error.InnerException);
    }

    [Fact]
    public void Cores_and_named_resources_are_read_exactly()
    {
        _payload.Class("Child", _agent, memory: "1GB", cores: 0.1, resources: "gpu=1, licence.matlab=0.5");

        var expected = new Provision("1GB", "0") { Cores = 0.1m, Resources = [new("gpu", 1), new("licence.matlab", 0.5m)] };
        Assert.Equal(expected, Assert.Single(Classes()).Provision);
    }

    [Theory]
    [InlineData(-1, null, "-1 is not an amount of 'cores'")]
    [InlineData(double.NaN, null, "NaN is not a number of cores")]
    [InlineData(0.00001, null, "0.00001 is not an amount of 'cores'")]
    [InlineData(0, "gpu", "'gpu' is not a resource with an amount")]
    [InlineData(0, "gpu=-1", "-1 is not an amount of 'gpu'")]
    [InlineData(0, "cores=1", "Set Cores instead")]
    public void An_invalid_amount_names_the_class_and_the_value(double cores, string? resources, string complaint)
    {
        _payload.Class("Child", _agent, cores: cores, resources: resources);

        var error = Assert.Throws<PayloadException>(() => Classes());

        Assert.Equal("Child", error.ClassName);
        Assert.Contains(complaint, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_invalid_size_on_a_class_that_is_no_agent_does_not_matter()
    {
        _payload.Class("NoAgent", memory: "nonsense");

        Assert.Empty(Classes());
    }

    [Theory]
    [InlineData("missing.dll", "The file '")]
    [InlineData("no/such/folder.dll", "The file '")]
    [InlineData("text.dll", "is not a .NET assembly")]
    [InlineData("empty.dll", "is not a .NET assembly")]
    [InlineData("folder.dll", "cannot be read")]
    public void A_file_that_is_no_assembly_is_refused_by_name(string name, string complaint)
    {
        _folder.Write("text.dll", "using System; // somebody's source, under the wrong name");
        _folder.Write("empty.dll", "");
        Directory.CreateDirectory(Path.Join(_folder.Path, "folder.dll"));
        var path = Path.Join(_folder.Path, name);

        var error = Assert.Throws<PayloadException>(() => PayloadInspector.ReadClasses(path));

        Assert.Equal(path, error.AssemblyPath);
        Assert.Null(error.ClassName);
        Assert.Contains(complaint, error.Message, StringComparison.Ordinal);
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Throws<PayloadException>(() => PayloadInspector.ReadClassNames(path));
    }

    /// <summary>Payloads come over the network: whatever is in one, the answer is a result or the one exception.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public void A_damaged_assembly_is_read_or_refused_and_never_crashes_the_reader()
    {
        var generic = _payload.GenericClass("Generic", _agent);
        _payload.Class("Child", _payload.Class("Base", generic.MakeGenericType(typeof(int)), memory: "1GB"), disk: "1GB");
        var sound = File.ReadAllBytes(_payload.Save(_folder));
        var broken = Path.Join(_folder.Path, "Broken.dll");
        var damage = Gen.Select(Gen.Int[0, sound.Length - 1], Gen.Byte).Array[1, 8];

        damage.Sample(changes =>
        {
            var bytes = (byte[])sound.Clone();
            foreach (var (at, value) in changes)
                bytes[at] = value;
            File.WriteAllBytes(broken, bytes);
            var error = Record.Exception(() =>
            {
                PayloadInspector.ReadClasses(broken);
                PayloadInspector.ReadClassNames(broken);
            });
            Assert.True(error is null or PayloadException, error?.ToString());
        }, iter: 3_000, threads: 1);
    }

    [Fact]
    public void A_forged_assembly_that_derives_in_a_circle_has_no_agents()
    {
        var path = EmittedAssembly.SaveCircular(_folder);

        Assert.Empty(PayloadInspector.ReadClasses(path));
        Assert.Equal(["Round", "About", "Lost"], PayloadInspector.ReadClassNames(path));
    }

    [Fact]
    public void A_class_may_say_how_many_of_it_a_node_runs()
    {
        _payload.Class("Child", _agent, memory: "1GB", maxPerNode: 2);

        Assert.Equal(new Provision("1GB", "0") with { MaxPerNode = 2 }, Assert.Single(Classes()).Provision);
    }

    [Fact]
    public void Less_than_one_per_node_is_refused()
    {
        _payload.Class("Child", _agent, maxPerNode: -1);

        Assert.Contains("-1 processes per node is too few", Assert.Throws<PayloadException>(() => Classes()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_setting_of_a_newer_version_is_refused_rather_than_ignored()
    {
        // Lanes = 2, as an int.
        _payload.ClassWithProvisionBytes("Child", _agent, [1, 0, 1, 0, 0x54, 0x08, 5, .. "Lanes"u8, 2, 0, 0, 0]);

        var error = Assert.Throws<PayloadException>(() => Classes());

        Assert.Equal("Child", error.ClassName);
        Assert.Contains("the attribute sets more than Memory, Disk, Cores, Resources and MaxPerNode", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { })]
    [InlineData(new byte[] { 1, 0, 255, 255 })]
    [InlineData(new byte[] { 1, 0, 1, 0, 0x54, 0x0E, 200, 77 })]
    public void A_provision_that_is_cut_off_is_damage(byte[] settings)
    {
        _payload.ClassWithProvisionBytes("Child", _agent, settings);

        Assert.Contains("is damaged", Assert.Throws<PayloadException>(() => Classes()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_size_of_null_is_as_if_left_out()
    {
        _payload.ClassWithProvisionBytes("Child", _agent, [1, 0, 1, 0, 0x54, 0x0E, 4, .. "Disk"u8, 0xFF]);

        Assert.Equal(Provision.None, Assert.Single(Classes()).Provision);
    }

    private IReadOnlyList<PayloadClass> Classes() => PayloadInspector.ReadClasses(_payload.Save(_folder));
}
