namespace GlooX;

/// <summary>Which of the nodes that have room a process goes to.</summary>
public enum PlacementStrategy
{
    /// <summary>Spread: the node with the most room, counted in further processes of the kind, times its weight. The default.</summary>
    Horizontal = 0,

    /// <summary>Fill up: the node that is used most and still has room, so that others stay free.</summary>
    Vertical = 1,

    /// <summary>The agent that is asked, and no other.</summary>
    Direct = 2,
}
