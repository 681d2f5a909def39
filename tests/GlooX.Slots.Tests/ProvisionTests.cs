namespace GlooX.Slots.Tests;

public sealed class ProvisionTests
{
    [Fact]
    public void A_provision_is_stated_in_words_or_in_bytes()
    {
        Assert.Equal(Provision.FromBytes(1_000_000_000, 2_097_152), new Provision("1GB", "2MiB"));
        Assert.Equal(Provision.FromBytes(0, 0), Provision.None);
        Assert.Equal("1 GB memory, 2 MB disk", new Provision("1GB", "2MiB").ToString());
    }

    [Theory]
    [InlineData("-1GB", "0", "-1GB")]
    [InlineData("1GB", "much", "much")]
    public void A_provision_of_nonsense_is_refused_by_name(string memory, string disk, string culprit)
    {
        var error = Assert.Throws<FormatException>(() => new Provision(memory, disk));
        Assert.Contains($"'{culprit}'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_negative_number_of_bytes_is_refused_however_it_is_set()
    {
        Assert.Equal("MemoryBytes", Assert.Throws<ArgumentOutOfRangeException>(() => Provision.FromBytes(-1, 0)).ParamName);
        Assert.Equal("DiskBytes", Assert.Throws<ArgumentOutOfRangeException>(() => Provision.FromBytes(0, -5)).ParamName);

        var error = Assert.Throws<ArgumentOutOfRangeException>(() => Provision.None with { DiskBytes = -5 });
        Assert.Contains("-5 bytes is negative", error.Message, StringComparison.Ordinal);
        Assert.Contains("1000000000 (1 GB)", error.Message, StringComparison.Ordinal);

        Assert.Throws<ArgumentOutOfRangeException>(() => Provision.None with { MaxPerNode = 0 });
        Assert.Equal("1 GB memory, 0 B disk, at most 2 per node", (new Provision("1GB", "0") with { MaxPerNode = 2 }).ToString());
        Assert.Throws<ArgumentOutOfRangeException>(() => new Capacity(-1, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Capacity(0, -1));
    }
}
