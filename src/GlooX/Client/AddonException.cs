namespace GlooX;

/// <summary>Why an add-on cannot be attached or detached.</summary>
public enum AddonError
{
    /// <summary>Nothing is wrong.</summary>
    None = 0,

    /// <summary>Another add-on of the node has that name.</summary>
    NameTaken = 1,

    /// <summary>The node has no add-on of that name.</summary>
    UnknownName = 2,

    /// <summary>The name is empty, too long or has other characters than letters, digits, dot, dash and underscore.</summary>
    BadName = 3,

    /// <summary>The file is missing, does not compile, is no assembly, or has no class that can be an add-on.</summary>
    BadSource = 4,

    /// <summary>The add-on's own start failed.</summary>
    StartFailed = 5,
}

/// <summary>An add-on cannot be attached or detached; nothing was changed.</summary>
public sealed class AddonException : GlooXException
{
    internal AddonException(AddonError error, string message, Exception? inner = null)
        : base(message, inner) => Error = error;

    /// <summary>Why.</summary>
    public AddonError Error { get; }
}
