namespace GlooX;

/// <summary>
/// The rights of a process, as its certificate states them: a URI <c>gloox://role/agent</c> (or client, child, observer, admin) for each role among
/// its subject alternative names. A certificate of your own authority without such a URI has all roles.
/// </summary>
[Flags]
public enum RpcRole
{
    /// <summary>No right, or only roles that this version does not know.</summary>
    None = 0,

    /// <summary>May read the state of nodes and processes.</summary>
    Observer = 1,

    /// <summary>A spawned process: may read state, and call services that admit this role. It cannot spawn.</summary>
    Child = 2,

    /// <summary>A user: may spawn and kill, that is, run code on the nodes.</summary>
    Client = 4,

    /// <summary>A member of the grid.</summary>
    Agent = 8,

    /// <summary>May revoke certificates, and allow them again. The machine that holds the authority's key has this role.</summary>
    Admin = 16,

    /// <summary>All roles.</summary>
    Any = Observer | Child | Client | Agent | Admin,
}
