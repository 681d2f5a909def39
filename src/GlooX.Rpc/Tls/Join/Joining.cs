using GlooX.Protocol;

namespace GlooX;

/// <summary>What a token for joining is good for. Immutable.</summary>
public sealed record JoinTokenOptions
{
    /// <summary>
    /// What the machine that joins may be: <see cref="RpcRole.Agent"/> (default; its user is a client too and its agents make certificates for
    /// their children), <see cref="RpcRole.Client"/> or <see cref="RpcRole.Observer"/>.
    /// </summary>
    public RpcRole Role { get; init; } = RpcRole.Agent;

    /// <summary>How long the token can be used. Default 15 minutes; at most a day. Who sees it in that time can join in its place.</summary>
    public TimeSpan ValidFor { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>Host names and addresses for the joining machine's certificate, beside those that it says it has.</summary>
    public IReadOnlyList<string> Names { get; init; } = [];
}

/// <summary>How a machine joins. Immutable.</summary>
public sealed record JoinOptions
{
    /// <summary>Host names and addresses, beside this machine's own, by which its agents are reached.</summary>
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>
    /// Whether a store whose authority has made certificates for other machines is given up for the new one. Default false. Files that are
    /// replaced are kept in a folder beside them.
    /// </summary>
    public bool Replace { get; init; }

    /// <summary>The host, address or node that the agent's certificate must carry. Null (default): the host that is dialled.</summary>
    public string? ServerName { get; init; }

    /// <summary>How long joining may take. Default 30 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>What came of joining.</summary>
/// <param name="Identity">The identity of this machine now.</param>
/// <param name="WithheldNames">Names and addresses that were asked for and not given, since they are another node's.</param>
public sealed record JoinResult(Identity Identity, IReadOnlyList<string> WithheldNames);

/// <summary>Why joining failed.</summary>
public enum JoinFailure
{
    /// <summary>It did not.</summary>
    None = 0,

    /// <summary>The text is no token, or not all of one.</summary>
    MalformedToken = 1,

    /// <summary>The token was used already, or it was never known where it was shown.</summary>
    UnknownToken = 2,

    /// <summary>The token was not used in time.</summary>
    ExpiredToken = 3,

    /// <summary>The agent is of another authority than the token, or not the one that was dialled; the token was not sent.</summary>
    WrongAuthority = 4,

    /// <summary>Too many attempts failed.</summary>
    TooManyAttempts = 5,

    /// <summary>The agent does not hold its authority's key.</summary>
    NoAuthority = 6,

    /// <summary>What was asked for is not given.</summary>
    Refused = 7,

    /// <summary>A message was malformed or of another version.</summary>
    Protocol = 8,

    /// <summary>This machine's own store stands in the way.</summary>
    OwnAuthority = 9,
}

/// <summary>A machine could not join. <see cref="Failure"/> says why.</summary>
public sealed class JoinException : GlooXException
{
    internal JoinException(JoinFailure failure, string message, Exception? inner = null)
        : base(message, inner) => Failure = failure;

    /// <summary>Why.</summary>
    public JoinFailure Failure { get; }
}
