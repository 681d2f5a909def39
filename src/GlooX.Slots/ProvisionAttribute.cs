namespace GlooX;

/// <summary>
/// States on a class what each process of it needs: <c>[Provision(Memory = "1GB", Disk = "1GB")]</c>.
/// Agents read it from the assembly's metadata without running the code.
/// </summary>
/// <remarks>
/// Inherited: a class without the attribute has that of its nearest base class. An attribute applies as a whole: what it leaves out is
/// not taken from a base class. The values are checked when the class is spawned, not when it is compiled: a spawn with an invalid
/// value fails.
/// </remarks>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ProvisionAttribute : Attribute
{
    /// <summary>Memory, for example <c>512MB</c>; null (default) when memory does not limit. See <see cref="ByteSize"/>.</summary>
    public string? Memory { get; set; }

    /// <summary>Disk, for example <c>1.5 GiB</c>; null (default) when disk does not limit.</summary>
    public string? Disk { get; set; }

    /// <summary>Processor cores, for example <c>2</c> or <c>0.5</c>; 0 (default) when cores do not limit.</summary>
    public double Cores { get; set; }

    /// <summary>
    /// Named resources, for example <c>gpu=1, licence.matlab=0.5</c>; null (default) for none. See <see cref="ResourceAmounts"/>.
    /// </summary>
    public string? Resources { get; set; }

    /// <summary>The most processes of the class on one node. Default: as many as fit.</summary>
    public int MaxPerNode { get; set; }
}
