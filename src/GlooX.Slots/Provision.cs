namespace GlooX;

/// <summary>
/// What one process needs. An agent reserves it before it starts the process and releases it when the process has ended.
/// Immutable and thread-safe.
/// </summary>
public sealed record Provision
{
    /// <summary>Creates a provision from sizes in text.</summary>
    /// <param name="memory">Memory, for example <c>512MB</c>; <c>0</c> when memory does not limit. See <see cref="ByteSize"/>.</param>
    /// <param name="disk">Disk, for example <c>1.5 GiB</c>; <c>0</c> when disk does not limit.</param>
    /// <exception cref="ArgumentNullException">A size is null.</exception>
    /// <exception cref="FormatException">A size is negative, too large or not a size; the message names it.</exception>
    public Provision(string memory, string disk) : this(ByteSize.Parse(memory), ByteSize.Parse(disk))
    {
    }

    private Provision(long memoryBytes, long diskBytes)
    {
        MemoryBytes = memoryBytes;
        DiskBytes = diskBytes;
    }

    /// <summary>The provision of a process that needs nothing that is counted: it always fits.</summary>
    public static Provision None { get; } = new(0, 0);

    /// <summary>Memory in bytes; 0 (default) when memory does not limit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative.</exception>
    public long MemoryBytes { get; init => field = NotNegative(value, nameof(MemoryBytes)); }

    /// <summary>Disk in bytes; 0 (default) when disk does not limit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative.</exception>
    public long DiskBytes { get; init => field = NotNegative(value, nameof(DiskBytes)); }

    /// <summary>Processor cores, whole or fractional; 0 (default) when cores do not limit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative, too large, or has more than four decimal places.</exception>
    public decimal Cores
    {
        get;
        init => field = ResourceAmounts.Complaint(ResourceAmounts.Cores, value) is { } complaint
            ? throw new ArgumentOutOfRangeException(nameof(Cores), value, complaint)
            : value;
    }

    /// <summary>Named resources, for example <c>[new("gpu", 1)]</c>. An agent has only the resources that it names itself.</summary>
    /// <exception cref="ArgumentException">The value is null or names <c>cores</c>; set <see cref="Cores"/> instead.</exception>
    public ResourceAmounts Resources
    {
        get;
        init => field = value is not null && value[ResourceAmounts.Cores] == 0
            ? value
            : throw new ArgumentException(
                "The resources of a provision must not be null and not name 'cores'. Set Cores instead.", nameof(Resources));
    } = ResourceAmounts.None;

    /// <summary>The most processes of this <see cref="Kind"/> on one node; null (default) for as many as fit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is less than 1.</exception>
    public int? MaxPerNode
    {
        get;
        init => field = value is null or >= 1
            ? value
            : throw new ArgumentOutOfRangeException(
                nameof(MaxPerNode), value, $"{value} processes per node is too few. Valid are 1 and more, and null for as many as fit.");
    }

    /// <summary>
    /// The processes that <see cref="MaxPerNode"/> counts together. Default: empty, for the name of the class or the executable.
    /// </summary>
    /// <exception cref="ArgumentNullException">The value is null.</exception>
    public string Kind { get; init => field = value ?? throw new ArgumentNullException(nameof(Kind)); } = "";

    /// <summary>All amounts: <see cref="Resources"/>, and <see cref="Cores"/> under the name <c>cores</c>.</summary>
    public ResourceAmounts Amounts => Cores == 0
        ? Resources
        : ResourceAmounts.Create([new(ResourceAmounts.Cores, Cores)]).With(Resources);

    /// <summary>Creates a provision from numbers.</summary>
    /// <param name="memory">Memory in bytes.</param>
    /// <param name="disk">Disk in bytes.</param>
    /// <returns>The provision.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A value is negative.</exception>
    public static Provision FromBytes(long memory, long disk) => new(memory, disk);

    /// <summary>Creates a provision from numbers.</summary>
    /// <param name="memory">Memory in bytes.</param>
    /// <param name="disk">Disk in bytes.</param>
    /// <param name="amounts">Named resources, which may include <c>cores</c>.</param>
    /// <returns>The provision.</returns>
    /// <exception cref="ArgumentException">A value is negative or otherwise invalid; the message names it.</exception>
    public static Provision FromBytes(long memory, long disk, IEnumerable<KeyValuePair<string, decimal>> amounts)
    {
        var all = ResourceAmounts.From(amounts);
        return new Provision(memory, disk)
        {
            Cores = all[ResourceAmounts.Cores],
            Resources = ResourceAmounts.From(all.Where(a => a.Key != ResourceAmounts.Cores)),
        };
    }

    /// <summary>A description to display.</summary>
    /// <returns>For example <c>1 GB memory, 500 MB disk, 0.5 cores, 1 gpu, at most 2 per node</c>.</returns>
    public override string ToString() => string.Join(", ",
    [
        $"{ByteSize.Format(MemoryBytes)} memory",
        $"{ByteSize.Format(DiskBytes)} disk",
        .. Amounts.Select(a => $"{ResourceAmounts.Format(a.Value)} {a.Key}"),
        .. MaxPerNode is { } most ? [$"at most {most} per node"] : Array.Empty<string>(),
    ]);

    internal static long NotNegative(long bytes, string name) => bytes >= 0
        ? bytes
        : throw new ArgumentOutOfRangeException(
            name, bytes, $"{bytes} bytes is negative. Valid are 0 and more, for example: 1048576 (1 MiB), 1000000000 (1 GB).");
}
