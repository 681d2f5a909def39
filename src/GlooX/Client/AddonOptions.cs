namespace GlooX;

/// <summary>How an add-on is attached. Immutable.</summary>
public sealed record AddonOptions
{
    /// <summary>The add-on's own settings, which it finds in its <c>AddonContext.Options</c>.</summary>
    public IReadOnlyDictionary<string, string> Values { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Who may call it. Default: agents, clients and children.</summary>
    public RpcRole Roles { get; init; } = RpcRole.Agent | RpcRole.Client | RpcRole.Child;

    /// <summary>
    /// A secret that callers must give beside their certificate, in <see cref="RpcClientOptions.Tokens"/> under <c>addon.NAME</c>. A
    /// <see cref="GlooXClient"/> sends it to agents only. Null (default): none.
    /// </summary>
    public string? Token { get; init; }

    /// <summary>In place of <see cref="Token"/>, where only its hash is known.</summary>
    internal string? TokenHash { get; init; }
}

/// <summary>Where the code of an add-on lies. Immutable.</summary>
/// <param name="Path">A <c>.cs</c> file, built on first use, or a <c>.dll</c>; on the machine of the node that loads it.</param>
/// <param name="Class">The class, with or without its namespace. Null: the only one that can be called.</param>
public sealed record AddonSource(string Path, string? Class = null);

/// <summary>An add-on that an agent has from its start; see <c>AgentOptions.Addons</c>. Immutable.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Source">Where its code lies.</param>
/// <param name="Options">Null: the defaults.</param>
public sealed record AddonSpec(string Name, AddonSource Source, AddonOptions? Options = null);
