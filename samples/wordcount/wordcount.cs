#:project ../../src/GlooX.Agent/GlooX.Agent.csproj
#:property PublishAot=false
using System.Buffers;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using GlooX;

// Counts the words in the text files of a folder on a grid of three agents, one child on each.
// The total is that of: cat FOLDER/* | wc -w
string folder = args.FirstOrDefault() ?? (Directory.Exists("/usr/share/common-licenses")
    ? "/usr/share/common-licenses"
    : Path.Combine((string)AppContext.GetData("EntryPointFileDirectoryPath")!, "../../docs"));
if (!Directory.Exists(folder))
{
    Console.Error.WriteLine($"there is no folder {folder}. Usage: dotnet run wordcount.cs -- FOLDER");
    return 1;
}

using var stop = new CancellationTokenSource();
using var ctrlC = PosixSignalRegistration.Create(PosixSignal.SIGINT, c => { c.Cancel = true; stop.Cancel(); });
using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, c => { c.Cancel = true; stop.Cancel(); });
try
{
    string[] files = [.. Directory.GetFiles(folder).Where(f => !Path.GetFileName(f).StartsWith('.') && !LeadsNowhere(f)).Order(StringComparer.Ordinal)];
    bool utf8 = IsUtf8();
    var before = new byte[files.Length][];
    for (int i = 0; i < files.Length; i++)
    {
        before[i] = i == 0 || !utf8 ? [] : CutOff(before[i - 1], files[i - 1]);
    }

    Console.WriteLine("starting a grid of three …");
    await using Agent first = await Agent.StartAsync("127.0.0.1:0", ct: stop.Token);
    await using Agent second = await Agent.StartAsync("127.0.0.1:0", first.Url, ct: stop.Token);
    await using Agent third = await Agent.StartAsync("127.0.0.1:0", first.Url, ct: stop.Token);
    List<ICounter> counters = [];
    foreach (Agent agent in (Agent[])[first, second, third])
    {
        await using GlooXClient client = new GlooXClient(agent.Url);
        SpawnedProcess child = await client.SpawnAsync("Counter", "counter.cs", new SpawnOptions { Strategy = PlacementStrategy.Direct }, ct: stop.Token);
        Console.WriteLine($"a counter runs on {child.Node}");
        counters.Add(child.As<ICounter>());
    }

    // Each counter takes the next file when it is done with one; two at a time each, so that none ever waits for an order.
    var counts = new FileCount[files.Length];
    int next = -1, done = 0;
    using var progress = new Timer(_ => Show(done, files.Length), null, 200, 200);
    await Task.WhenAll(counters.Concat(counters).Select(async counter =>
    {
        for (int i; (i = Interlocked.Increment(ref next)) < files.Length && !stop.IsCancellationRequested;)
        {
            counts[i] = await counter.CountAsync(Path.GetFullPath(files[i]), before[i], utf8);
            Interlocked.Increment(ref done);
        }
    }));
    await progress.DisposeAsync();
    stop.Token.ThrowIfCancellationRequested();
    Show(done, files.Length);
    if (!Console.IsOutputRedirected)
    {
        Console.WriteLine();
    }

    var words = new Dictionary<string, long>(StringComparer.Ordinal);
    foreach (ICounter counter in counters)
    {
        const int page = 20_000;
        for (int from = 0; ; from += page)
        {
            Dictionary<string, long> some = await counter.WordsAsync(from, page);
            foreach ((string word, long times) in some)
            {
                words[word] = words.GetValueOrDefault(word) + times;
            }

            if (some.Count < page)
            {
                break;
            }
        }
    }

    foreach ((string word, long times) in words.OrderByDescending(w => w.Value).ThenBy(w => w.Key, StringComparer.Ordinal).Take(10))
    {
        Console.WriteLine($"{times,10}  {word}");
    }

    Console.WriteLine($"{Total(counts)} words in {files.Length} files");
    return 0;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    Console.Error.WriteLine("stopped");
    return 130;
}
catch (Exception e) when (e is GlooXException or IOException or UnauthorizedAccessException or NotSupportedException)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

// A file that does not end with white space runs on into the next: a word across the border is one.
static long Total(FileCount[] counts)
{
    long total = 0;
    bool inWord = false;
    foreach (FileCount count in counts.Where(c => c.Any))
    {
        total += count.Words - (inWord && count.BeginsWithWord ? 1 : 0);
        inWord = count.EndsInWord;
    }

    return total;
}

// The bytes of a character that ends in the next file, or the one after that: whoever counts the next file needs them.
static byte[] CutOff(byte[] before, string path)
{
    using FileStream file = File.OpenRead(path);
    byte[] end = new byte[Math.Min(3, file.Length)];
    file.Seek(-end.Length, SeekOrigin.End);
    file.ReadExactly(end);
    byte[] bytes = end.Length < 3 ? [.. before, .. end] : end;
    for (int length = Math.Min(3, bytes.Length); length > 0; length--)
    {
        if (Rune.DecodeFromUtf8(bytes.AsSpan(bytes.Length - length), out _, out _) == OperationStatus.NeedMoreData)
        {
            return bytes[^length..];
        }
    }

    return [];
}

// A link to what is not there, or to itself; cat goes on, too.
static bool LeadsNowhere(string path)
{
    try
    {
        return File.ResolveLinkTarget(path, returnFinalTarget: true) is { Exists: false };
    }
    catch (IOException)
    {
        return true;
    }
}

// As wc has it: by the locale.
static bool IsUtf8()
{
    try
    {
        using Process locale = Process.Start(new ProcessStartInfo("locale", "charmap") { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false })!;
        return locale.StandardOutput.ReadToEnd().Trim() == "UTF-8";
    }
    catch (System.ComponentModel.Win32Exception)
    {
        return true;
    }
}

static void Show(int done, int all)
{
    int width = all == 0 ? 30 : done * 30 / all;
    string bar = $"[{new string('#', width)}{new string('.', 30 - width)}] {done} of {all} files";
    if (Console.IsOutputRedirected)
    {
        Console.WriteLine(bar);
    }
    else
    {
        Console.Write($"\r{bar}");
    }
}

public sealed record FileCount(long Words, bool Any, bool BeginsWithWord, bool EndsInWord);

[RpcService]
public interface ICounter
{
    [Rpc("count", TimeoutMilliseconds = -1)]
    ValueTask<FileCount> CountAsync(string path, byte[] before, bool utf8);

    [Rpc("words", TimeoutMilliseconds = -1)]
    ValueTask<Dictionary<string, long>> WordsAsync(int from, int atMost);
}
