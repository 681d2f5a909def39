namespace GlooX.Trust;

/// <summary>Whom an agent believes what about revoked certificates. Pure.</summary>
/// <remarks>
/// An agent speaks for itself alone: its word is kept under the node in its certificate. So a hostile agent fills nobody's account but its own, and
/// takes nobody's revocation back. It can revoke other nodes, until an admin allows them again; never the node that holds the authority's key.
/// </remarks>
internal static class RevocationRule
{
    /// <summary>How many targets one agent may have said something of. More than anybody revokes by hand.</summary>
    public const int MaxOfAgent = 1_000;

    /// <summary>As <see cref="MaxOfAgent"/>, for the node that holds the authority's key: it knows what was issued.</summary>
    public const int MaxOfAdmin = 10_000;

    /// <summary>What is believed of what an agent says.</summary>
    /// <param name="said">Lines of <see cref="Revocation.ToString"/>; whom they name as revoker does not count.</param>
    /// <param name="teller">The node in the agent's certificate.</param>
    /// <param name="isAdmin">Whether the certificate has the role admin.</param>
    /// <param name="known">What is known already.</param>
    /// <param name="issuerNode">The node that holds the authority's key; null: the authority is not of GlooX.</param>
    /// <param name="isIssued">Whether a node has certificates of the authority; true where that is not known.</param>
    /// <exception cref="ArgumentException">A line is malformed.</exception>
    public static IReadOnlyList<Revocation> Believed(
        IEnumerable<string> said, string teller, bool isAdmin, IReadOnlyList<Revocation> known, string? issuerNode, Func<string, bool> isIssued)
    {
        HashSet<string> account = known.Where(r => r.By == teller).Select(r => r.Target).ToHashSet(StringComparer.Ordinal);
        int room = isAdmin ? MaxOfAdmin : MaxOfAgent;
        return
        [
            .. said.Select(Revocation.Parse)
                .Select(r => r with { By = teller, ByAdmin = isAdmin })
                .Where(r => r.Node is { } node ? node != issuerNode && isIssued(node) : isAdmin || issuerNode is null)
                .Where(r => account.Contains(r.Target) || (account.Count < room && account.Add(r.Target))),
        ];
    }
}
