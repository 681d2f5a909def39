using GlooX.Services;

namespace GlooX.Tests;

public sealed class GridLinkTests
{
    [Fact]
    public async Task Clients_of_former_peers_are_dropped_and_those_of_members_stay()
    {
        var time = new Later();
        Identity identity = Identity.Load();
        await using var link = new GridLink(identity, () => ["127.0.0.1:7001"], time);
        RpcClient member = link.Client("127.0.0.1:7001");
        for (int port = 8000; port < 8100; port++)
        {
            time.Minutes += 1;
            link.Client($"127.0.0.1:{port}");
        }

        Assert.InRange(link.Count, 2, 12);
        Assert.Same(member, link.Client("127.0.0.1:7001"));
    }

    private sealed class Later : TimeProvider
    {
        public long Minutes { get; set; }

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => Minutes * 60;
    }
}
