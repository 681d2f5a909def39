using CsCheck;

namespace GlooX.Slots.Tests;

public sealed class ByteSizeTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("4096", 4096)]
    [InlineData("7B", 7)]
    [InlineData("1kB", 1_000)]
    [InlineData("1MB", 1_000_000)]
    [InlineData("1GB", 1_000_000_000)]
    [InlineData("1TB", 1_000_000_000_000)]
    [InlineData("1KiB", 1_024)]
    [InlineData("1MiB", 1_048_576)]
    [InlineData("1GiB", 1_073_741_824)]
    [InlineData("1TiB", 1_099_511_627_776)]
    [InlineData("1.5 GB", 1_500_000_000)]
    [InlineData("0.5KiB", 512)]
    [InlineData(".5MB", 500_000)]
    [InlineData("  2 gb  ", 2_000_000_000)]
    [InlineData("2GIB", 2_147_483_648)]
    [InlineData("9223372036854775807", long.MaxValue)]
    [InlineData("9223372036.854775807GB", long.MaxValue)]
    public void A_size_is_a_number_with_an_optional_unit(string text, long bytes)
    {
        Assert.Equal(bytes, ByteSize.Parse(text));
        Assert.True(ByteSize.TryParse(text, out var tried));
        Assert.Equal(bytes, tried);
    }

    [Theory]
    [InlineData("1.1B", 2)]
    [InlineData("0.0001kB", 1)]
    public void A_part_of_a_byte_counts_as_a_whole_one(string text, long bytes) => Assert.Equal(bytes, ByteSize.Parse(text));

    [Theory]
    [InlineData("", "is not a size")]
    [InlineData("GB", "is not a size")]
    [InlineData("a lot", "is not a size")]
    [InlineData("1 gigabyte", "is not a size")]
    [InlineData("1G", "is not a size")]
    [InlineData("1,5GB", "is not a size")]
    [InlineData("1e3", "is not a size")]
    [InlineData("+1GB", "is not a size")]
    [InlineData("1GB 2GB", "is not a size")]
    [InlineData("1 kBB", "is not a size")]
    [InlineData("NaN", "is not a size")]
    [InlineData("-1GB", "is negative")]
    [InlineData("-1", "is negative")]
    [InlineData("9223372036854775808", "is too large to be counted")]
    [InlineData("9223373TB", "is too large to be counted")]
    [InlineData("70000000000000000000000000000TiB", "is too large to be counted")]
    [InlineData("99999999999999999999999999999999999999999999", "is not a size")]
    public void What_is_no_size_is_refused_with_its_text_and_valid_examples(string text, string complaint)
    {
        var error = Assert.Throws<FormatException>(() => ByteSize.Parse(text));

        Assert.StartsWith($"'{text}' {complaint}", error.Message, StringComparison.Ordinal);
        Assert.Contains("1GB, 1.5 GB, 512MiB, 1048576 (bytes)", error.Message, StringComparison.Ordinal);
        Assert.False(ByteSize.TryParse(text, out var bytes));
        Assert.Equal(0, bytes);
    }

    [Fact]
    public void No_text_is_no_size()
    {
        Assert.Throws<ArgumentNullException>(() => ByteSize.Parse(null!));
        Assert.False(ByteSize.TryParse(null, out _));
    }

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(999, "999 B")]
    [InlineData(1_000, "1 kB")]
    [InlineData(1_500_000_000, "1.5 GB")]
    [InlineData(999_999_999, "999.9 MB")]
    [InlineData(16L << 30, "17.1 GB")]
    [InlineData(-1_500, "-1.5 kB")]
    [InlineData(long.MaxValue, "9223372 TB")]
    [InlineData(long.MinValue, "-9223372 TB")]
    public void A_size_is_shown_in_its_largest_unit(long bytes, string text) => Assert.Equal(text, ByteSize.Format(bytes));

    [Fact]
    public void What_is_shown_can_be_read_and_is_never_more_than_there_is() => Gen.Long[0, long.MaxValue].Sample(bytes =>
    {
        var read = ByteSize.Parse(ByteSize.Format(bytes));
        Assert.InRange(read, bytes - bytes / 10, bytes);
    }, iter: 10_000);

    [Fact]
    public void Any_text_is_either_read_or_refused() => Gen.String.Sample(text =>
    {
        if (ByteSize.TryParse(text, out var bytes))
            Assert.Equal(bytes, ByteSize.Parse(text));
        else
            Assert.Throws<FormatException>(() => ByteSize.Parse(text));
        Assert.True(bytes >= 0);
    }, iter: 10_000);
}
