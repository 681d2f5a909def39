using System.Security.Cryptography;
using System.Text;
using GlooX.Channels.Replication;
using GlooX.Payloads;
using GlooX.Processes;

namespace GlooX.Tests.Bundles;

/// <summary>What a bundle is called and what it may consist of.</summary>
public sealed class BundleManifestTests
{
    private static readonly string s_hash = new('a', 64);

    [Fact]
    public void The_order_of_the_files_does_not_matter_and_all_else_does()
    {
        BundleFile one = File("one"), two = File("lib/two");
        string id = BundleManifest.Of([one, two]).Id;
        Assert.Equal(id, BundleManifest.Of([two, one]).Id);
        BundleFile[] changed = [two with { Path = "lib/three" }, two with { Size = 2 }, two with { Hash = new('b', 64) }, two with { Executable = true }];
        Assert.Equal(5, changed.Select(c => BundleManifest.Of([one, c]).Id).Append(id).Distinct().Count());
    }

    [Fact]
    public void The_canonical_form_is_this_and_its_hash_is_the_id()
    {
        BundleManifest manifest = BundleManifest.Of([File("b") with { Executable = true }, File("a c", 12)]);
        string text = $"gloox-bundle 1\n{s_hash} 12 - a c\n{s_hash} 1 x b\n";
        Assert.Equal(text, Encoding.UTF8.GetString(manifest.Bytes));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text))), manifest.Id);
        Assert.Equal(13, manifest.Size);
        BundleManifest again = BundleManifest.Parse(manifest.Bytes);
        Assert.Equal(manifest.Id, again.Id);
        Assert.Equal(manifest.Files, again.Files);
    }

    [Theory]
    [InlineData("")]
    [InlineData("/etc/passwd")]
    [InlineData("../up")]
    [InlineData("a/../../up")]
    [InlineData("a/..")]
    [InlineData(".")]
    [InlineData("./a")]
    [InlineData("a/./b")]
    [InlineData("a//b")]
    [InlineData("a/")]
    [InlineData("a\\b")]
    [InlineData("a\nb")]
    [InlineData("a\0b")]
    public void A_path_that_is_none_is_refused(string path) => Assert.Throws<BundleException>(() => BundleManifest.Of([File(path)]));

    [Fact]
    public void A_path_or_a_name_that_is_too_long_or_no_text_is_refused()
    {
        Assert.Throws<BundleException>(() => BundleManifest.Of([File(new string('a', 256))]));
        Assert.Throws<BundleException>(() => BundleManifest.Of([File(string.Join('/', Enumerable.Repeat(new string('a', 200), 6)))]));
        Assert.Throws<BundleException>(() => BundleManifest.Of([File("half a character \ud800")]));
        Assert.Equal(255, BundleManifest.Of([File(new string('a', 255))]).Files[0].Path.Length);
    }

    [Theory]
    [InlineData("a", "a")]
    [InlineData("a", "a/b")]
    [InlineData("a/b/c", "a/b")]
    public void A_path_that_is_there_twice_or_is_also_a_folder_is_refused(string one, string two) =>
        Assert.Throws<BundleException>(() => BundleManifest.Of([File(one), File("a-b"), File(two)]));

    [Fact]
    public void Sizes_and_hashes_that_are_none_are_refused()
    {
        foreach (BundleFile bad in new[] { File("a", -1), File("a", long.MaxValue), File("a") with { Hash = "" }, File("a") with { Hash = new('A', 64) }, File("a") with { Hash = "../../" + new string('a', 58) } })
        {
            Assert.Throws<BundleException>(() => BundleManifest.Of([bad]));
        }
    }

    [Fact]
    public void Too_many_files_and_none_are_refused()
    {
        Assert.Throws<BundleException>(() => BundleManifest.Of([]));
        Assert.Throws<BundleException>(() => BundleManifest.Of(Enumerable.Range(0, BundleManifest.MostFiles + 1).Select(i => File($"f{i}"))));
    }

    [Theory]
    [InlineData("")]
    [InlineData("gloox-bundle 1\n")]
    [InlineData("gloox-bundle 2\n{0} 1 - a\n")]
    [InlineData("gloox-bundle 1\n{0} 1 - a")]
    [InlineData("gloox-bundle 1\n{0} 1 - b\n{0} 1 - a\n")]
    [InlineData("gloox-bundle 1\n{0} 01 - a\n")]
    [InlineData("gloox-bundle 1\n{0} +1 - a\n")]
    [InlineData("gloox-bundle 1\n{0} -1 - a\n")]
    [InlineData("gloox-bundle 1\n{0} 99999999999999999999 - a\n")]
    [InlineData("gloox-bundle 1\n{0} 1 ? a\n")]
    [InlineData("gloox-bundle 1\n{0} 1 - ../a\n")]
    [InlineData("gloox-bundle 1\n{0} 1 - a\n\n")]
    [InlineData("gloox-bundle 1\r\n{0} 1 - a\r\n")]
    [InlineData("gloox-bundle 1\n{0} 1 - \n")]
    [InlineData("gloox-bundle 1\n{0}\n")]
    public void What_is_not_in_canonical_form_is_refused(string text) =>
        Assert.Throws<BundleException>(() => BundleManifest.Parse(Encoding.UTF8.GetBytes(text.Replace("{0}", s_hash, StringComparison.Ordinal))));

    [Fact]
    public void Bytes_that_are_no_text_or_too_many_are_refused()
    {
        Assert.Throws<BundleException>(() => BundleManifest.Parse([0xFF, 0xFE, 0x0A]));
        Assert.Throws<BundleException>(() => BundleManifest.Parse(new byte[BundleManifest.MostBytes + 1]));
    }

    [Fact]
    public void Spoiled_manifests_are_refused_or_name_another_bundle()
    {
        BundleManifest good = BundleManifest.Of([File("one"), File("lib/two", 1234), File("lib/three") with { Executable = true }]);
        var random = new Random(1);
        for (int i = 0; i < 2_000; i++)
        {
            byte[] spoiled = [.. good.Bytes];
            spoiled[random.Next(spoiled.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                BundleManifest parsed = BundleManifest.Parse(spoiled);
                Assert.NotEqual(good.Id, parsed.Id);
                Assert.All(parsed.Files, static f => Assert.StartsWith("/root/", Path.GetFullPath(Path.Combine("/root/", f.Path)), StringComparison.Ordinal));
            }
            catch (BundleException)
            {
                // refused
            }
        }
    }

    private static BundleFile File(string path, long size = 1) => new(path, size, s_hash, false);
}
