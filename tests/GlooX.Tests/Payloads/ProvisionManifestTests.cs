using GlooX.Payloads;
using GlooX.Slots;
using GlooX.Slots.Tests;

namespace GlooX.Tests;

public sealed class ProvisionManifestTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_manifest_lies_beside_what_it_is_for()
    {
        var payload = Path.Join(_folder.Path, "resize");
        Assert.Null(ProvisionManifest.FindFor(payload));
        _folder.Write("gloox.json", """{ "memory": "1GB", "disk": 5000, "cores": 0.5, "resources": { "gpu": 1 }, "maxPerNode": 2 }""");

        var expected = Provision.FromBytes(1_000_000_000, 5000) with { Cores = 0.5m, Resources = [new("gpu", 1)], MaxPerNode = 2 };
        Assert.Equal(expected, ProvisionManifest.FindFor(payload));
    }

    [Fact]
    public void What_is_left_out_does_not_limit()
    {
        _folder.Write("a.json", "{}");
        Assert.Equal(Provision.None, ProvisionManifest.Read(Path.Join(_folder.Path, "a.json")));
    }

    [Theory]
    [InlineData("[]", "no object")]
    [InlineData("{", "cannot be used")]
    [InlineData("""{ "memory": "much" }""", "'much'")]
    [InlineData("""{ "memory": true }""", "memory is not a size")]
    [InlineData("""{ "memory": -1 }""", "'-1'")]
    [InlineData("""{ "cores": "2" }""", "cores is not a number")]
    [InlineData("""{ "resources": 1 }""", "resources is not an object")]
    [InlineData("""{ "resources": { "gpu": -1 } }""", "-1 is not an amount of 'gpu'")]
    [InlineData("""{ "resources": { "gpu": 1, "gpu": 2 } }""", "gpu")]
    [InlineData("""{ "maxPerNode": 0 }""", "0 processes per node is too few")]
    [InlineData("""{ "maxPerNode": 1.5 }""", "maxPerNode is not a whole number")]
    [InlineData("""{ "maxPerNode": "2" }""", "maxPerNode is not a whole number")]
    [InlineData("""{ "lanes": 1 }""", "unknown setting lanes")]
    public void Nonsense_is_refused_by_name(string json, string complaint)
    {
        var path = Path.Join(_folder.Path, "a.json");
        _folder.Write("a.json", json);

        var error = Assert.Throws<PayloadException>(() => ProvisionManifest.Read(path));

        Assert.Contains(complaint, error.Message, StringComparison.Ordinal);
        Assert.Equal(path, error.AssemblyPath);
    }

    [Fact]
    public void A_manifest_that_is_not_there_is_named()
    {
        var path = Path.Join(_folder.Path, "missing.json");
        Assert.Contains(path, Assert.Throws<PayloadException>(() => ProvisionManifest.Read(path)).Message, StringComparison.Ordinal);
    }
}
