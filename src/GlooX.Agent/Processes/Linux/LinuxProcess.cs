using System.Runtime.InteropServices;
using GlooX.Workers;

namespace GlooX.Processes;

/// <summary>A process that this one started, in a session of its own, so that killing it kills all that it started.</summary>
internal sealed class LinuxProcess : ILaunchedProcess
{
    private const int StackBytes = 128 * 1024;
    private const int Interrupted = 4;
    private readonly TaskCompletionSource<ExitStatus> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public LinuxProcess(int pid)
    {
        Pid = pid;

        // One small thread for each child: the only way to wait that works beside the runtime's own handling of its children.
        new Thread(Wait, StackBytes) { IsBackground = true, Name = $"wait for {pid}" }.Start();
    }

    private LinuxProcess(int pid, ExitStatus exit)
    {
        Pid = pid;
        _exited.SetResult(exit);
    }

    private LinuxProcess(int pid, OutsideProcess outside, Func<ExitStatus> noted)
    {
        Pid = pid;
        new Thread(Watch, StackBytes) { IsBackground = true, Name = $"watch {pid}" }.Start();

        void Watch()
        {
            using (outside)
            {
                ExitStatus exit = outside.Wait(noted);
                Kill(); // whatever it left in its session, as below
                _exited.TrySetResult(exit);
            }
        }
    }

    public int Pid { get; }

    public Task<ExitStatus> Exited => _exited.Task;

    /// <summary>A process that an agent before this one started, and that runs.</summary>
    /// <param name="pid">Its process id.</param>
    /// <param name="isThat">Whether the process of that id is it.</param>
    /// <param name="noted">How it ended, as far as it has noted it.</param>
    /// <returns>Null: it has ended.</returns>
    public static LinuxProcess? TakeOver(int pid, Func<bool> isThat, Func<ExitStatus> noted)
    {
        OutsideProcess? outside = OutsideProcess.TryOpen(pid);
        if (outside is null || !isThat())
        {
            outside?.Dispose();
            return null;
        }

        return new LinuxProcess(pid, outside, noted);
    }

    /// <summary>A process that has ended while no agent was there.</summary>
    public static LinuxProcess Ended(int pid, ExitStatus exit) => new(pid, exit);

    public void Kill()
    {
        if (!_exited.Task.IsCompleted)
        {
            LinuxSignal.KillGroup(Pid);
        }
    }

    public void Terminate()
    {
        if (!_exited.Task.IsCompleted)
        {
            LinuxSignal.TerminateGroup(Pid);
        }
    }

    private void Wait()
    {
        int status = 0;
        int waited;
        do
        {
            waited = waitpid(Pid, out status, 0);
        }
        while (waited < 0 && Marshal.GetLastPInvokeError() == Interrupted);

        Kill(); // whatever it left in its session
        _exited.TrySetResult(new ExitStatus(waited < 0 ? -1 : (status >> 8) & 0xFF, waited < 0 ? 0 : status & 0x7F));
    }

#pragma warning disable SYSLIB1054, CA5392, IDE1006 // plain libc, by its own names
    [DllImport("libc", SetLastError = true)]
    private static extern int waitpid(int pid, out int status, int options);
#pragma warning restore SYSLIB1054, CA5392, IDE1006
}
