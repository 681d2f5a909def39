using Microsoft.CodeAnalysis;

namespace GlooX.Generator;

/// <summary>What is known of .NET's own types: which are values that travel, and why others do not.</summary>
internal static class FrameworkTypes
{
    private const string Reversed = "a stack, which would come out reversed (pass a list)";
    private const string Stream = "a stream of bytes, which stays where it is (pass byte[], or IAsyncEnumerable<byte[]>)";
    private const string Living = "something of this process, which means nothing in another";

    // Whole families: the type itself and whatever derives from it.
    private static readonly Dictionary<string, string> s_families = new(StringComparer.Ordinal)
    {
        ["System.IO.Stream"] = Stream,
        ["System.IO.Pipelines.PipeReader"] = Stream,
        ["System.IO.Pipelines.PipeWriter"] = Stream,
        ["System.IO.TextReader"] = Stream,
        ["System.IO.TextWriter"] = Stream,
        ["System.Delegate"] = "a delegate of no known signature",
        ["System.Exception"] = "an exception (throw it; or put its facts into a record, for RpcFault<T>)",
        ["System.Threading.Tasks.Task"] = "a task (await it, and pass what it brings)",
        ["System.Threading.WaitHandle"] = Living,
        ["System.Reflection.MemberInfo"] = Living,
        ["System.Reflection.Assembly"] = Living,
        ["System.Text.StringBuilder"] = "a StringBuilder (pass the string)",
    };

    private static readonly Dictionary<string, string> s_single = new(StringComparer.Ordinal)
    {
        ["System.Threading.Tasks.ValueTask"] = "a task (await it, and pass what it brings)",
        ["System.Threading.Tasks.ValueTask<TResult>"] = "a task (await it, and pass what it brings)",
        ["System.Collections.Generic.IAsyncEnumerable<T>"] = "a stream, which can only be an argument or a result of its own",
        ["System.Collections.Generic.IAsyncEnumerator<T>"] = "half of a stream",
        ["System.Collections.Generic.IEnumerator<T>"] = "half of a sequence",
        ["System.Collections.Generic.Stack<T>"] = Reversed,
        ["System.Collections.Concurrent.ConcurrentStack<T>"] = Reversed,
        ["System.Collections.Concurrent.ConcurrentBag<T>"] = Reversed.Replace("stack", "bag"),
        ["System.Collections.Immutable.ImmutableStack<T>"] = Reversed,
        ["System.Collections.Immutable.IImmutableStack<T>"] = Reversed,
        ["System.ArraySegment<T>"] = "a part of an array (pass Memory<T>)",
        ["System.Buffers.ReadOnlySequence<T>"] = "a chain of buffers (pass ReadOnlyMemory<byte>)",
        ["System.Threading.CancellationToken"] = "a CancellationToken, which can only be the last argument",
        ["System.Threading.CancellationTokenSource"] = Living,
        ["System.DBNull"] = Living,
    };

    // Values that the serializer knows, and collections of whatever their arguments are.
    private static readonly HashSet<string> s_values = new(StringComparer.Ordinal)
    {
        "System.Guid", "System.TimeSpan", "System.DateTimeOffset", "System.DateOnly", "System.TimeOnly", "System.Half", "System.Int128", "System.UInt128",
        "System.Uri", "System.Version", "System.Index", "System.Range", "System.Numerics.BigInteger", "System.Numerics.Complex", "System.Text.Rune",
        "System.Globalization.CultureInfo", "System.Text.Encoding", "System.Lazy<T>",
    };

    private static readonly HashSet<string> s_notCollections = new(StringComparer.Ordinal)
    {
        "PriorityQueue", "BlockingCollection", "IComparer", "IEqualityComparer", "Comparer", "EqualityComparer", "IProducerConsumerCollection", "Partitioner",
        "OrderablePartitioner", "BitArray", "IAlternateEqualityComparer",
    };

    /// <summary>Why a type of .NET cannot travel; null: the type can travel, or it is not one of .NET's.</summary>
    public static string? WhyNot(ITypeSymbol type)
    {
        if (type.TypeKind is TypeKind.Pointer or TypeKind.FunctionPointer || type.SpecialType is SpecialType.System_IntPtr or SpecialType.System_UIntPtr)
            return "a pointer, or as large as one (pass a long)";
        if (type.IsRefLikeType)
            return "on the stack only";
        for (ITypeSymbol? t = type; t is not null; t = t.BaseType)
        {
            if (t.DelegateTypeIsNamed())
                break;
            if (s_families.TryGetValue(t.DefinitionName(), out string? why))
                return why;
        }

        if (s_single.TryGetValue(type.DefinitionName(), out string? single))
            return single;
        if (type is not INamedTypeSymbol named || !IsFrameworks(named) || IsOneOf(named) || named.DelegateInvokeMethod is not null)
            return null;
        return named.TypeKind switch
        {
            TypeKind.Interface => "an interface that is no collection",
            TypeKind.Class => "a class of .NET that has no form in MessagePack (make a record of what matters)",
            _ => null,
        };
    }

    /// <summary>Whether it is a value, or a collection, that the serializer knows.</summary>
    public static bool IsOneOf(INamedTypeSymbol type) =>
        type.SpecialType is SpecialType.System_Object or SpecialType.System_String or SpecialType.System_DateTime or SpecialType.System_Decimal
        || type.SpecialType is >= SpecialType.System_Boolean and <= SpecialType.System_Double
        || type.IsTupleType
        || (IsFrameworks(type) && (s_values.Contains(type.DefinitionName()) || IsCollection(type) || IsInSystem(type, "Nullable", "Memory", "ReadOnlyMemory", "Tuple", "ValueTuple")));

    private static bool IsCollection(INamedTypeSymbol type) =>
        type.ContainingNamespace.ToDisplayString() is "System.Collections" or "System.Collections.Generic" or "System.Collections.Concurrent"
            or "System.Collections.Frozen" or "System.Collections.Immutable" or "System.Collections.ObjectModel"
        && !s_notCollections.Contains(type.Name) && !s_single.ContainsKey(type.DefinitionName());

    private static bool IsInSystem(INamedTypeSymbol type, params string[] names) =>
        type.ContainingNamespace is { Name: "System", ContainingNamespace.IsGlobalNamespace: true } && names.Contains(type.Name, StringComparer.Ordinal);

    private static bool IsFrameworks(INamedTypeSymbol type) =>
        type.ContainingAssembly?.Name is { } assembly
        && (assembly is "mscorlib" or "netstandard" or "System" || assembly.StartsWith("System.", StringComparison.Ordinal));

    // Delegate itself is refused, one with a signature is judged by it.
    private static bool DelegateTypeIsNamed(this ITypeSymbol type) => type is INamedTypeSymbol { DelegateInvokeMethod: not null };
}
