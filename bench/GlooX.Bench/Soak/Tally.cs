using System.Buffers.Binary;

namespace GlooX.Bench.Soak;

internal enum Outcome : byte
{
    /// <summary>Not known; also what a call is that was given up.</summary>
    Open,

    /// <summary>It must have run once.</summary>
    Answered,

    /// <summary>The connection broke, or the caller gave up: it may have run.</summary>
    Broken,

    /// <summary>There was no connection: it cannot have run.</summary>
    NotSent,
}

/// <summary>What became of each call that must not run twice: as the callers saw it, and as the servers wrote it down.</summary>
internal sealed class Tally
{
    private const int ChunkBits = 20;
    private readonly Lock _gate = new();
    private readonly List<byte[]> _chunks = [];
    private long _next;

    public long Made => Volatile.Read(ref _next);

    public long Begin()
    {
        lock (_gate)
        {
            if (_next >> ChunkBits == _chunks.Count)
            {
                _chunks.Add(new byte[1 << ChunkBits]);
            }

            return _next++;
        }
    }

    public void End(long id, Outcome outcome)
    {
        lock (_gate)
        {
            _chunks[(int)(id >> ChunkBits)][id & ((1 << ChunkBits) - 1)] = (byte)outcome;
        }
    }

    /// <summary>Compares with the journals; all calls have ended and all servers are gone.</summary>
    public Dictionary<string, long> Compare(IEnumerable<string> journals)
    {
        byte[] runs = new byte[Made];
        long unknown = 0;
        foreach (string journal in journals)
        {
            ReadOnlySpan<byte> bytes = File.ReadAllBytes(journal);
            for (; bytes.Length >= sizeof(long); bytes = bytes[sizeof(long)..])
            {
                long id = BinaryPrimitives.ReadInt64LittleEndian(bytes);
                if (id < 0 || id >= Made)
                {
                    unknown++;
                }
                else if (runs[id] < byte.MaxValue)
                {
                    runs[id]++;
                }
            }
        }

        long Count(Func<Outcome, int, bool> holds)
        {
            long count = 0;
            for (long id = 0; id < runs.Length; id++)
            {
                count += holds((Outcome)_chunks[(int)(id >> ChunkBits)][id & ((1 << ChunkBits) - 1)], runs[id]) ? 1 : 0;
            }

            return count;
        }

        return new(StringComparer.Ordinal)
        {
            ["soak.once_made"] = Made,
            ["soak.once_answered"] = Count((o, _) => o == Outcome.Answered),
            ["soak.once_broken_and_run"] = Count((o, n) => o is Outcome.Broken or Outcome.Open && n == 1),
            ["soak.once_broken_and_not_run"] = Count((o, n) => o is Outcome.Broken or Outcome.Open && n == 0),
            ["soak.lost"] = Count((o, n) => o == Outcome.Answered && n == 0),
            ["soak.duplicated"] = Count((_, n) => n > 1),
            ["soak.run_without_being_sent"] = unknown + Count((o, n) => o == Outcome.NotSent && n > 0),
        };
    }
}
