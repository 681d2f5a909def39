using GlooX.Contracts;

namespace GlooX.Processes;

/// <summary>How a program tells that it is ready, and the wait for it.</summary>
internal static class Readiness
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);

    /// <summary>The file that a program makes in its folder when it is ready.</summary>
    public static string FileIn(string folder) => Path.Combine(folder, ".gloox-ready");

    /// <summary>For messages: what the program has not done.</summary>
    public static string Describe(SpawnRequest request) =>
        request.ReadyFile ? "it did not make the file that GLOOX_READY_FILE names" : $"it did not write a line with '{request.ReadyLine}'";

    /// <summary>Waits until a process is ready or has ended.</summary>
    /// <param name="child">The process.</param>
    /// <param name="from">Where the outputs of the process ended when it was started.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Whether the process is ready.</returns>
    public static Task<bool> WaitAsync(Child child, long[] from, CancellationToken ct) => child.Request.ReadyFile
        ? FileAsync(FileIn(child.Request.Options.TmpDir), child.Process.Exited, ct)
        : child.Output.FindAsync(child.Request.ReadyLine, from, child.Process.Exited, ct);

    private static async Task<bool> FileAsync(string file, Task exited, CancellationToken ct)
    {
        while (true)
        {
            bool ended = exited.IsCompleted;
            if (File.Exists(file))
            {
                return true;
            }

            if (ended)
            {
                return false;
            }

            await Task.WhenAny(exited, Task.Delay(s_look, ct)).ConfigureAwait(false);
            ct.ThrowIfCancellationRequested();
        }
    }
}
