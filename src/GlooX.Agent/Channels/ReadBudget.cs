namespace GlooX.Channels;

/// <summary>
/// What the holder of one certificate reads of this agent's channels at once: how many reads are open, and how many bytes of changes wait for
/// them. Thread-safe.
/// </summary>
internal sealed class ReadBudget
{
    /// <summary>What a waiting change costs beside its key and value, in bytes.</summary>
    public const int CostOfChange = 100;

    /// <summary>Of all changes that wait for one caller.</summary>
    public const long MostBytes = 64L << 20;

    private long _bytes;

    /// <summary>False: more waits now than may.</summary>
    public bool Add(long bytes) => Interlocked.Add(ref _bytes, bytes) <= MostBytes || bytes < 0;

    internal int Reads { get; set; }
}

/// <summary>The budgets of all callers that read now. Thread-safe.</summary>
/// <param name="mostReads">Open reads of one caller.</param>
/// <param name="what">What is read, for messages.</param>
internal sealed class ReadBudgets(int mostReads, string what)
{
    private readonly Dictionary<string, ReadBudget> _callers = new(StringComparer.Ordinal);

    /// <summary>One more read of a caller; to be ended by <see cref="End"/>.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Overloaded"/>.</exception>
    public ReadBudget Begin(string caller)
    {
        lock (_callers)
        {
            ReadBudget budget = _callers.GetValueOrDefault(caller) ?? new ReadBudget();
            if (budget.Reads >= mostReads)
            {
                throw new RpcException(RpcError.Overloaded, $"the holder of the certificate {caller} reads {what} {budget.Reads} times at once already: end some of these reads");
            }

            budget.Reads++;
            return _callers[caller] = budget;
        }
    }

    public void End(string caller)
    {
        lock (_callers)
        {
            if (_callers.TryGetValue(caller, out ReadBudget? budget) && --budget.Reads == 0)
            {
                _callers.Remove(caller);
            }
        }
    }
}
