namespace GlooX.Grid.Tests;

public sealed class HostPortTests
{
    [Theory]
    [InlineData("10.0.0.3:9000", "10.0.0.3", 9000, "10.0.0.3:9000")]
    [InlineData("Node-1.Example.org:1", "node-1.example.org", 1, "node-1.example.org:1")]
    [InlineData("[::1]:9000", "::1", 9000, "[::1]:9000")]
    [InlineData("[FE80:0:0::1]:9000", "fe80::1", 9000, "[fe80::1]:9000")]
    public void An_address_has_one_spelling(string text, string host, int port, string spelling)
    {
        HostPort address = HostPort.Parse(text);
        Assert.Equal((host, port, spelling), (address.Host, address.Port, address.ToString()));
        Assert.Equal(address, HostPort.Parse(spelling));
    }

    [Theory]
    [InlineData("")]
    [InlineData("host")]
    [InlineData(":9000")]
    [InlineData("host:0")]
    [InlineData("host:65536")]
    [InlineData("host:-1")]
    [InlineData("host:9 ")]
    [InlineData("::1:9000")]
    [InlineData("[host]:9000")]
    [InlineData("a@b:9000")]
    [InlineData("a/b:9000")]
    public void Other_texts_are_refused(string text)
    {
        Assert.False(HostPort.TryParse(text, out _));
        Assert.Throws<ArgumentException>(() => HostPort.Parse(text));
    }
}
