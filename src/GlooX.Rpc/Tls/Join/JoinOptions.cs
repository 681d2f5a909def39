using GlooX.Protocol;

namespace GlooX;

/// <summary>What a join token permits. Immutable.</summary>
public sealed record JoinTokenOptions
{
    /// <summary>
    /// The role of the machine that joins: <see cref="RpcRole.Agent"/> (default; its user is a client too, and its agents issue certificates for
    /// their children), <see cref="RpcRole.Client"/>, <see cref="RpcRole.Observer"/>, or <see cref="RpcRole.Admin"/> (a client that may also revoke).
    /// </summary>
    public RpcRole Role { get; init; } = RpcRole.Agent;

    /// <summary>How long the token can be used. Default 15 minutes; at most one day. Anyone who sees the token in that time can join in its place.</summary>
    public TimeSpan ValidFor { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>Host names and addresses for the joining machine's certificate, in addition to those it asks for. Default empty.</summary>
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>Opens the authority's key, if that is locked (<see cref="Identity.LockAuthorityKey"/>). Null (default): it is not locked.</summary>
    public string? Passphrase { get; init; }
}

/// <summary>Settings of <see cref="Identity.JoinAsync"/>. Immutable.</summary>
public sealed record JoinOptions
{
    /// <summary>Host names and addresses by which this machine's agents are reached, in addition to its own. Default empty.</summary>
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>
    /// Whether to join even though this machine's own authority has issued certificates for other machines. Default false. Replaced files are kept
    /// in a folder beside the store.
    /// </summary>
    public bool Replace { get; init; }

    /// <summary>The host, address or node that the agent's certificate must carry. Null (default): the host of the URL.</summary>
    public string? ServerName { get; init; }

    /// <summary>How long joining may take. Default 30 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>The outcome of <see cref="Identity.JoinAsync"/>.</summary>
public sealed class JoinResult
{
    internal JoinResult(Identity identity, IReadOnlyList<string> withheldNames) => (Identity, WithheldNames) = (identity, withheldNames);

    /// <summary>The identity of this machine now.</summary>
    public Identity Identity { get; }

    /// <summary>Names and addresses that were asked for and not granted, because they belong to another node.</summary>
    public IReadOnlyList<string> WithheldNames { get; }
}

/// <summary>Why joining failed.</summary>
public enum JoinFailure
{
    /// <summary>Joining did not fail.</summary>
    None = 0,

    /// <summary>The text is no token, or part of one.</summary>
    MalformedToken = 1,

    /// <summary>The token was used already, or the agent never knew it.</summary>
    UnknownToken = 2,

    /// <summary>The token has expired.</summary>
    ExpiredToken = 3,

    /// <summary>The agent belongs to another authority than the token, or is not the one that was dialled. The token was not sent.</summary>
    WrongAuthority = 4,

    /// <summary>Too many attempts failed.</summary>
    TooManyAttempts = 5,

    /// <summary>The agent does not hold its authority's key, so it cannot issue certificates.</summary>
    NoAuthority = 6,

    /// <summary>The agent does not grant what was requested.</summary>
    Refused = 7,

    /// <summary>A message was malformed or of another version.</summary>
    Protocol = 8,

    /// <summary>This machine's own store prevents joining; see <see cref="JoinOptions.Replace"/>.</summary>
    OwnAuthority = 9,
}

/// <summary>A machine could not join. <see cref="Failure"/> says why.</summary>
public sealed class JoinException : GlooXException
{
    internal JoinException(JoinFailure failure, string message, Exception? inner = null)
        : base(message, inner) => Failure = failure;

    /// <summary>Why joining failed.</summary>
    public JoinFailure Failure { get; }
}
