using Akka.Actor;

namespace GlooX.Grid.Tests;

public sealed class IncarnationTests
{
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
}
