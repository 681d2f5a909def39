using GlooX.Workers;

namespace GlooX;

/// <summary>What a process is held to of what it reserved, and by whom. See <c>docs/slots.md</c>.</summary>
[Flags]
public enum Enforcement
{
    /// <summary>Nothing: it is trusted to take no more than it reserved.</summary>
    None = 0,

    /// <summary>
    /// The runtime refuses its heap more than three quarters of its memory: <see cref="OutOfMemoryException"/> inside of it. From 64 MB on,
    /// for the runtime alone takes more than less.
    /// </summary>
    HeapLimit = 1,

    /// <summary>The kernel kills it, with all that it started, when together they take more memory than it reserved.</summary>
    MemoryGroup = 2,

    /// <summary>The kernel gives it no more processor time than its cores.</summary>
    CpuGroup = 4,

    /// <summary>
    /// The agent kills it when its folder (<see cref="ProcessOptions.TmpDir"/>) holds more than the disk that it reserved; looks every
    /// second.
    /// </summary>
    DiskWatch = 8,
}
