using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Numerics;
using GlooX.RpcRuntime;
using PolyType;

namespace GlooX.Rpc.Tests.RpcRuntime;

public sealed record Line(string Name, Point From, Point? To = null, Line[]? More = null, object? Note = null);

public readonly record struct Point(int X, int Y);

public sealed record Settings
{
    public int Retries { get; init; } = 3;

    public bool On { get; init; } = true;

    public string? Note { get; init; } = "none";
}

public sealed class Basket
{
    public string? Name { get; set; }

    public List<int> Items { get; } = [];
}

public sealed class Plain
{
    public required string Name { get; init; }

    public int Count { get; set; }

    public List<int> Items { get; init; } = [];

    public Dictionary<string, object?> Anything { get; set; } = [];

    public int Twice => Count * 2;
}

[Flags]
public enum Marks : byte
{
    None = 0,
    One = 1,
    Two = 2,
    High = 128,
}

// By names: the shape is read by reflection.
[DerivedTypeShape(typeof(Dog))]
[DerivedTypeShape(typeof(Cat), Name = "feline")]
public abstract record Animal(string Name);

public sealed record Dog(string Name, int Age) : Animal(Name);

public sealed record Cat(string Name, Animal? Friend = null) : Animal(Name);

public sealed record Horse(string Name) : Animal(Name);

// By numbers: the shape is generated.
[GenerateShape]
[DerivedTypeShape(typeof(Circle), Tag = 1)]
[DerivedTypeShape(typeof(Group), Tag = 2)]
public abstract partial record Shape;

public sealed partial record Circle(int Radius) : Shape;

public sealed partial record Group(Shape[] Shapes) : Shape;

[DerivedTypeShape(typeof(Money))]
[DerivedTypeShape(typeof(Goods))]
public interface IPrice;

public sealed record Money(decimal Amount) : IPrice;

public sealed record Goods(string What, int Count) : IPrice;

// The root is one of the kinds.
[DerivedTypeShape(typeof(Manager))]
public record Employee(string Name);

public sealed record Manager(string Name, int Staff) : Employee(Name);

[GenerateShape]
public sealed partial record Generated(string Name, int[] Numbers, Generated? Next = null);

/// <summary>Everything that can travel, there and back.</summary>
[RpcService]
public interface IEcho
{
    Task<bool> BoolAsync(bool v);

    Task<Settings> SettingsAsync(Settings v);

    Task<sbyte> SByteAsync(sbyte v);

    Task<ulong> ULongAsync(ulong v);

    Task<long?> NullableAsync(long? v);

    Task<char> CharAsync(char v);

    Task<float> FloatAsync(float v);

    Task<double> DoubleAsync(double v);

    Task<Half> HalfAsync(Half v);

    Task<decimal> DecimalAsync(decimal v);

    Task<Int128> Int128Async(Int128 v);

    Task<UInt128> UInt128Async(UInt128 v);

    Task<BigInteger> BigAsync(BigInteger v);

    Task<string?> StringAsync(string? v);

    Task<Guid> GuidAsync(Guid v);

    Task<DateTime> DateTimeAsync(DateTime v);

    Task<DateTimeOffset> OffsetAsync(DateTimeOffset v);

    Task<TimeSpan> SpanAsync(TimeSpan v);

    Task<DateOnly> DateAsync(DateOnly v);

    Task<TimeOnly> TimeAsync(TimeOnly v);

    Task<Uri> UriAsync(Uri v);

    Task<Version> VersionAsync(Version v);

    Task<DayOfWeek?> EnumAsync(DayOfWeek? v);

    Task<Marks> FlagsAsync(Marks v);

    Task<byte[]?> BytesAsync(byte[]? v);

    Task<Memory<byte>> MemoryAsync(Memory<byte> v);

    Task<ReadOnlyMemory<byte>> ReadOnlyMemoryAsync(ReadOnlyMemory<byte> v);

    Task<ReadOnlyMemory<byte>?> NullableMemoryAsync(ReadOnlyMemory<byte>? v);

    Task<int[]> ArrayAsync(int[] v);

    Task<string?[]> NullsAsync(string?[] v);

    Task<int[][]> JaggedAsync(int[][] v);

    Task<int[,]> MatrixAsync(int[,] v);

    Task<List<Line>> ListAsync(List<Line> v);

    Task<IEnumerable<int>> SequenceAsync(IEnumerable<int> v);

    Task<IReadOnlyList<string>> ReadOnlyListAsync(IReadOnlyList<string> v);

    Task<HashSet<string>> SetAsync(HashSet<string> v);

    Task<Queue<int>> QueueAsync(Queue<int> v);

    Task<Dictionary<string, Point>> MapAsync(Dictionary<string, Point> v);

    Task<Dictionary<int, string?>> NumberMapAsync(Dictionary<int, string?> v);

    Task<Dictionary<Guid, DayOfWeek>> GuidMapAsync(Dictionary<Guid, DayOfWeek> v);

    Task<Dictionary<(int A, string B), Point>> TupleMapAsync(Dictionary<(int A, string B), Point> v);

    Task<IReadOnlyDictionary<DayOfWeek, int[]>> ReadOnlyMapAsync(IReadOnlyDictionary<DayOfWeek, int[]> v);

    Task<ConcurrentDictionary<string, int>> ConcurrentAsync(ConcurrentDictionary<string, int> v);

    Task<ImmutableArray<int>> ImmutableArrayAsync(ImmutableArray<int> v);

    Task<ImmutableList<Point>> ImmutableListAsync(ImmutableList<Point> v);

    Task<ImmutableDictionary<string, int>> ImmutableMapAsync(ImmutableDictionary<string, int> v);

    Task<ImmutableSortedSet<string>> ImmutableSetAsync(ImmutableSortedSet<string> v);

    Task<FrozenDictionary<int, int>> FrozenAsync(FrozenDictionary<int, int> v);

    Task<(int A, string? B, (Point C, int[] D) E)> TupleAsync((int A, string? B, (Point C, int[] D) E) v);

    Task<Tuple<int, string>> OldTupleAsync(Tuple<int, string> v);

    Task<KeyValuePair<string, int>> PairAsync(KeyValuePair<string, int> v);

    Task<Complex> ComplexAsync(Complex v);

    Task<Point?> StructAsync(Point? v);

    Task<Line?> RecordAsync(Line? v);

    Task<Plain> PlainAsync(Plain v);

    Task<Basket> BasketAsync(Basket v);

    Task<Generated> GeneratedAsync(Generated v);

    Task<object?> ObjectAsync(object? v);

    Task<Animal> AnimalAsync(Animal v);

    Task<Animal[]> AnimalsAsync(Animal[] v);

    Task<Shape> ShapeAsync(Shape v);

    Task<Dictionary<string, IPrice>> PricesAsync(Dictionary<string, IPrice> v);

    Task<Employee> EmployeeAsync(Employee v);

    IAsyncEnumerable<Animal> FlowAsync(IAsyncEnumerable<Animal> v);
}
