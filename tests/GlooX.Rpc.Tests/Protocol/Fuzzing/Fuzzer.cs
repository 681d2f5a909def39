using System.IO.MemoryMappedFiles;
using GlooX.Protocol;

namespace GlooX.Rpc.Tests.Protocol.Fuzzing;

/// <summary>Feeds spoiled frames to <see cref="FuzzTarget"/>, in batches that do not depend on each other.</summary>
internal sealed class Fuzzer(int seed, Action<string> say) : IDisposable
{
    // More than there are cores: a connection that ends waits for its last word to go out.
    private const int Workers = 6;
    private const int BatchSize = 64;
    private const int SessionSize = 8;
    private const int ReportEvery = 500_000;
    private const int SlotSize = 4 << 20;
    private const int StackBytes = 1536 * 1024; // no system gives less
    private static readonly TimeSpan s_stall = TimeSpan.FromMinutes(2);

    private static readonly byte[] s_greeting = Joined([.. Corpus.Greeting.Select(p => p.ToBytes())]);
    private static readonly byte[] s_acknowledgement = Corpus.Acknowledgement.ToBytes();
    private static readonly byte[] s_lastCall = Corpus.LastCall.ToBytes();

    // Where a script finds the inputs that were at hand when the process ended.
    private readonly MemoryMappedViewAccessor? _last = Environment.GetEnvironmentVariable("GLOOX_FUZZ_LAST") is { Length: > 0 } path
        ? MemoryMappedFile.CreateFromFile(path, FileMode.Create, null, Workers * SlotSize).CreateViewAccessor()
        : null;

    private readonly Input[] _inputs = new Input[Workers];
    private long _batches;
    private long _sessions;
    private long _done;

    public void Dispose() => _last?.Dispose();

    /// <summary>Runs on threads of its own, so that an endless loop is a failure of the test and not its end.</summary>
    public async Task RunAsync(long count)
    {
        Task[] workers = [.. Enumerable.Range(0, Workers).Select(w => OnThread(() => Run(w, count)))];
        Task running = Task.WhenAll(workers);
        Input[] seen = [];
        while (await Task.WhenAny(running, Task.Delay(s_stall)) != running && !Array.Exists(workers, w => w.IsFaulted))
        {
            Input[] now = [.. _inputs.OfType<Input>()];
            Assert.All(now.Intersect(seen), input => Assert.Fail($"seed {seed}: no end of\n{input}"));
            seen = now;
        }

        await Task.WhenAll(workers.Where(w => w.IsCompleted));
        say($"{_done:N0} frames, {_sessions:N0} connections, seed {seed}: none did any harm");
    }

    /// <summary>Replays one input, as a failure has printed it.</summary>
    public static void Replay(string input)
    {
        string[] parts = input.Split(' ', 2);
        byte[] bytes = Convert.FromHexString(parts[1]);
        foreach (IReadOnlyList<byte[]> script in new[] { [bytes], bytes.Chunk(7).ToArray(), bytes.Chunk(1).ToArray() })
        {
            _ = parts[0] == "server" ? FuzzTarget.ServerReads(script, endsWithLastCall: false) : FuzzTarget.ClientReads(script);
        }
    }

    private static Task OnThread(Action work)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(
            () =>
            {
                try
                {
                    work();
                    done.SetResult();
                }
                catch (Exception e)
                {
                    done.SetException(e);
                }
            },
            StackBytes) { IsBackground = true }.Start();
        return done.Task;
    }

    private void Run(int worker, long count)
    {
        while (Interlocked.Read(ref _done) < count)
        {
            long batch = Interlocked.Increment(ref _batches);
            var mutator = new Mutator(unchecked((seed * 1_000_003) + (int)batch));
            bool toServer = mutator.Next(3) != 0;
            IReadOnlyList<Piece> corpus = toServer ? Corpus.ToServer : Corpus.ToClient;
            (byte[] Bytes, bool IsFramed)[] frames = new (byte[], bool)[BatchSize];
            for (int i = 0; i < BatchSize; i++)
            {
                frames[i].Bytes = mutator.Frame(corpus, out frames[i].IsFramed);
            }

            // A frame that ends its connection leaves those after it to the next.
            for (int next = 0; next < BatchSize;)
            {
                next += Session(worker, mutator, toServer, frames.AsSpan(next, Math.Min(SessionSize, BatchSize - next)));
            }

            long done = Interlocked.Add(ref _done, BatchSize);
            if (done / ReportEvery != (done - BatchSize) / ReportEvery)
            {
                say($"{done:N0} frames, {_sessions:N0} connections, seed {seed}, {GC.GetTotalMemory(forceFullCollection: false) >> 20} MiB");
            }
        }
    }

    /// <summary>One connection; returns how many of the frames were read.</summary>
    private int Session(int worker, Mutator mutator, bool toServer, Span<(byte[] Bytes, bool IsFramed)> frames)
    {
        List<byte[]> script = [];
        if (mutator.Next(16) != 0)
        {
            script.Add(toServer ? s_greeting : s_acknowledgement);
        }

        int greeting = script.Count;
        List<int> frameOf = [];
        bool isFramed = greeting > 0;
        for (int i = 0; i < frames.Length; i++)
        {
            byte[] bytes = frames[i].Bytes;
            int cut = mutator.Next(4) == 0 ? mutator.Next(bytes.Length + 1) : 0;
            if (cut > 0)
            {
                script.Add(bytes[..cut]);
                frameOf.Add(i);
            }

            script.Add(bytes[cut..]);
            frameOf.Add(i);
            isFramed &= frames[i].IsFramed;
        }

        if (toServer)
        {
            script.Add(s_lastCall);
        }

        byte[] all = Joined(script);
        bool atOnce = mutator.Next(8) == 0;
        var input = new Input(toServer, all);
        Note(worker, input);
        try
        {
            IReadOnlyList<byte[]> pieces = atOnce ? [all] : script;
            int read = toServer ? FuzzTarget.ServerReads(pieces, endsWithLastCall: isFramed) : FuzzTarget.ClientReads(pieces);
            Interlocked.Increment(ref _sessions);
            return atOnce || read <= greeting ? 1 : frameOf[Math.Min(read - greeting, frameOf.Count) - 1] + 1;
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"seed {seed}: {e.Message}\n{input}", e);
        }
    }

    private static byte[] Joined(List<byte[]> pieces)
    {
        var all = new MemoryStream();
        pieces.ForEach(p => all.Write(p));
        return all.ToArray();
    }

    private void Note(int worker, Input input)
    {
        _inputs[worker] = input;
        if (_last is not null)
        {
            _last.Write(worker * SlotSize, input.ToServer);
            _last.Write((worker * SlotSize) + 4, input.Bytes.Length);
            _last.WriteArray((worker * SlotSize) + 8, input.Bytes, 0, input.Bytes.Length);
        }
    }

    private sealed class Input(bool toServer, byte[] bytes)
    {
        public bool ToServer => toServer;

        public byte[] Bytes => bytes;

        public override string ToString() => $"{(toServer ? "server" : "client")} {Convert.ToHexString(bytes)}";
    }
}
