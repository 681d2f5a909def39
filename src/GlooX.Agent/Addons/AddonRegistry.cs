using System.Buffers;
using System.Collections.Concurrent;
using GlooX.Contracts;
using GlooX.RpcRuntime;
using Microsoft.Extensions.Logging;

namespace GlooX.Addons;

/// <summary>The add-ons of a node: attaches and detaches them. Thread-safe.</summary>
internal sealed class AddonRegistry(Agent node, RpcServer server, ILoggerFactory loggers, Action<AddonFault> report)
{
    private const int LongestName = 100;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);
    private static readonly SearchValues<char> s_allowed = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    private readonly ConcurrentDictionary<string, Attached?> _attached = new(StringComparer.Ordinal);

    public IReadOnlyList<string> Names => [.. _attached.Where(static a => a.Value is not null).Select(static a => a.Key).Order(StringComparer.Ordinal)];

    /// <summary>The service by which an add-on is called.</summary>
    public Task AttachAsync(string name, object target, AddonOptions? options, CancellationToken ct) => AttachAsync(name, options, _ => Task.FromResult((target, (AddonAssembly?)null)), ct);

    public Task AttachAsync(string name, AddonSource source, AddonOptions? options, CancellationToken ct) => AttachAsync(
        name,
        options,
        async token =>
        {
            AddonAssembly loaded = await AddonAssembly.LoadAsync(name, source, token).ConfigureAwait(false);
            return (loaded.Target, loaded);
        },
        ct);

    /// <exception cref="AddonException"><see cref="AddonError.BadName"/>.</exception>
    public static void CheckName(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name.Length is 0 or > LongestName || name.AsSpan().ContainsAnyExcept(s_allowed))
        {
            throw new AddonException(AddonError.BadName, $"'{name}' is no name for an add-on: it takes 1 to {LongestName} letters, digits, dots, dashes and underscores");
        }
    }

    public AddonException Taken(string name) => new(AddonError.NameTaken, $"the node {node.Url} has an add-on '{name}' already: detach it first, or choose another name");

    public void Fault(string name, string work, Exception e) => new AddonContext(node, name, new Dictionary<string, string>(StringComparer.Ordinal), loggers.CreateLogger($"GlooX.Addon.{name}"), report).Fault(work, e);

    /// <exception cref="AddonException"><see cref="AddonError.UnknownName"/>.</exception>
    public async Task DetachAsync(string name)
    {
        if (!_attached.TryGetValue(name, out Attached? attached) || attached is null || !_attached.TryUpdate(name, null, attached))
        {
            string there = Names.Count == 0 ? "it has none" : $"it has: {string.Join(", ", Names)}";
            throw new AddonException(AddonError.UnknownName, $"the node {node.Url} has no add-on '{name}'; {there}");
        }

        server.Remove(AddonRequest.ServiceOf(name));
        await attached.EndAsync().ConfigureAwait(false);
        _attached.TryRemove(KeyValuePair.Create<string, Attached?>(name, null));
    }

    public async Task DetachAllAsync()
    {
        foreach (string name in Names)
        {
            try
            {
                await DetachAsync(name).ConfigureAwait(false);
            }
            catch (AddonException)
            {
                // somebody else detached it meanwhile
            }
        }
    }

    private async Task AttachAsync(string name, AddonOptions? options, Func<CancellationToken, Task<(object Target, AddonAssembly? Code)>> make, CancellationToken ct)
    {
        CheckName(name);
        if (!_attached.TryAdd(name, null))
        {
            throw Taken(name);
        }

        options ??= new AddonOptions();
        var context = new AddonContext(node, name, options.Values, loggers.CreateLogger($"GlooX.Addon.{name}"), report);
        Attached? attached = null;
        try
        {
            (object target, AddonAssembly? code) = await make(ct).ConfigureAwait(false);
            attached = new Attached(context, target, code);
            RpcDispatcher dispatcher = target is Delegate handler ? new DelegateDispatcher(handler, context) : RpcRegistry.GetDispatcher(target.GetType());
            if (target is IAddon addon)
            {
                await StartAsync(addon, context, ct).ConfigureAwait(false);
            }

            server.AddDispatcher(dispatcher, target, AddonRequest.ServiceOf(name), new RpcAccess { Roles = options.Roles, Token = options.Token, TokenHash = options.TokenHash });
            _attached[name] = attached;
        }
        catch
        {
            await (attached?.EndAsync() ?? context.EndAsync(s_patience)).ConfigureAwait(false);
            _attached.TryRemove(KeyValuePair.Create<string, Attached?>(name, null));
            throw;
        }
    }

    private static async Task StartAsync(IAddon addon, AddonContext context, CancellationToken ct)
    {
        try
        {
            await addon.StartAsync(context, ct).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException || !ct.IsCancellationRequested)
        {
            throw new AddonException(AddonError.StartFailed, $"the add-on '{context.Name}' was not attached: {e.GetType().Name}: {e.Message}", e);
        }
    }

    /// <summary>An add-on that is there.</summary>
    private sealed class Attached(AddonContext context, object target, AddonAssembly? code)
    {
        private object? _target = target;

        public async Task EndAsync()
        {
            await context.EndAsync(s_patience).ConfigureAwait(false);
            object? own = code is null ? null : _target; // what the caller made is the caller's to dispose
            _target = null;
            try
            {
                if (own is IAsyncDisposable asynchronous)
                {
                    await asynchronous.DisposeAsync().AsTask().WaitAsync(s_patience).ConfigureAwait(false);
                }
                else if (own is IDisposable disposable)
                {
                    disposable.Dispose();
                }
            }
            catch (Exception e)
            {
                context.Fault("dispose", e); // it is detached all the same
            }

            code?.Unload();
        }
    }
}
