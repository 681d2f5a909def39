namespace GlooX;

/// <summary>Why something could not be done with a channel.</summary>
public enum ChannelError
{
    /// <summary>There is no channel of that name, or it was removed.</summary>
    NotFound,

    /// <summary>The channel exists with other options.</summary>
    OptionsDiffer,

    /// <summary>The key is empty, too long, or no text that UTF-8 can carry.</summary>
    BadKey,

    /// <summary>The value is larger than the channel allows.</summary>
    ValueTooLarge,

    /// <summary>The channel has as many entries, or bytes, as it may.</summary>
    Full,

    /// <summary>The key holds a counter and a value was to be set, or the other way around.</summary>
    WrongKind,

    /// <summary>Not enough others have confirmed the write in time. It was made here and may reach them yet.</summary>
    NotAcknowledged,

    /// <summary>The disk did not take the write. It was made in memory.</summary>
    NotStored,

    /// <summary>The built-in channel cannot be created or removed.</summary>
    BuiltIn,
}

/// <summary>Something could not be done with a channel. <see cref="Code"/> says why.</summary>
public sealed class ChannelException : GlooXException
{
    internal ChannelException(ChannelError code, string channel, string message, Exception? inner = null)
        : base($"channel '{channel}': {message}", inner)
    {
        Code = code;
        Channel = channel;
        Detail = message;
    }

    /// <summary>The message without the channel's name.</summary>
    internal string Detail { get; }

    /// <summary>Why.</summary>
    public ChannelError Code { get; }

    /// <summary>The channel's name.</summary>
    public string Channel { get; }
}
