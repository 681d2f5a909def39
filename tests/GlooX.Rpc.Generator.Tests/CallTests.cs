using System.Reflection;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;
using Xunit;

namespace GlooX.Generator;

/// <summary>That arguments and results survive the way from a proxy to the target.</summary>
public sealed class CallTests
{
    private static readonly Lazy<Assembly> s_sample = new(() => Generated.From("""
        public enum Color { Red, Green = 7 }
        public sealed record Point(int X, int Y);

        [RpcService]
        public interface ISample
        {
            Task<string> PrimitivesAsync(bool a, sbyte b, byte c, short d, ushort e, int f, uint g, long h, ulong i, float j, double k, char l, string m, byte[] n, decimal o);
            Task<string> NullableAsync(int? a, string? b, byte[]? c, Point? d, Color? e, List<string>? f);
            Task<string> OptionalAsync(string a, int b = -5, Color c = Color.Green, string? d = null, string e = "x", double f = double.NaN, long? g = 4, CancellationToken ct = default);
            Task<string> ShapedAsync(Point point, List<int> list, Color color);
            Task NothingAsync(CancellationToken ct);
        }

        #pragma warning disable CS1998
        public sealed class Sample : ISample
        {
            public async Task<string> PrimitivesAsync(bool a, sbyte b, byte c, short d, ushort e, int f, uint g, long h, ulong i, float j, double k, char l, string m, byte[] n, decimal o) =>
                $"{a} {b} {c} {d} {e} {f} {g} {h} {i} {j} {k} {l} {m} {string.Join("-", n)} {o}";

            public async Task<string> NullableAsync(int? a, string? b, byte[]? c, Point? d, Color? e, List<string>? f) =>
                $"{a} {b} {(c is null ? "" : string.Join("-", c))} {d} {e} {(f is null ? "" : string.Join("-", f))}";

            public async Task<string> OptionalAsync(string a, int b, Color c, string? d, string e, double f, long? g, CancellationToken ct) =>
                $"{a} {b} {c} {d} {e} {f} {g} {ct.IsCancellationRequested}";

            public async Task<string> ShapedAsync(Point point, List<int> list, Color color) => $"{point} {string.Join("-", list)} {color}";

            public Task NothingAsync(CancellationToken ct) => Task.FromCanceled(ct);
        }
        """).Load());

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Primitives_survive() => Assert.Equal(
        "True -1 255 -300 60000 -70000 4000000000 -5000000000 18000000000000000000 1.5 -2.5 ä text 1-2-3 1.10",
        await CallAsync(
            "PrimitivesAsync", true, (sbyte)-1, (byte)255, (short)-300, (ushort)60000, -70000, 4_000_000_000u, -5_000_000_000L,
            18_000_000_000_000_000_000UL, 1.5f, -2.5, 'ä', "text", new byte[] { 1, 2, 3 }, 1.10m));

    [Fact]
    public async Task Null_survives_where_it_is_allowed() =>
        Assert.Equal("     ", await CallAsync("NullableAsync", null, null, null, null, null, null));

    [Fact]
    public async Task Nullable_values_survive() => Assert.Equal(
        "1 b 9 Point { X = 1, Y = 2 } Green a-b",
        await CallAsync("NullableAsync", 1, "b", new byte[] { 9 }, Point(1, 2), Green(), new List<string> { "a", "b" }));

    [Fact]
    public async Task Records_lists_and_enums_survive() => Assert.Equal(
        "Point { X = 3, Y = -4 } 1-2 Green",
        await CallAsync("ShapedAsync", Point(3, -4), new List<int> { 1, 2 }, Green()));

    [Fact]
    public async Task Defaults_stand_in_for_arguments_that_did_not_come()
    {
        byte[] one = Call.Bytes((ref MessagePackWriter w) => { w.WriteArrayHeader(1); w.Write("a"); });
        byte[] two = Call.Bytes((ref MessagePackWriter w) => { w.WriteArrayHeader(2); w.Write("a"); w.Write(6); });

        Assert.Equal("a -5 Green  x NaN 4 False", await ServeAsync("Optional", one));
        Assert.Equal("a 6 Green  x NaN 4 False", await ServeAsync("Optional", two));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    public void Too_few_or_too_many_arguments_are_refused(int count)
    {
        byte[] arguments = Call.Bytes((ref MessagePackWriter w) =>
        {
            w.WriteArrayHeader(count);
            for (int i = 0; i < count; i++)
                w.Write("a");
        });

        RpcException e = Assert.Throws<RpcException>(() => Dispatcher.Read("Optional", Target, arguments));

        Assert.Contains("1 to 7 arguments", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Null_is_refused_where_it_is_not_allowed()
    {
        RpcException e = Assert.Throws<RpcException>(() => Dispatcher.Read("Optional", Target, [0x91, MessagePackCode.Nil]));

        Assert.Contains("'a'", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cancellation_reaches_the_method()
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Dispatcher.ServeAsync("Nothing", Target, [0x90], cancelled.Token));
    }

    [Fact]
    public void An_unknown_index_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Dispatcher.Read("NoSuchMethod", Target, [0x90]));

    private static RpcDispatcher Dispatcher => s_sample.Value.Dispatcher("Sample");

    private static object Target => s_sample.Value.New("Sample");

    private static object Point(int x, int y) => Activator.CreateInstance(s_sample.Value.GetType("Point")!, x, y)!;

    private static object Green() => Enum.Parse(s_sample.Value.GetType("Color")!, "Green");

    private static Task<object?> CallAsync(string method, params object?[] arguments) =>
        ServeAsync(method[..^"Async".Length], s_sample.Value.Write("ISample", method, arguments));

    private static Task<object?> ServeAsync(string wireName, byte[] arguments) => Dispatcher.ServeAsync(wireName, Target, arguments, Ct);
}
