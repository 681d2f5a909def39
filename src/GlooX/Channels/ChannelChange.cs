using System.Runtime.InteropServices;

namespace GlooX;

/// <summary>Which keys of a channel. A string stands for that one key.</summary>
[StructLayout(LayoutKind.Auto)]
public readonly record struct Keys
{
    private readonly string? _text;
    private readonly bool _isPrefix;

    private Keys(string text, bool isPrefix)
    {
        ArgumentNullException.ThrowIfNull(text);
        (_text, _isPrefix) = (text, isPrefix);
    }

    /// <summary>All of them; the default.</summary>
    public static Keys All => default;

    /// <summary>That key alone.</summary>
    /// <param name="key">The key.</param>
    public static implicit operator Keys(string key) => FromString(key);

    /// <summary>That key alone.</summary>
    /// <param name="key">The key.</param>
    /// <returns>It alone.</returns>
    public static Keys FromString(string key) => new(key, isPrefix: false);

    /// <summary>Those that begin with a text, compared ordinally.</summary>
    /// <param name="prefix">The text.</param>
    /// <returns>Those keys.</returns>
    public static Keys StartingWith(string prefix) => new(prefix, isPrefix: true);

    /// <summary>Whether a key is among them.</summary>
    /// <param name="key">The key.</param>
    /// <returns>Whether it is.</returns>
    public bool Contains(string key) => _text is null || (_isPrefix ? key.StartsWith(_text, StringComparison.Ordinal) : key == _text);

    /// <summary>The one key that it stands for; null: it stands for more.</summary>
    internal string? Single => _isPrefix ? null : _text;

    internal string? Text => _text;

    internal bool IsPrefix => _isPrefix;

    internal static Keys Of(string? text, bool isPrefix) => text is null ? All : new Keys(text, isPrefix);
}

/// <summary>Which write a key holds. Two are equal if they are the same write, on whichever node; default: none.</summary>
/// <param name="Time">Of the hybrid logical clock.</param>
/// <param name="Node">The process that wrote.</param>
public readonly record struct ChannelVersion(ulong Time, ulong Node);

/// <summary>A change of a channel.</summary>
/// <typeparam name="T">The type of its values.</typeparam>
/// <param name="Key">The key.</param>
/// <param name="IsDelete">Whether it was deleted; else it was set.</param>
/// <param name="Value">The value that was set; with a deletion the one that was there.</param>
/// <param name="Version">The write.</param>
public readonly record struct ChannelChange<T>(string Key, bool IsDelete, T? Value, ChannelVersion Version);
