using Akka.Actor;

namespace GlooX.Grid.Tests;

public sealed class AddressTests
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
    public void Nonsense_is_no_address(string text)
    {
        Assert.False(HostPort.TryParse(text, out _));
        Assert.Throws<ArgumentException>(() => HostPort.Parse(text));
    }

    [Theory]
    [InlineData("10.0.0.3:9000", "10.0.0.3.i5f3a")]
    [InlineData("node-1.internal:9000", "node-1.internal.i5f3a")]
    [InlineData("[::1]:9000", "x_3a_3a1.i5f3a")]
    [InlineData("my_service:9000", "xmy_5fservice.i5f3a")]
    [InlineData("müller.test:9000", "xm_c3_bcller.test.i5f3a")]
    public void The_engine_address_holds_host_and_incarnation(string address, string engineHost)
    {
        var node = new NodeKey(address, "i5f3a");

        Address engine = EngineConfig.ToEngineAddress(node);

        Assert.Equal(engineHost, engine.Host);
        Assert.Equal(engine, Address.Parse(engine.ToString()));
        Assert.Equal(node, EngineConfig.ToNode(engine));
    }

    [Fact]
    public void Each_incarnation_is_another_one()
    {
        string[] all = [.. Enumerable.Range(0, 100).Select(_ => Incarnation.New(TimeProvider.System))];
        Assert.All(all, i => Assert.Matches("^i[0-9a-f]{16}$", i));
        Assert.True(all.Distinct().Count() > 95);
    }

    [Fact]
    public async Task The_preface_carries_the_incarnation()
    {
        CancellationToken ct = TestContext.Current.CancellationToken;
        using var stream = new MemoryStream();
        await Preface.WriteAsync(stream, "i5f3a", ct);
        stream.Position = 0;
        Assert.Equal("i5f3a", await Preface.ReadAsync(stream, ct));

        await Assert.ThrowsAsync<EndOfStreamException>(() => Preface.ReadAsync(stream, ct));
        await Assert.ThrowsAsync<InvalidDataException>(() => Preface.ReadAsync(new MemoryStream([65, 1, 2]), ct));
        await Assert.ThrowsAsync<ArgumentException>(() => Preface.WriteAsync(stream, "", ct));
    }
}
