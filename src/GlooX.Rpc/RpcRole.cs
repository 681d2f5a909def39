namespace GlooX;

/// <summary>
/// What a process may do, as its certificate says: a URI <c>gloox://role/agent</c> (client, child, observer) among its subject alternative
/// names, one for each role. A certificate of your own authority that carries no such URI has all roles.
/// </summary>
[Flags]
public enum RpcRole
{
    /// <summary>Nothing: only roles that this version does not know.</summary>
    None = 0,

    /// <summary>May look: how nodes are and what runs.</summary>
    Observer = 1,

    /// <summary>A spawned process: may look, and call services that admit it. It cannot spawn.</summary>
    Child = 2,

    /// <summary>A user: may spawn and kill, which is to run code.</summary>
    Client = 4,

    /// <summary>A member of the grid.</summary>
    Agent = 8,

    /// <summary>All of them.</summary>
    Any = Observer | Child | Client | Agent,
}
