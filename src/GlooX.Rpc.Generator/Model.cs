using System.Collections;
using System.Collections.Immutable;

namespace GlooX.Generator;

// What the pipeline carries from reading to writing: plain data with value equality and no symbols, so that an edit elsewhere
// finds equal models and writes nothing again.

/// <summary>A contract or a class.</summary>
/// <param name="Type">How generated code names it: <c>global::My.Child</c>.</param>
/// <param name="DisplayName">Full name without <c>global::</c>; the first part of the file name.</param>
/// <param name="GeneratedName">The first part of the names of its proxy and dispatcher: see <see cref="GeneratedNames"/>.</param>
/// <param name="IsContract">A contract has a proxy and a dispatcher, a class only a dispatcher.</param>
/// <param name="Methods">What can be called; the position is the index on the wire.</param>
internal sealed record TypeModel(
    string Type,
    string DisplayName,
    string GeneratedName,
    bool IsContract,
    EquatableArray<MethodModel> Methods);

/// <summary>One callable method.</summary>
/// <param name="WireName">Name on the wire.</param>
/// <param name="Name">Name in C#.</param>
/// <param name="Owner">The type that declares it; a target is cast to it, so explicit implementations and hidden methods work.</param>
/// <param name="ReturnType">As declared.</param>
/// <param name="Returns">How the result comes back.</param>
/// <param name="Result">The result, or the item of a stream; null for nothing.</param>
/// <param name="Parameters">Without the cancellation token.</param>
/// <param name="Required">How many of them a caller must send.</param>
/// <param name="Cancellation">The name of the cancellation token; null when it takes none.</param>
/// <param name="TimeoutMilliseconds">From <c>[Rpc]</c>.</param>
/// <param name="IsOneWay">From <c>[Rpc]</c>.</param>
/// <param name="Idempotent">From <c>[Rpc]</c>.</param>
/// <param name="Faults">The types of details from <c>[RpcFault]</c>.</param>
/// <param name="Shapes">The types among all these that have a generated shape, one of each assembly.</param>
internal sealed record MethodModel(
    string WireName,
    string Name,
    string Owner,
    string ReturnType,
    ReturnKind Returns,
    ValueModel? Result,
    EquatableArray<ParameterModel> Parameters,
    int Required,
    string? Cancellation,
    int TimeoutMilliseconds,
    bool IsOneWay,
    bool Idempotent,
    EquatableArray<string> Faults,
    EquatableArray<ShapeModel> Shapes)
{
    /// <summary>Whether something travels that is no value.</summary>
    public bool IsAttached => Returns == ReturnKind.Stream || Parameters.Any(static p => p.Carriage != Carriage.Value);
}

/// <summary>A type with a shape that PolyType generates, through which those of its whole assembly are found.</summary>
internal sealed record ShapeModel(string Assembly, string Type);

/// <summary>One argument.</summary>
/// <param name="Name">Ready to write: keywords are escaped.</param>
/// <param name="WireName">As errors name it.</param>
/// <param name="Value">Its type.</param>
/// <param name="Default">The default as an expression; null without a usable default.</param>
/// <param name="Carriage">How it travels.</param>
/// <param name="Item">The item, if it is a stream.</param>
/// <param name="Reference">Its type without a question mark and, of a delegate, its one method; if it stays with the caller.</param>
internal sealed record ParameterModel(
    string Name, string WireName, ValueModel Value, string? Default, Carriage Carriage = Carriage.Value, ValueModel? Item = null, ReferenceModel? Reference = null);

/// <summary>What stays with the caller and is called back.</summary>
/// <param name="Type">A contract or a delegate.</param>
/// <param name="MayBeNull">Then nil stands for none.</param>
/// <param name="Invoke">How a delegate is called; null: it is a contract, which has a proxy and a dispatcher of its own.</param>
internal sealed record ReferenceModel(string Type, bool MayBeNull, MethodModel? Invoke)
{
    /// <summary>The delegate as a type with one method.</summary>
    public TypeModel AsType() => new(Type, Type, "", IsContract: false, new[] { Invoke! }.ToEquatableArray());
}

internal enum Carriage
{
    Value,

    /// <summary>A stream: its items follow the call.</summary>
    Stream,

    /// <summary>A contract or a delegate: it stays, and is called back.</summary>
    Reference,
}

/// <summary>Something that travels.</summary>
/// <param name="Type">Its full name with nullable annotations.</param>
/// <param name="Primitive">The part after <c>Read</c> of the MessagePack method that reads it; null: the serializer does.</param>
/// <param name="Nullness">What the contract says about null.</param>
internal sealed record ValueModel(string Type, string? Primitive, Nullness Nullness);

internal enum Nullness
{
    /// <summary>A value type, or a reference declared with a question mark.</summary>
    Declared,

    /// <summary>A reference that may not be null: what comes is checked.</summary>
    Never,

    /// <summary>A reference from code without nullable annotations, or one whose default is null all the same: not checked.</summary>
    Unknown,
}

internal enum ReturnKind
{
    ValueTaskOfT,
    TaskOfT,
    ValueTask,
    Task,
    Value,
    Nothing,

    /// <summary>IAsyncEnumerable of T; the result is the item.</summary>
    Stream,
}

/// <summary>What came of reading a type.</summary>
/// <param name="Model">Null when there is nothing to generate, or something is wrong.</param>
/// <param name="Faults">What is wrong.</param>
internal sealed record TypeResult(TypeModel? Model, EquatableArray<Fault> Faults);

/// <summary>An array that is equal to another with equal items; <see cref="ImmutableArray{T}"/> compares references.</summary>
internal readonly struct EquatableArray<T>(ImmutableArray<T> items) : IEquatable<EquatableArray<T>>, IEnumerable<T>
    where T : IEquatable<T>
{
    private readonly ImmutableArray<T> _items = items;

    public int Count => _items.IsDefault ? 0 : _items.Length;

    public T this[int index] => _items[index];

    public bool Equals(EquatableArray<T> other) => this.SequenceEqual(other);

    public override bool Equals(object? obj) => obj is EquatableArray<T> other && Equals(other);

    public override int GetHashCode() => this.Aggregate(Count, static (hash, item) => (hash * 31) + item.GetHashCode());

    public IEnumerator<T> GetEnumerator() => (_items.IsDefault ? [] : (IEnumerable<T>)_items).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

internal static class EquatableArrayExtensions
{
    public static EquatableArray<T> ToEquatableArray<T>(this IEnumerable<T> items)
        where T : IEquatable<T> => new([.. items]);
}
