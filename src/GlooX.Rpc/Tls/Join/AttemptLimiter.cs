using System.Net;
using System.Net.Sockets;

namespace GlooX.Tls.Join;

/// <summary>
/// Limits failed joins: <see cref="PerAddress"/> in a row from one address, then one for each <see cref="Refill"/>; all addresses together may
/// fail ten times as often. A secret of 128 bits needs no such limit; it keeps the log and the processor quiet. Thread-safe.
/// </summary>
internal sealed class AttemptLimiter(TimeProvider time)
{
    public const int PerAddress = 5;
    private const int MaxAddresses = 10_000;
    private const string Everybody = "";
    public static readonly TimeSpan Refill = TimeSpan.FromSeconds(12);
    private readonly Dictionary<string, Bucket> _failures = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();

    public bool MayTry(string address)
    {
        lock (_gate)
        {
            return Level(address) <= PerAddress - 1 && Level(Everybody) <= (PerAddress * 10) - 1;
        }
    }

    public void Failed(string address)
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

            foreach (string one in (string[])[.. new[] { address, Everybody }.Distinct(StringComparer.Ordinal)])
            {
                _failures[one] = new Bucket(Level(one) + 1, time.GetTimestamp());
            }
        }
    }

    /// <summary>The unit of counting: an IPv4 address, or the IPv6 network of one owner.</summary>
    public static string Key(string remote)
    {
        if (!IPEndPoint.TryParse(remote, out IPEndPoint? end))
        {
            return remote;
        }

        IPAddress address = end.Address.IsIPv4MappedToIPv6 ? end.Address.MapToIPv4() : end.Address;
        return address.AddressFamily == AddressFamily.InterNetworkV6 ? Convert.ToHexString(address.GetAddressBytes()[..8]) : address.ToString();
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
