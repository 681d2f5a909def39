using System.Diagnostics;

namespace GlooX.Server;

/// <summary>
/// Whether the calls of one method may run on the thread that read them. A method earns this by a number of quick runs in a row, on a thread
/// of <see cref="HandlerThreads"/>, and loses it by one slow run. All connections of the process share it. Thread-safe; a race costs a
/// measurement and no more.
/// </summary>
/// <param name="isQuick">Whether it is trusted from the start.</param>
internal sealed class MethodTrust(bool isQuick)
{
    private const int Proof = 32;
    private const int MaxProof = 16 * 1024;

    // A run that takes longer than this is slow. One that takes longer than a hop to another thread costs is suspicious; so many in a row are slow.
    private const int Suspicions = 3;
    private static readonly long s_slow = Stopwatch.Frequency / 1_000;
    private static readonly long s_suspicious = Stopwatch.Frequency / 20_000;

    // A method that blocks again within this time needs twice as many quick runs as before. In milliseconds.
    private const long Memory = 10_000;

    private int _needed = isQuick ? 0 : Proof;
    private int _proof = Proof;
    private int _suspicious;
    private long _blocked = -Memory;

    /// <summary>Whether the method may run on the thread that read its call.</summary>
    public bool IsQuick => Volatile.Read(ref _needed) == 0;

    /// <summary>A run has ended.</summary>
    /// <param name="ticks">How long it held its thread, in ticks of <see cref="Stopwatch"/>.</param>
    public void Ran(long ticks)
    {
        int needed = Volatile.Read(ref _needed);
        if (ticks <= s_suspicious)
        {
            if (needed > 0)
            {
                Interlocked.CompareExchange(ref _needed, needed - 1, needed);
            }
            else if (_suspicious != 0)
            {
                _suspicious = 0;
            }
        }
        else if (needed > 0 || ticks > s_slow || ++_suspicious >= Suspicions)
        {
            _suspicious = 0;
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
