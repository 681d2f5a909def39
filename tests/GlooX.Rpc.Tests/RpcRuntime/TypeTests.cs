using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Numerics;
using System.Text.Json;

namespace GlooX.Rpc.Tests.RpcRuntime;

/// <summary>Values of all kinds, there and back over a real connection.</summary>
public sealed class TypeTests(TypeTests.Wire wire) : IClassFixture<TypeTests.Wire>
{
    private static readonly Guid s_guid = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff");
    private static readonly Point s_point = new(-1, 70_000);

    private static readonly Dictionary<string, Func<IEcho, Task>> s_cases = new(StringComparer.Ordinal)
    {
        ["bool"] = e => Same<bool>(e.BoolAsync, true, false),
        ["values that an initializer sets otherwise"] = e => Same<Settings>(e.SettingsAsync, new Settings { Retries = 0, On = false, Note = null }, new Settings()),
        ["sbyte"] = e => Same<sbyte>(e.SByteAsync, sbyte.MinValue, (sbyte)-1, sbyte.MaxValue),
        ["ulong"] = e => Same<ulong>(e.ULongAsync, 0ul, ulong.MaxValue),
        ["long?"] = e => Same<long?>(e.NullableAsync, null, long.MinValue, 5),
        ["char"] = e => Same<char>(e.CharAsync, 'ä', '\0', '\uFFFF'),
        ["float"] = e => Same<float>(e.FloatAsync, float.NaN, float.NegativeInfinity, 1.5f),
        ["double"] = e => Same<double>(e.DoubleAsync, double.Epsilon, double.NaN, -0.0),
        ["Half"] = e => Same<Half>(e.HalfAsync, (Half)1.5, Half.MaxValue),
        ["decimal"] = e => Same<decimal>(e.DecimalAsync, 1.10m, decimal.MinValue, 0m),
        ["Int128"] = e => Same<Int128>(e.Int128Async, Int128.MinValue, 5, Int128.MaxValue),
        ["UInt128"] = e => Same<UInt128>(e.UInt128Async, UInt128.MaxValue, UInt128.Zero),
        ["BigInteger"] = e => Same<BigInteger>(e.BigAsync, BigInteger.Pow(7, 200), -BigInteger.Pow(7, 201), BigInteger.One),
        ["string"] = e => Same<string?>(e.StringAsync, null, "", "größer 😀", new string('x', 100_000)),
        ["Guid"] = e => Same<Guid>(e.GuidAsync, s_guid, Guid.Empty),
        ["DateTime"] = e => Same<DateTime>(e.DateTimeAsync, DateTime.UnixEpoch, new DateTime(2024, 1, 2, 3, 4, 5, 678, DateTimeKind.Utc).AddTicks(9), DateTime.SpecifyKind(DateTime.MaxValue, DateTimeKind.Utc)),
        ["DateTimeOffset"] = e => Same<DateTimeOffset>(e.OffsetAsync, new DateTimeOffset(2024, 1, 2, 3, 4, 5, TimeSpan.FromMinutes(-150)), DateTimeOffset.MinValue),
        ["TimeSpan"] = e => Same<TimeSpan>(e.SpanAsync, TimeSpan.MinValue, TimeSpan.FromTicks(-1), TimeSpan.FromDays(3)),
        ["DateOnly"] = e => Same<DateOnly>(e.DateAsync, DateOnly.MinValue, new DateOnly(2024, 2, 29)),
        ["TimeOnly"] = e => Same<TimeOnly>(e.TimeAsync, TimeOnly.MaxValue, new TimeOnly(3, 4)),
        ["Uri"] = e => Same<Uri>(e.UriAsync, new Uri("https://example.org/ä?b=c#d"), new Uri("../a", UriKind.Relative)),
        ["Version"] = e => Same<Version>(e.VersionAsync, new Version(1, 2), new Version(1, 2, 3, 4)),
        ["enum"] = e => Same<DayOfWeek?>(e.EnumAsync, DayOfWeek.Friday, null, (DayOfWeek)99),
        ["flags"] = e => Same<Marks>(e.FlagsAsync, Marks.One | Marks.High, Marks.None),
        ["bytes"] = e => Same<byte[]?>(e.BytesAsync, [], null, [0, 255], new byte[1 << 20]),
        ["Memory"] = e => Same<Memory<byte>>(e.MemoryAsync, new byte[] { 1, 2, 3 }.AsMemory(1), Memory<byte>.Empty),
        ["ReadOnlyMemory"] = e => Same<ReadOnlyMemory<byte>>(e.ReadOnlyMemoryAsync, new byte[] { 1, 2, 3 }.AsMemory(0, 2), ReadOnlyMemory<byte>.Empty),
        ["ReadOnlyMemory?"] = e => Same<ReadOnlyMemory<byte>?>(e.NullableMemoryAsync, null, new byte[] { 1, 2, 3 }.AsMemory(0, 2)),
        ["array"] = e => Same<int[]>(e.ArrayAsync, [], [1, -1, int.MaxValue]),
        ["array of nulls"] = e => Same<string?[]>(e.NullsAsync, [null, "", "a"]),
        ["jagged array"] = e => Same<int[][]>(e.JaggedAsync, [[1], [], [2, 3]]),
        ["matrix"] = e => Same<int[,]>(e.MatrixAsync, new[,] { { 1, 2 }, { 3, 4 } }),
        ["List"] = e => Same<List<Line>>(e.ListAsync, [new Line("a", s_point)], []),
        ["IEnumerable"] = e => Same<IEnumerable<int>>(e.SequenceAsync, Enumerable.Range(0, 5)),
        ["IReadOnlyList"] = e => Same<IReadOnlyList<string>>(e.ReadOnlyListAsync, ["a", "b"]),
        ["HashSet"] = e => Same<HashSet<string>>(e.SetAsync, new HashSet<string>(StringComparer.Ordinal) { "b", "a" }),
        ["Queue"] = e => Same<Queue<int>>(e.QueueAsync, new Queue<int>([3, 1, 2])),
        ["map"] = e => Same<Dictionary<string, Point>>(e.MapAsync, new Dictionary<string, Point>(StringComparer.Ordinal) { ["ä"] = s_point, [""] = default }),
        ["map by int"] = e => Same<Dictionary<int, string?>>(e.NumberMapAsync, new Dictionary<int, string?> { [-1] = null, [300] = "a" }),
        ["map by Guid"] = e => Same<Dictionary<Guid, DayOfWeek>>(e.GuidMapAsync, new Dictionary<Guid, DayOfWeek> { [s_guid] = DayOfWeek.Friday }),
        ["map by tuple"] = e => Same<Dictionary<(int A, string B), Point>>(e.TupleMapAsync, new Dictionary<(int A, string B), Point> { [(1, "a")] = s_point }),
        ["map by enum"] = e => Same<IReadOnlyDictionary<DayOfWeek, int[]>>(e.ReadOnlyMapAsync, new Dictionary<DayOfWeek, int[]> { [DayOfWeek.Friday] = [1] }),
        ["ConcurrentDictionary"] = e => Same<ConcurrentDictionary<string, int>>(e.ConcurrentAsync, new ConcurrentDictionary<string, int>(StringComparer.Ordinal) { ["a"] = 1 }),
        ["ImmutableArray"] = e => Same<ImmutableArray<int>>(e.ImmutableArrayAsync, [1, 2]),
        ["ImmutableList"] = e => Same<ImmutableList<Point>>(e.ImmutableListAsync, [s_point, default]),
        ["ImmutableDictionary"] = e => Same<ImmutableDictionary<string, int>>(e.ImmutableMapAsync, ImmutableDictionary<string, int>.Empty.Add("a", 1)),
        ["ImmutableSortedSet"] = e => Same<ImmutableSortedSet<string>>(e.ImmutableSetAsync, ["b", "a"]),
        ["FrozenDictionary"] = e => Same<FrozenDictionary<int, int>>(e.FrozenAsync, new Dictionary<int, int> { [1] = 2 }.ToFrozenDictionary()),
        ["tuple"] = e => Same<(int A, string? B, (Point C, int[] D) E)>(e.TupleAsync, (1, null, (s_point, [1, 2])), (1, "a", (default, []))),
        ["Tuple"] = e => Same<Tuple<int, string>>(e.OldTupleAsync, Tuple.Create(1, "a")),
        ["KeyValuePair"] = e => Same<KeyValuePair<string, int>>(e.PairAsync, KeyValuePair.Create("a", 1)),
        ["Complex"] = e => Same<Complex>(e.ComplexAsync, new Complex(1, -2)),
        ["struct"] = e => Same<Point?>(e.StructAsync, null, s_point),
        ["nested records"] = e => Same<Line?>(e.RecordAsync, null, new Line("a", s_point, null, [new Line("b", default, s_point, [], "note")], 5L)),
        ["class"] = e => Same<Plain>(e.PlainAsync, new Plain { Name = "a", Count = 3, Items = [1, 2], Anything = { ["x"] = 1L, ["y"] = new object?[] { null, "z" } } }),
        ["class with a collection of its own"] = e => Same<Basket>(e.BasketAsync, new Basket { Name = "a", Items = { 1, 2 } }),
        ["generated shape"] = e => Same<Generated>(e.GeneratedAsync, new Generated("a", [1], new Generated("b", []))),
        ["object"] = e => Same<object?>(e.ObjectAsync, null, 5L, ulong.MaxValue, 1.5, "a", true, new object?[] { 1L, null }, new Dictionary<string, object?>(StringComparer.Ordinal) { ["a"] = "b" }),
        ["union by name"] = e => Same<Animal>(e.AnimalAsync, new Dog("rex", 3), new Cat("tom", new Dog("max", 1))),
        ["list of unions"] = e => Same<Animal[]>(e.AnimalsAsync, [new Dog("rex", 3), new Cat("tom")]),
        ["union by number"] = e => Same<Shape>(e.ShapeAsync, new Circle(3), new Group([new Circle(1), new Group([])])),
        ["union of an interface"] = e => Same<Dictionary<string, IPrice>>(e.PricesAsync, new Dictionary<string, IPrice>(StringComparer.Ordinal) { ["a"] = new Money(1.5m), ["b"] = new Goods("hen", 2) }),
        ["union with its root"] = e => Same<Employee>(e.EmployeeAsync, new Employee("a"), new Manager("b", 5)),
        ["stream of unions"] = e => Same(async v => await e.FlowAsync(v.ToAsyncEnumerable()).ToArrayAsync(), new Animal[] { new Dog("rex", 3), new Cat("tom") }),
    };

