using System.Text.Json;
using System.Text.Json.Serialization;

namespace GlooX.Slots;

/// <summary>
/// What an agent writes down of a process that outlives it, so that the agent which comes after it can take the process over: enough to find
/// it, to tell it from another that has got its process id meanwhile, and to give its reservation back when it ends. Immutable.
/// </summary>
internal sealed record ReservationRecord
{
    /// <summary>Names the process at its agent: 1 to 60 letters, digits, dashes and underscores.</summary>
    public required string Id { get; init; }

    /// <summary>Its process id.</summary>
    public required int Pid { get; init; }

    /// <summary>Who it is beside its process id, which the system gives out again.</summary>
    public required ProcessStamp Stamp { get; init; }

    /// <summary>The class that it serves, or the executable that it is.</summary>
    public required string Class { get; init; }

    /// <summary>What was reserved for it.</summary>
    public required Provision Provision { get; init; }

    /// <summary>Where it answers; empty until it does, and for an executable.</summary>
    public string Url { get; init; } = "";

    /// <summary>Whether it was started as it should be, so that somebody may know of it.</summary>
    public bool Ready { get; init; }

    /// <summary>Where its output goes; empty: nowhere.</summary>
    public string LogFile { get; init; } = "";

    /// <summary>Its own folder, to be removed after it has ended; empty: it has none.</summary>
    public string Folder { get; init; } = "";

    /// <summary>Whether its folder stays when it has ended.</summary>
    public bool KeepFolder { get; init; }

    /// <summary>When it was spawned.</summary>
    public DateTimeOffset Started { get; init; }

    /// <summary>Whether the process still runs, and is the one that was written down.</summary>
    /// <param name="machine">Where to look.</param>
    /// <returns>False if it has ended, whoever has its process id now.</returns>
    public bool Runs(IMachine machine)
    {
        ArgumentNullException.ThrowIfNull(machine);
        return machine.FindProcess(Pid) is { } now && now == Stamp;
    }

    internal byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(
        new StoredReservation
        {
            Id = Id,
            Pid = Pid,
            ProcessStarted = Stamp.Started,
            Session = Stamp.Session,
            Boot = Stamp.Boot,
            Class = Class,
            Memory = Provision.MemoryBytes,
            Disk = Provision.DiskBytes,
            Amounts = new(Provision.Amounts, StringComparer.Ordinal),
            MaxPerNode = Provision.MaxPerNode,
            Kind = Provision.Kind,
            Url = Url,
            Ready = Ready,
            LogFile = LogFile,
            Folder = Folder,
            KeepFolder = KeepFolder,
            Started = Started,
        },
        StoredReservationJson.Default.StoredReservation);

    /// <summary>Null: no whole record.</summary>
    internal static ReservationRecord? FromBytes(byte[] bytes)
    {
        try
        {
            return JsonSerializer.Deserialize(bytes, StoredReservationJson.Default.StoredReservation) is not { } stored ? null : new ReservationRecord
            {
                Id = stored.Id,
                Pid = stored.Pid,
                Stamp = new ProcessStamp(stored.ProcessStarted, stored.Session, stored.Boot),
                Class = stored.Class,
                Provision = Provision.FromBytes(stored.Memory, stored.Disk, stored.Amounts) with { MaxPerNode = stored.MaxPerNode, Kind = stored.Kind },
                Url = stored.Url,
                Ready = stored.Ready,
                LogFile = stored.LogFile,
                Folder = stored.Folder,
                KeepFolder = stored.KeepFolder,
                Started = stored.Started,
            };
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            return null;
        }
    }
}

/// <summary>A record as it lies on the disk.</summary>
internal sealed record StoredReservation
{
    public required string Id { get; init; }
    public required int Pid { get; init; }
    public required long ProcessStarted { get; init; }
    public required int Session { get; init; }
    public required string Boot { get; init; }
    public required string Class { get; init; }
    public required long Memory { get; init; }
    public required long Disk { get; init; }
    public required Dictionary<string, decimal> Amounts { get; init; }
    public int? MaxPerNode { get; init; }
    public string Kind { get; init; } = "";
    public required string Url { get; init; }
    public bool Ready { get; init; }
    public required string LogFile { get; init; }
    public required string Folder { get; init; }
    public bool KeepFolder { get; init; }
    public required DateTimeOffset Started { get; init; }
}

[JsonSourceGenerationOptions(RespectNullableAnnotations = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(StoredReservation))]
internal sealed partial class StoredReservationJson : JsonSerializerContext;
