using GlooX.Slots;

namespace GlooX;

/// <summary>
/// What one process of a class needs. An agent reserves it before it starts the process and gives it back when the process is gone.
/// Immutable; safe from any thread.
/// </summary>
public sealed record Provision
{
    /// <summary>States a need in words.</summary>
    /// <param name="memory">Memory, for example <c>512MB</c>; <c>0</c> if it does not matter. See <see cref="ByteSize"/>.</param>
    /// <param name="disk">Disk, for example <c>1.5 GiB</c>; <c>0</c> if it does not matter.</param>
    /// <exception cref="ArgumentNullException">One of the sizes is null.</exception>
    /// <exception cref="FormatException">One of the sizes is negative, too large or no size; the message names it.</exception>
    public Provision(string memory, string disk) : this(ByteSize.Parse(memory), ByteSize.Parse(disk))
    {
    }

    private Provision(long memoryBytes, long diskBytes)
    {
        MemoryBytes = memoryBytes;
        DiskBytes = diskBytes;
    }

    /// <summary>Needs nothing that is counted: fits everywhere, always.</summary>
    public static Provision None { get; } = new(0, 0);

    /// <summary>Memory in bytes; 0 (default) means that memory does not limit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to a negative value.</exception>
    public long MemoryBytes { get; init => field = NotNegative(value, nameof(MemoryBytes)); }

    /// <summary>Disk in bytes; 0 (default) means that disk does not limit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to a negative value.</exception>
    public long DiskBytes { get; init => field = NotNegative(value, nameof(DiskBytes)); }

    /// <summary>Processor cores, whole or fractional; 0 (default) means that cores do not limit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to a negative or too large value, or one with more than four decimal places.</exception>
    public decimal Cores
    {
        get;
        init => field = ResourceAmounts.Complaint(ResourceAmounts.Cores, value) is { } complaint
            ? throw new ArgumentOutOfRangeException(nameof(Cores), value, complaint)
            : value;
    }

    /// <summary>What else is needed, by names that the agents know: <c>[new("gpu", 1)]</c>. An agent that knows no such name has none.</summary>
    /// <exception cref="ArgumentException">Set to resources that name <c>cores</c>: that is <see cref="Cores"/>.</exception>
    public ResourceAmounts Resources
    {
        get;
        init => field = value is not null && value[ResourceAmounts.Cores] == 0
            ? value
            : throw new ArgumentException("The resources of a provision must not be null and not name 'cores'. Set Cores instead.", nameof(Resources));
    } = ResourceAmounts.None;

    /// <summary>How many processes of its <see cref="Kind"/> a node runs at most; null (default): as many as fit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to less than 1.</exception>
    public int? MaxPerNode
    {
        get;
        init => field = value is null or >= 1
            ? value
            : throw new ArgumentOutOfRangeException(nameof(MaxPerNode), value, $"{value} per node would run nowhere. Valid are 1 and more, and null for as many as fit.");
    }

    /// <summary>What counts as one kind for <see cref="MaxPerNode"/>. Empty (default): a spawn takes the name of its class, or of the executable.</summary>
    /// <exception cref="ArgumentNullException">Set to null.</exception>
    public string Kind { get; init => field = value ?? throw new ArgumentNullException(nameof(Kind)); } = "";

    /// <summary>All that is counted in amounts: <see cref="Resources"/>, and <see cref="Cores"/> by the name <c>cores</c>.</summary>
    public ResourceAmounts Amounts => Cores == 0 ? Resources : ResourceAmounts.Create([new(ResourceAmounts.Cores, Cores)]).With(Resources);

    /// <summary>States a need in numbers.</summary>
    /// <param name="memory">Memory in bytes.</param>
    /// <param name="disk">Disk in bytes.</param>
    /// <returns>The provision.</returns>
    /// <exception cref="ArgumentOutOfRangeException">One of them is negative; the message names it.</exception>
    public static Provision FromBytes(long memory, long disk) => new(memory, disk);

    /// <summary>States a need in numbers.</summary>
    /// <param name="memory">Memory in bytes.</param>
    /// <param name="disk">Disk in bytes.</param>
    /// <param name="amounts">As <see cref="Amounts"/>: <c>cores</c> may be among them.</param>
    /// <returns>The provision.</returns>
    /// <exception cref="ArgumentException">One of them is negative, or otherwise invalid; the message names it.</exception>
    public static Provision FromBytes(long memory, long disk, IEnumerable<KeyValuePair<string, decimal>> amounts)
    {
        var all = ResourceAmounts.From(amounts);
        return new Provision(memory, disk)
        {
            Cores = all[ResourceAmounts.Cores],
            Resources = ResourceAmounts.From(all.Where(a => a.Key != ResourceAmounts.Cores)),
        };
    }

    /// <summary>For people.</summary>
    /// <returns>For example <c>1 GB memory, 500 MB disk, 0.5 cores, 1 gpu, at most 2 per node</c>.</returns>
    public override string ToString() =>
        string.Join(", ", [$"{ByteSize.Format(MemoryBytes)} memory", $"{ByteSize.Format(DiskBytes)} disk", .. Amounts.Select(a => $"{ResourceAmounts.Format(a.Value)} {a.Key}"), .. MaxPerNode is { } most ? [$"at most {most} per node"] : Array.Empty<string>()]);

    internal static long NotNegative(long bytes, string name) => bytes >= 0
        ? bytes
        : throw new ArgumentOutOfRangeException(
            name, bytes, $"{bytes} bytes is negative. Valid are 0 and more, for example: 1048576 (1 MiB), 1000000000 (1 GB).");
}

/// <summary>
/// Says on a class what each process of it needs: <c>[Provision(Memory = "1GB", Disk = "1GB")]</c>.
/// Agents read it from the assembly's metadata without running any of its code.
/// </summary>
/// <remarks>
/// Inherited: a class without the attribute has that of its nearest base class. A class with the attribute has its own as a whole;
/// what it leaves out is not taken from the base class. The values are checked when they are read, not when they are compiled:
/// an invalid one makes the spawn fail with a <see cref="PayloadException"/>.
/// </remarks>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ProvisionAttribute : Attribute
{
    /// <summary>Memory, for example <c>512MB</c>; null (default) means that memory does not limit. See <see cref="ByteSize"/>.</summary>
    public string? Memory { get; set; }

    /// <summary>Disk, for example <c>1.5 GiB</c>; null (default) means that disk does not limit.</summary>
    public string? Disk { get; set; }

    /// <summary>Processor cores, for example <c>2</c> or <c>0.5</c>; 0 (default) means that cores do not limit.</summary>
    public double Cores { get; set; }

    /// <summary>What else is needed, for example <c>gpu=1, licence.matlab=0.5</c>; null (default): nothing. See <see cref="ResourceAmounts"/>.</summary>
    public string? Resources { get; set; }

    /// <summary>How many processes of the class a node runs at most; left out (default): as many as fit.</summary>
    public int MaxPerNode { get; set; }
}
