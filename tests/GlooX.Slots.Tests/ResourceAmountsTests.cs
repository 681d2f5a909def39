namespace GlooX.Slots.Tests;

public sealed class ResourceAmountsTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("gpu=1", "gpu=1")]
    [InlineData(" b = 0.50 , a=2,", "a=2, b=0.5")]
    [InlineData("gpu=0", "")]
    public void Amounts_are_read_and_written(string text, string expected)
    {
        var amounts = ResourceAmounts.Parse(text);

        Assert.Equal(expected, amounts.ToString());
        Assert.Equal(amounts, ResourceAmounts.Parse(amounts.ToString()));
        Assert.Equal(amounts.GetHashCode(), ResourceAmounts.Parse(amounts.ToString()).GetHashCode());
    }

    [Theory]
    [InlineData("gpu", "'gpu' is not a resource with an amount")]
    [InlineData("gpu=1=2", "'gpu=1=2' is not")]
    [InlineData("gpu=a", "'gpu=a' is not")]
    [InlineData("gpu=1e3", "'gpu=1e3' is not")]
    [InlineData("gpu=-1", "-1 is not an amount of 'gpu'")]
    [InlineData("gpu=0.00001", "0.00001 is not an amount of 'gpu'")]
    [InlineData("gpu=1000000001", "1000000001 is not an amount of 'gpu'")]
    [InlineData("gpu=1,gpu=2", "'gpu' is named twice")]
    [InlineData("=1", "'' is not a resource name")]
    [InlineData("a b=1", "'a b' is not a resource name")]
    [InlineData("memory=1", "Set Memory instead")]
    public void Nonsense_is_refused_by_name(string text, string complaint)
    {
        var error = Assert.Throws<FormatException>(() => ResourceAmounts.Parse(text));
        Assert.Contains(complaint, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_named_is_nothing()
    {
        ResourceAmounts amounts = [new("gpu", 1)];

        Assert.Equal((1, 0, 1), (amounts["gpu"], amounts["fpga"], amounts.Count));
        Assert.Equal(ResourceAmounts.Parse("cores=2, gpu=4"), amounts.With([new("gpu", 4), new("cores", 2)]));
    }

    [Fact]
    public void Amounts_are_exact_and_part_of_what_a_provision_equals()
    {
        var provision = new Provision("1GB", "0") { Cores = 0.5m, Resources = [new("gpu", 1)] };

        Assert.Equal(provision, Provision.FromBytes(1_000_000_000, 0, provision.Amounts));
        Assert.NotEqual(provision, provision with { Resources = [new("gpu", 2)] });
        Assert.Equal("1 GB memory, 0 B disk, 0.5 cores, 1 gpu", provision.ToString());
        Assert.Throws<ArgumentOutOfRangeException>(() => provision with { Cores = -1 });
        Assert.Throws<ArgumentException>(() => provision with { Resources = [new("cores", 1)] });
    }
}
