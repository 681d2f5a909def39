namespace GlooX.Contracts;

/// <summary>What a client asks of a node. The token travels and is kept as its hash alone.</summary>
internal sealed record AddonRequest(string Name, AddonSource Source, Dictionary<string, string> Values, RpcRole Roles, string? TokenHash)
{
    /// <summary>The method by which an add-on that is a delegate is called.</summary>
    public const string DelegateMethod = "call";

    /// <summary>How the names of add-ons' services begin.</summary>
    public const string ServicePrefix = "addon.";

    /// <summary>The name of an add-on's service, and of its channel.</summary>
    public static string ServiceOf(string name) => ServicePrefix + name;

    public static AddonRequest Of(string name, AddonSource source, AddonOptions? options)
    {
        options ??= new AddonOptions();
        return new(name, source, new(options.Values, StringComparer.Ordinal), options.Roles, options.TokenHash ?? (options.Token is { } token ? RpcAccess.HashOf(token) : null));
    }

    public AddonOptions ToOptions() => new() { Values = Values, Roles = Roles, TokenHash = TokenHash };
}

/// <summary>What came of it.</summary>
internal sealed record AddonReply(AddonError Error, string Message)
{
    public static async ValueTask<AddonReply> OfAsync(Func<Task> work)
    {
        try
        {
            await work().ConfigureAwait(false);
            return new(AddonError.None, "");
        }
        catch (AddonException e)
        {
            return new(e.Error, e.Message);
        }
    }

    /// <exception cref="AddonException">It failed.</exception>
    public void Check()
    {
        if (Error != AddonError.None)
        {
            throw new AddonException(Error, Message);
        }
    }
}
