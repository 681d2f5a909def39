using System.Globalization;
using System.Runtime.InteropServices;
using GlooX.Bench.Maps;
using GlooX.Bench.Soak;

namespace GlooX.Bench;

internal static class Program
{
    private const string Usage = "usage: GlooX.Bench rpc [--quick] [--only WORKLOAD] [--json FILE]\n       GlooX.Bench spawn [--quick] [--json FILE]\n       GlooX.Bench spawns [--count N] [--json FILE]\n       GlooX.Bench channel [--quick] [--json FILE]\n       GlooX.Bench soak [--minutes N] [--json FILE]";

    private static async Task<int> Main(string[] args)
    {
        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true;
            stop.Cancel();
        }

        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        try
        {
            switch (args)
            {
                case ["serve", var kind, var folder]:
                    await ServerProcess.ServeAsync(kind, folder, stop.Token);
                    return 0;
                case [AgentProcess.Verb, var warmHosts, var peer]:
                    await AgentProcess.ServeAsync(warmHosts, peer, stop.Token);
                    return 0;
                case [SoakTopic.Verb, var folder, var port, var journal]:
                    await SoakTopic.ServeAsync(folder, port, journal, stop.Token);
                    return 0;
                case ["soak", .. var rest] when TryReadMinutes(ref rest, out double minutes) && TryRead(rest, out bool quick, out string? json) && !quick:
                    return await SoakTopic.RunAsync(minutes, json, stop.Token) ? 0 : 1;
                case [MapProcess.Verb, var kind, var folder]:
                    await MapProcess.ServeAsync(kind, folder, stop.Token);
                    return 0;
                case ["channel", .. var rest] when TryRead(rest, out bool quick, out string? json):
                    await ChannelTopic.RunAsync(quick, json, stop.Token);
                    return 0;
                case ["spawn", .. var rest] when TryRead(rest, out bool quick, out string? json):
                    if (await ReadyToRun.RunAsync(args, stop.Token) is { } code)
                    {
                        return code;
                    }

                    await SpawnTopic.RunAsync(quick, json, stop.Token);
                    return 0;
                case ["spawns", .. var rest] when TryReadCount(ref rest, out int count) && TryRead(rest, out bool quick, out string? json) && !quick:
                    return await SpawnsTopic.RunAsync(count, json, stop.Token) ? 0 : 1;
                case ["rpc", .. var rest] when TryReadOnly(ref rest, out string? only) && TryRead(rest, out bool quick, out string? json):
                    await RpcTopic.RunAsync(quick, only, json, stop.Token);
                    return 0;
                default:
                    await Console.Error.WriteLineAsync(Usage);
                    return 2;
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 130;
        }
    }

    private static bool TryReadCount(ref string[] options, out int count)
    {
        count = 1000;
        int at = Array.IndexOf(options, "--count");
        if (at < 0)
        {
            return true;
        }

        bool read = at + 1 < options.Length && int.TryParse(options[at + 1], NumberStyles.None, CultureInfo.InvariantCulture, out count) && count > 0;
        options = [.. options[..at], .. options.Skip(at + 2)];
        return read;
    }

    private static bool TryReadMinutes(ref string[] options, out double minutes)
    {
        minutes = 5;
        int at = Array.IndexOf(options, "--minutes");
        if (at < 0)
        {
            return true;
        }

        bool read = at + 1 < options.Length && double.TryParse(options[at + 1], NumberStyles.Float, CultureInfo.InvariantCulture, out minutes) && minutes > 0 && minutes < 100_000;
        options = [.. options[..at], .. options.Skip(at + 2)];
        return read;
    }

    private static bool TryReadOnly(ref string[] options, out string? only)
    {
        only = null;
        int at = Array.IndexOf(options, "--only");
        if (at < 0)
        {
            return true;
        }

        only = at + 1 < options.Length ? options[at + 1] : null;
        options = [.. options[..at], .. options.Skip(at + 2)];
        return RpcTopic.Workloads.Contains(only, StringComparer.Ordinal);
    }

    private static bool TryRead(string[] options, out bool quick, out string? json)
    {
        quick = false;
        json = null;
        for (int i = 0; i < options.Length; i++)
        {
            if (options[i] == "--quick")
            {
                quick = true;
            }
            else if (options[i] == "--json" && i + 1 < options.Length)
            {
                json = options[++i];
            }
            else
            {
                return false;
            }
        }

        return true;
    }
}
