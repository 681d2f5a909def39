namespace GlooX.Tls.Join;

/// <summary>
/// Limits failed attempts: <see cref="PerAddress"/> in a row from one source, then one for each <see cref="Refill"/>; all sources that are not
/// known together may fail ten times as often. Used for joins, and for the tokens of services. A secret of 128 bits needs no such limit; it keeps the log and the processor quiet. Thread-safe.
/// </summary>
internal sealed class AttemptLimiter(TimeProvider time)
{
    public const int PerAddress = 5;
    private const int MaxAddresses = 10_000;
    private const string Everybody = "";
    public static readonly TimeSpan Refill = TimeSpan.FromSeconds(12);
    private readonly Dictionary<string, Bucket> _failures = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();

    /// <param name="address">The source, or a certificate.</param>
    /// <param name="isKnown">Whether the caller has shown something that a stranger does not have: the failures of strangers do not count for it.</param>
    public bool MayTry(string address, bool isKnown)
    {
        lock (_gate)
        {
            return Level(address) <= PerAddress - 1 && (isKnown || Level(Everybody) <= (PerAddress * 10) - 1);
        }
    }

    /// <param name="address">The source, or a certificate.</param>
    /// <param name="isKnown">Whether the failure counts for <paramref name="address"/> alone.</param>
    public void Failed(string address, bool isKnown)
    {
        lock (_gate)
        {
            if (_failures.Count >= MaxAddresses)
            {
                foreach (string old in _failures.Keys.Where(a => Level(a) <= 0).ToList())
                {
                    _failures.Remove(old);
                }

                if (_failures.Count >= MaxAddresses)
                {
                    address = Everybody;
                }
            }

            foreach (string one in isKnown ? [address] : new[] { address, Everybody }.Distinct(StringComparer.Ordinal))
            {
                _failures[one] = new Bucket(Level(one) + 1, time.GetTimestamp());
            }
        }
    }

    private double Level(string address)
    {
        if (!_failures.TryGetValue(address, out Bucket bucket))
        {
            return 0;
        }

        double refilled = time.GetElapsedTime(bucket.At) / Refill * (address.Length == 0 ? 10 : 1);
        return Math.Max(0, bucket.Level - refilled);
    }

    private readonly record struct Bucket(double Level, long At);
}
