using System.Diagnostics;

namespace GlooX.Server;

/// <summary>
/// Whether the calls of one method may run on the thread that read them. A method earns this by a number of quick runs in a row, on a thread
/// of <see cref="HandlerThreads"/>, and loses it when slow runs come close together. One alone proves nothing: the system takes the processor
/// from quick runs too. All connections of the process share it. Thread-safe; a race costs a measurement and no more.
/// </summary>
/// <param name="isQuick">Whether it is trusted from the start.</param>
internal sealed class MethodTrust(bool isQuick)
{
    private const int Proof = 32;
    private const int MaxProof = 16 * 1024;

    // A run that takes longer than a hop to another thread costs is suspicious; one that takes far longer counts twice. A quick one takes 1 off.
    private const int Suspicious = 4;
    private const int Slow = 8;
    private const int MaxSuspicion = 11; // three suspicious runs in a row, or two slow ones, are more
    private static readonly long s_slow = Stopwatch.Frequency / 1_000;
    private static readonly long s_suspicious = Stopwatch.Frequency / 20_000;

    // A method that blocks again within this time needs twice as many quick runs as before. In milliseconds.
    private const long Memory = 10_000;

    private int _needed = isQuick ? 0 : Proof;
    private int _proof = Proof;
    private int _suspicion;
    private long _blocked = -Memory;

    /// <summary>Whether the method may run on the thread that read its call.</summary>
    public bool IsQuick => Volatile.Read(ref _needed) == 0;

    /// <summary>Runs have ended.</summary>
    /// <param name="ticks">How long they held their thread together, in ticks of <see cref="Stopwatch"/>.</param>
    /// <param name="runs">How many they were.</param>
    public void Ran(long ticks, int runs)
    {
        int needed = Volatile.Read(ref _needed);
        if (ticks <= s_suspicious * runs)
        {
            if (needed > 0)
            {
                Interlocked.CompareExchange(ref _needed, Math.Max(0, needed - runs), needed);
            }
            else if (_suspicion != 0)
            {
                _suspicion = Math.Max(0, _suspicion - runs);
            }
        }
        else if (needed > 0 || (_suspicion += ticks > s_slow ? Slow : Suspicious) > MaxSuspicion)
        {
            _suspicion = 0;
            Volatile.Write(ref _needed, Math.Max(needed, Volatile.Read(ref _proof)));
        }
    }

    /// <summary>A run was seen to sleep on the thread that read its call.</summary>
    /// <param name="now">In milliseconds.</param>
    public void Blocked(long now)
    {
        _proof = now - _blocked < Memory ? Math.Min(_proof * 2, MaxProof) : Proof;
        _blocked = now;
        Volatile.Write(ref _needed, _proof);
    }
}
