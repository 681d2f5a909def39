using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace GlooX.Slots.Tests;

/// <summary>This test assembly once more, as a process that writes records without end; it is killed, or ends with the test.</summary>
internal static class RecordWriter
{
    private const string Folder = "GLOOX_TEST_WRITES_RECORDS_IN";

    public static async Task RunUntilItHasWrittenAsync(string folder, int count, CancellationToken ct)
    {
        var start = new ProcessStartInfo("dotnet", [typeof(RecordWriter).Assembly.Location]) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true };
        start.Environment[Folder] = folder;
        using var writer = Process.Start(start)!;
        try
        {
            // It tells each number that it has written.
            while (await writer.StandardOutput.ReadLineAsync(ct) is { } line && !(int.TryParse(line, out var written) && written >= count))
            {
            }
        }
        finally
        {
            writer.Kill();
            await writer.WaitForExitAsync(CancellationToken.None);
        }
    }

    [ModuleInitializer]
    internal static void WriteIfAsked()
    {
        if (Environment.GetEnvironmentVariable(Folder) is not { } folder)
            return;

        new Thread(() =>
        {
            _ = Console.In.Read(); // the test is gone
            Environment.Exit(1);
        }) { IsBackground = true }.Start();
        var store = ReservationStore.Open(folder);
        var records = store.Load().Records;
        for (var i = records.Count == 0 ? 0 : records.Max(record => record.Pid) + 1; ; i++)
        {
            store.Put(ReservationStoreTests.Record(i % 2 == 0 ? "even" : "odd", i));
            store.Remove(i % 2 == 0 ? "odd" : "even");
            Console.WriteLine(i);
        }
    }
}
