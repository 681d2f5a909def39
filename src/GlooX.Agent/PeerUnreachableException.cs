namespace GlooX;

/// <summary>An agent could not join a grid: its peers did not answer, or not in time.</summary>
public sealed class PeerUnreachableException : GlooXException
{
    internal PeerUnreachableException(string url, IReadOnlyList<string> peers, string why)
        : base($"the agent {url} cannot join a grid: {why}. Start the peer first, correct its URL, or set AgentOptions.RequirePeer to false to have it joined when it appears", null)
    {
        Url = url;
        Peers = peers;
    }

    /// <summary>The agent that wanted to join.</summary>
    public string Url { get; }

    /// <summary>The peers that it tried.</summary>
    public IReadOnlyList<string> Peers { get; }
}