    public static TheoryData<string> Cases => [.. s_cases.Keys];

    [Theory]
    [MemberData(nameof(Cases))]
    public Task A_value_comes_back_as_it_was(string type) => s_cases[type](wire.Remote);

    [Fact]
    public async Task A_kind_that_its_union_does_not_list_is_refused()
    {
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => wire.Remote.AnimalAsync(new Horse("h")));
        Assert.Equal(RpcError.BadArguments, e.Code);
        e = await Assert.ThrowsAsync<RpcException>(async () => await wire.Client.CallAsync<object>("Animal", (object)new object?[] { "Horse", null }));
        Assert.Equal(RpcError.BadArguments, e.Code);
    }

    [Fact]
    public async Task A_union_is_a_pair_for_those_who_do_not_know_it()
    {
        var dog = new Dictionary<string, object?>(StringComparer.Ordinal) { ["Name"] = "rex", ["Age"] = 3L };
        Assert.Equal(["Dog", dog], await wire.Client.CallAsync<object?[]>("Animal", (object)new object?[] { "Dog", dog }));
        Assert.Equal("feline", (await wire.Client.CallAsync<object?[]>("Animal", (object)new object?[] { "feline", new Dictionary<string, object?>(StringComparer.Ordinal) { ["Name"] = "tom" } }))![0]);
        Assert.Equal(1L, (await wire.Client.CallAsync<object?[]>("Shape", (object)new object?[] { 1, new Dictionary<string, object?>(StringComparer.Ordinal) { ["Radius"] = 1 } }))![0]);
        Assert.Null((await wire.Client.CallAsync<object?[]>("Employee", (object)new object?[] { null, new Dictionary<string, object?>(StringComparer.Ordinal) { ["Name"] = "a" } }))![0]);
    }

    [Fact]
    public async Task A_record_inside_an_object_comes_as_a_map()
    {
        var there = new Line("a", s_point, Note: new Line("b", default));
        Line? back = await wire.Remote.RecordAsync(there);
        Assert.Equal("b", Assert.IsType<IReadOnlyDictionary<string, object?>>(back!.Note, exactMatch: false)["Name"]);
    }

    [Fact]
    public async Task Objects_nested_too_deep_are_refused_on_both_sides()
    {
        object deep = 1;
        for (int i = 0; i < 100; i++)
        {
            deep = new object?[] { deep };
        }

        await Assert.ThrowsAnyAsync<Exception>(() => wire.Remote.RecordAsync(new Line("a", default, Note: deep)));
        await Assert.ThrowsAsync<RpcException>(() => wire.Remote.ObjectAsync(deep));
        Assert.True(await wire.Remote.BoolAsync(true));
    }

    private static async Task Same<T>(Func<T, Task<T>> echo, params T[] values)
    {
        foreach (T value in values)
        {
            T back = await echo(value);
            Assert.Equal(value?.GetType().IsValueType, back?.GetType().IsValueType);
            switch (value)
            {
                case Memory<byte> memory:
                    Assert.Equal(memory.ToArray(), ((Memory<byte>)(object)back!).ToArray());
                    break;
                case ReadOnlyMemory<byte> memory:
                    Assert.Equal(memory.ToArray(), ((ReadOnlyMemory<byte>)(object)back!).ToArray());
                    break;
                case Line or List<Line> or Plain or Basket or Generated or Shape or ValueTuple<int, string?, (Point, int[])>:
                    // Arrays inside records are equal by reference only.
                    Assert.Equal(JsonSerializer.Serialize(value, value.GetType(), s_json), JsonSerializer.Serialize(back, value.GetType(), s_json));
                    break;
                default:
                    Assert.Equal(value, back);
                    break;
            }
        }
    }

    private static readonly JsonSerializerOptions s_json = new() { IncludeFields = true };

    public sealed class Wire : IAsyncLifetime
    {
        private Pair _pair = null!;

        public RpcClient Client => _pair.Client;

        public IEcho Remote { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            _pair = await Pair.StartAsync(new Echo());
            Remote = _pair.Client.As<IEcho>();
        }

        public ValueTask DisposeAsync() => _pair.DisposeAsync();
    }
}
