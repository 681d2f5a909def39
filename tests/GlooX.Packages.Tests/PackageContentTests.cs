using System.Xml.Linq;

namespace GlooX.Packages.Tests;

/// <summary>What is in the packages.</summary>
[Trait("Category", "Slow")]
public sealed class PackageContentTests(Packages packages)
{
    private static readonly string[] s_libraries = ["GlooX", "GlooX.Agent", "GlooX.Channels", "GlooX.Grid", "GlooX.Hosting", "GlooX.Rpc", "GlooX.Slots"];

    [Fact]
    public void Only_what_is_used_by_name_is_a_package() =>
        Assert.Equal([.. s_libraries.Append("GlooX.Cli").Order(StringComparer.Ordinal)], packages.Names());

    [Fact]
    public void Each_has_a_readme_a_licence_and_a_description()
    {
        foreach (string package in packages.Names())
        {
            XElement metadata = packages.Metadata(package);
            string? Text(string name) => metadata.Element(metadata.Name.Namespace + name)?.Value;
            Assert.Equal(("README.md", "MPL-2.0"), (Text("readme"), Text("license")));
            Assert.False(string.IsNullOrEmpty(Text("description")), package);
            Assert.Contains("README.md", packages.Entries(package));
        }
    }

    [Fact]
    public void Each_library_has_its_documentation_and_its_symbols()
    {
        foreach (string package in s_libraries)
        {
            Assert.Contains($"lib/net10.0/{package}.xml", packages.Entries(package));
            Assert.Contains($"lib/net10.0/{package}.pdb", packages.Entries(package, "snupkg"));
        }
    }

    [Fact]
    public void The_generator_is_in_one_package_and_flows_through_those_that_depend_on_it()
    {
        Assert.Equal(["GlooX.Rpc"], packages.Names().Where(p => packages.Entries(p).Any(e => e.StartsWith("analyzers/", StringComparison.Ordinal))));
        Assert.Contains("analyzers/dotnet/cs/GlooX.Rpc.Generator.dll", packages.Entries("GlooX.Rpc"));
        foreach (string package in packages.Names())
        {
            foreach (XElement dependency in packages.Metadata(package).Descendants().Where(d => d.Name.LocalName == "dependency" && d.Attribute("id")!.Value is "GlooX" or "GlooX.Agent" or "GlooX.Rpc"))
            {
                Assert.Equal("All", dependency.Attribute("include")?.Value);
            }
        }
    }
}
