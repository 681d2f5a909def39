namespace GlooX.Grid.Tests;

public sealed class PrefaceTests
{
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
