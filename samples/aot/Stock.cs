using GlooX;
using PolyType;

namespace GlooX.Samples.Aot;

/// <summary>What the client and the server share. Compiled ahead of time, records need a shape that is generated: [GenerateShape].</summary>
[RpcService]
[RpcFault(typeof(OutOfStock))]
public interface IStock
{
    Task<Item?> FindAsync(string name);

    Task<Guid> PutAsync(Item item, DateTimeOffset when, params string[] tags);

    Task<List<Item>> AllAsync();

    Task<int> TakeAsync(string name, int count);

    IAsyncEnumerable<Item> WatchAsync(int count);

    Task<int> CountAsync(IAsyncEnumerable<Item> items, Func<int, Task<bool>> goOn);
}

[GenerateShape, GenerateShapeFor(typeof(List<Item>))]
public sealed partial record Item(string Name, int Count, decimal Price, Packing? Packing = null, Dictionary<string, int>? Parts = null);

[GenerateShape]
[DerivedTypeShape(typeof(Box))]
[DerivedTypeShape(typeof(Bag))]
public abstract partial record Packing;

public sealed record Box(int Width, int Height) : Packing;

public sealed record Bag(string Color) : Packing;

[GenerateShape]
public sealed partial record OutOfStock(string Name, int Left);
