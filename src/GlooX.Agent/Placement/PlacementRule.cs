using GlooX.Slots;
using System.Globalization;

namespace GlooX.Placement;

/// <summary>
/// Where a process goes: feasible, then rank. Pure; the chosen node's ledger has the last word, and the next-best is asked after it.
/// The shape is that of Nomad's scheduler (feasible, rank, select), where the reasons against a node are part of the result.
/// </summary>
internal static class PlacementRule
{
    /// <param name="nodes">All nodes as last heard.</param>
    /// <param name="self">The node id of the agent that is asked.</param>
    /// <param name="need">What the process needs.</param>
    /// <param name="strategy">How to choose.</param>
    /// <param name="refusals">For each node that is out, why.</param>
    /// <returns>The nodes to ask, best first.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No such strategy.</exception>
    public static IReadOnlyList<NodeInfo> Rank(
        IEnumerable<NodeInfo> nodes, string self, Provision need, PlacementStrategy strategy, out List<string> refusals)
    {
        refusals = [];
        List<NodeInfo> feasible = [];
        foreach (NodeInfo node in nodes.Where(n => strategy != PlacementStrategy.Direct || n.NodeId == self))
        {
            if (node.State == NodeState.Draining)
            {
                refusals.Add($"{node.Url} is draining");
            }
            else if (Missing(node, need) is { } missing)
            {
                refusals.Add($"{node.Url} {missing}");
            }
            else
            {
                feasible.Add(node);
            }
        }

        IOrderedEnumerable<NodeInfo> ranked = strategy switch
        {
            PlacementStrategy.Horizontal => feasible.OrderByDescending(n => Slots(n, need) * n.Weight)
                .ThenByDescending(n => (1 - n.Utilization) * n.Weight),
            PlacementStrategy.Vertical => feasible.OrderByDescending(n => n.Utilization * n.Weight).ThenBy(n => Slots(n, need)),
            PlacementStrategy.Direct => feasible.Order(Comparer<NodeInfo>.Create((_, _) => 0)),
            _ => throw new ArgumentOutOfRangeException(
                nameof(strategy), strategy,
                $"there is no such strategy; there are {string.Join(", ", Enum.GetNames<PlacementStrategy>())}"),
        };
        return [.. ranked.ThenBy(n => n.Url, StringComparer.Ordinal)];
    }

    private static string? Missing(NodeInfo node, Provision need)
    {
        List<string> missing = [.. need.Amounts.Where(a => a.Value > Free(node, a.Key)).Select(a => string.Create(
            CultureInfo.InvariantCulture, $"has {Free(node, a.Key):0.####} {a.Key} free of the {a.Value:0.####} needed"))];
        if (node.FreeSlots <= 0)
        {
            missing.Add("has no slot free");
        }

        string? memory = need.MemoryBytes > node.FreeMemoryBytes
            ? $"has {ByteSize.Format(node.FreeMemoryBytes)} memory free of the {ByteSize.Format(need.MemoryBytes)} needed" : null;
        string? disk = need.DiskBytes > node.FreeDiskBytes
            ? $"has {ByteSize.Format(node.FreeDiskBytes)} disk free of the {ByteSize.Format(need.DiskBytes)} needed" : null;
        missing.InsertRange(0, ((string?[])[memory, disk]).OfType<string>());
        return missing.Count == 0 ? null : string.Join(" and ", missing);
    }

    private static decimal Free(NodeInfo node, string resource) => node.FreeResources.GetValueOrDefault(resource);

    // How many more of the kind would fit; where nothing is needed, all nodes are the same and utilization decides.
    private static double Slots(NodeInfo node, Provision need) => Math.Min(
        Math.Min(
            need.MemoryBytes == 0 ? int.MaxValue : (double)node.FreeMemoryBytes / need.MemoryBytes,
            need.DiskBytes == 0 ? int.MaxValue : (double)node.FreeDiskBytes / need.DiskBytes),
        need.Amounts.Select(a => (double)(Free(node, a.Key) / a.Value)).Append(node.FreeSlots).Min());
}
