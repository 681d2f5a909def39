using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Numerics;

namespace GlooX.Rpc.Tests.RpcRuntime;

internal sealed class Echo : IEcho
{
    public Task<bool> BoolAsync(bool v) => Task.FromResult(v);

    public Task<Settings> SettingsAsync(Settings v) => Task.FromResult(v);

    public Task<sbyte> SByteAsync(sbyte v) => Task.FromResult(v);

    public Task<ulong> ULongAsync(ulong v) => Task.FromResult(v);

    public Task<long?> NullableAsync(long? v) => Task.FromResult(v);

    public Task<char> CharAsync(char v) => Task.FromResult(v);

    public Task<float> FloatAsync(float v) => Task.FromResult(v);

    public Task<double> DoubleAsync(double v) => Task.FromResult(v);

    public Task<Half> HalfAsync(Half v) => Task.FromResult(v);

    public Task<decimal> DecimalAsync(decimal v) => Task.FromResult(v);

    public Task<Int128> Int128Async(Int128 v) => Task.FromResult(v);

    public Task<UInt128> UInt128Async(UInt128 v) => Task.FromResult(v);

    public Task<BigInteger> BigAsync(BigInteger v) => Task.FromResult(v);

    public Task<string?> StringAsync(string? v) => Task.FromResult(v);

    public Task<Guid> GuidAsync(Guid v) => Task.FromResult(v);

    public Task<DateTime> DateTimeAsync(DateTime v) => Task.FromResult(v);

    public Task<DateTimeOffset> OffsetAsync(DateTimeOffset v) => Task.FromResult(v);

    public Task<TimeSpan> SpanAsync(TimeSpan v) => Task.FromResult(v);

    public Task<DateOnly> DateAsync(DateOnly v) => Task.FromResult(v);

    public Task<TimeOnly> TimeAsync(TimeOnly v) => Task.FromResult(v);

    public Task<Uri> UriAsync(Uri v) => Task.FromResult(v);

    public Task<Version> VersionAsync(Version v) => Task.FromResult(v);

    public Task<DayOfWeek?> EnumAsync(DayOfWeek? v) => Task.FromResult(v);

    public Task<Marks> FlagsAsync(Marks v) => Task.FromResult(v);

    public Task<byte[]?> BytesAsync(byte[]? v) => Task.FromResult(v);

    public Task<Memory<byte>> MemoryAsync(Memory<byte> v) => Task.FromResult(v);

    public Task<ReadOnlyMemory<byte>> ReadOnlyMemoryAsync(ReadOnlyMemory<byte> v) => Task.FromResult(v);

    public Task<ReadOnlyMemory<byte>?> NullableMemoryAsync(ReadOnlyMemory<byte>? v) => Task.FromResult(v);

    public Task<int[]> ArrayAsync(int[] v) => Task.FromResult(v);

    public Task<string?[]> NullsAsync(string?[] v) => Task.FromResult(v);

    public Task<int[][]> JaggedAsync(int[][] v) => Task.FromResult(v);

    public Task<int[,]> MatrixAsync(int[,] v) => Task.FromResult(v);

    public Task<List<Line>> ListAsync(List<Line> v) => Task.FromResult(v);

    public Task<IEnumerable<int>> SequenceAsync(IEnumerable<int> v) => Task.FromResult(v);

    public Task<IReadOnlyList<string>> ReadOnlyListAsync(IReadOnlyList<string> v) => Task.FromResult(v);

    public Task<HashSet<string>> SetAsync(HashSet<string> v) => Task.FromResult(v);

    public Task<Queue<int>> QueueAsync(Queue<int> v) => Task.FromResult(v);

    public Task<Dictionary<string, Point>> MapAsync(Dictionary<string, Point> v) => Task.FromResult(v);

    public Task<Dictionary<int, string?>> NumberMapAsync(Dictionary<int, string?> v) => Task.FromResult(v);

    public Task<Dictionary<Guid, DayOfWeek>> GuidMapAsync(Dictionary<Guid, DayOfWeek> v) => Task.FromResult(v);

    public Task<Dictionary<(int A, string B), Point>> TupleMapAsync(Dictionary<(int A, string B), Point> v) => Task.FromResult(v);

    public Task<IReadOnlyDictionary<DayOfWeek, int[]>> ReadOnlyMapAsync(IReadOnlyDictionary<DayOfWeek, int[]> v) => Task.FromResult(v);

    public Task<ConcurrentDictionary<string, int>> ConcurrentAsync(ConcurrentDictionary<string, int> v) => Task.FromResult(v);

    public Task<ImmutableArray<int>> ImmutableArrayAsync(ImmutableArray<int> v) => Task.FromResult(v);

    public Task<ImmutableList<Point>> ImmutableListAsync(ImmutableList<Point> v) => Task.FromResult(v);

    public Task<ImmutableDictionary<string, int>> ImmutableMapAsync(ImmutableDictionary<string, int> v) => Task.FromResult(v);

    public Task<ImmutableSortedSet<string>> ImmutableSetAsync(ImmutableSortedSet<string> v) => Task.FromResult(v);

    public Task<FrozenDictionary<int, int>> FrozenAsync(FrozenDictionary<int, int> v) => Task.FromResult(v);

    public Task<(int A, string? B, (Point C, int[] D) E)> TupleAsync((int A, string? B, (Point C, int[] D) E) v) => Task.FromResult(v);

    public Task<Tuple<int, string>> OldTupleAsync(Tuple<int, string> v) => Task.FromResult(v);

    public Task<KeyValuePair<string, int>> PairAsync(KeyValuePair<string, int> v) => Task.FromResult(v);

    public Task<Complex> ComplexAsync(Complex v) => Task.FromResult(v);

    public Task<Point?> StructAsync(Point? v) => Task.FromResult(v);

    public Task<Line?> RecordAsync(Line? v) => Task.FromResult(v);

    public Task<Plain> PlainAsync(Plain v) => Task.FromResult(v);

    public Task<Basket> BasketAsync(Basket v) => Task.FromResult(v);

    public Task<Generated> GeneratedAsync(Generated v) => Task.FromResult(v);

    public Task<object?> ObjectAsync(object? v) => Task.FromResult(v);

    public Task<Animal> AnimalAsync(Animal v) => Task.FromResult(v);

    public Task<Animal[]> AnimalsAsync(Animal[] v) => Task.FromResult(v);

    public Task<Shape> ShapeAsync(Shape v) => Task.FromResult(v);

    public Task<Dictionary<string, IPrice>> PricesAsync(Dictionary<string, IPrice> v) => Task.FromResult(v);

    public Task<Employee> EmployeeAsync(Employee v) => Task.FromResult(v);

    public IAsyncEnumerable<Animal> FlowAsync(IAsyncEnumerable<Animal> v) => v;
}
