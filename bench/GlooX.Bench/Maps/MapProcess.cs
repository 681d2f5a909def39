using System.Globalization;

namespace GlooX.Bench.Maps;

/// <summary>
/// One process of a shared map: this program again, with <c>map KIND FOLDER</c>. It is asked by lines on its standard input, answers each
/// with one of numbers, and ends when its input does.
/// </summary>
internal static class MapProcess
{
    public const string Verb = "map";

    public static Task<ServerProcess> StartAsync(string kind, Handover handover, CancellationToken ct) =>
        ServerProcess.StartAsync($"a process of {kind}", [Verb, kind, handover.Folder], ct);

    /// <summary>The other side of <see cref="StartAsync"/>.</summary>
    public static async Task ServeAsync(string kind, string folder, CancellationToken ct)
    {
        Identity identity = Handover.Read(folder);
        await using var node = new MapNode(kind, identity);
        Console.WriteLine("0");
        while (await Task.Run(Console.In.ReadLine, ct).WaitAsync(ct) is { } line)
        {
            double[] answer;
            try
            {
                string[] words = line.Split(' ');
                double[] numbers = [.. words.Skip(1).Select(w => double.Parse(w, CultureInfo.InvariantCulture))];
                answer = await node.DoAsync(words[0], numbers, ct);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                Console.WriteLine($"failed: {line}: {e.GetType().Name}: {e.Message.ReplaceLineEndings(" ")}");
                continue;
            }

            Console.WriteLine(string.Join(' ', answer.Select(a => a.ToString("R", CultureInfo.InvariantCulture))));
        }
    }

    /// <summary>Asks a process, and waits for its answer.</summary>
    public static async Task<double[]> AskAsync(this ServerProcess process, string what, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(TimeSpan.FromSeconds(120));
        string answer = await process.AskLineAsync(what, limit.Token);
        return answer.StartsWith("failed", StringComparison.Ordinal)
            ? throw new InvalidOperationException(answer)
            : [.. answer.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(a => double.Parse(a, CultureInfo.InvariantCulture))];
    }
}
