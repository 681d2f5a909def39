namespace GlooX.Bench.Soak;

/// <summary>
/// One caller among many: calls of all kinds in random order, some given up, over a client that is thrown away now and then. What may
/// happen when a process is killed is counted; all else ends the run.
/// </summary>
internal sealed class SoakCaller(string url, Identity identity, Tally tally, int seed)
{
    private const int CallsPerClient = 3_000;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);
    private readonly Random _random = new(seed);
    private readonly byte[] _bytes = new byte[64 * 1024];
    private long _calls;
    private long _failed;
    private long _cancelled;

    public long Calls => Volatile.Read(ref _calls);

    public long Failed => Volatile.Read(ref _failed);

    public long Cancelled => Volatile.Read(ref _cancelled);

    public async Task RunAsync(CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            await using RpcClient client = new RpcClient(url, new RpcClientOptions { Identity = identity, CallTimeout = s_limit, RetryConnectFor = s_limit });
            ISoak soak = client.As<ISoak>();
            for (int i = 0; i < CallsPerClient && !ct.IsCancellationRequested; i++)
            {
                try
                {
                    await CallAsync(soak).WaitAsync(s_limit * 3, CancellationToken.None);
                    Interlocked.Increment(ref _calls);
                }
                catch (RpcException e) when (IsFate(e))
                {
                    Interlocked.Increment(ref _failed);
                }
                catch (OperationCanceledException)
                {
                    Interlocked.Increment(ref _cancelled);
                }
            }
        }
    }

    // What a killed process may do to a call: refuse the connection, break it, end it within the TLS handshake, or be slow to come back.
    private static bool IsFate(RpcException e) => e.Code is RpcError.Connection or RpcError.Tls || e is { Code: RpcError.Timeout, Method: null };

    private async Task CallAsync(ISoak soak)
    {
        switch (_random.Next(10))
        {
            case < 5:
                await OnceAsync(soak);
                break;
            case 5:
                string text = $"call {_random.NextInt64()}";
                Check(await soak.EchoAsync(text) == text, "an echo");
                break;
            case 6:
                byte[] bytes = _bytes[.._random.Next(_bytes.Length)];
                _random.NextBytes(bytes);
                byte[] back = await soak.BytesAsync(bytes);
                Check(back.AsSpan().SequenceEqual(bytes), "bytes");
                break;
            case 7:
                using (var giveUp = new CancellationTokenSource(_random.Next(20)))
                {
                    await soak.HangAsync(giveUp.Token);
                }

                break;
            case 8:
                int count = _random.Next(2_000);
                int leaveAt = _random.Next(4_000);
                int next = 0;
                await foreach (int item in soak.CountAsync(count, CancellationToken.None))
                {
                    Check(item == next++, "a stream");
                    if (next == leaveAt)
                    {
                        return;
                    }
                }

                Check(next == count, "a stream's end");
                break;
            default:
                int numbers = _random.Next(2_000);
                Check(await soak.SumAsync(AsyncEnumerable.Range(0, numbers)) == (long)numbers * (numbers - 1) / 2, "a sum");
                break;
        }
    }

    private async Task OnceAsync(ISoak soak)
    {
        long id = tally.Begin();
        try
        {
            await soak.OnceAsync(id);
            tally.End(id, Outcome.Answered);
        }
        catch (RpcException e)
        {
            tally.End(id, e.Method is null ? Outcome.NotSent : Outcome.Broken);
            throw;
        }
    }

    private static void Check(bool holds, string what)
    {
        if (!holds)
        {
            throw new InvalidDataException($"{what} came back wrong");
        }
    }
}
