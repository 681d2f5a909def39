using System.Diagnostics.CodeAnalysis;
using System.Dynamic;

namespace GlooX.Client;

/// <summary>A service as a dynamic object: what is called on it is called there, by name. Thread-safe.</summary>
[RequiresDynamicCode(Why)]
[RequiresUnreferencedCode(Why)]
internal sealed class DynamicClient(RpcClient client, string service) : DynamicObject
{
    public const string Why = "Dynamic calls read and write types that are known at run time only.";

    public override bool TryInvokeMember(InvokeMemberBinder binder, object?[]? args, out object? result)
    {
        result = CallAsync(binder.Name, args ?? []);
        return true;
    }

    public override string ToString() => service.Length == 0 ? client.Url : $"{client.Url}/{service}";

    private async Task<object?> CallAsync(string name, object?[] arguments)
    {
        // As in a contract: Async is no part of the name.
        string method = name.Length > "Async".Length && name.EndsWith("Async", StringComparison.Ordinal) ? name[..^"Async".Length] : name;
        object?[] values = [.. arguments.Select(DynamicValue.Plain)];
        return DynamicValue.Of(await client.CallAsync<object>(service.Length == 0 ? method : $"{service}/{method}", values).ConfigureAwait(false));
    }
}
