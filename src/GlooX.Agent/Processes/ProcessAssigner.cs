using System.Net.Sockets;
using GlooX.Contracts;
using GlooX.Hosts;
using GlooX.Placement;
using GlooX.Workers;

namespace GlooX.Processes;

/// <summary>
/// Gives a process that has just started its work, and waits until it is ready: a host answers on its control connection; a program makes a
/// file or writes a line, if it was spawned with <see cref="ReadyWhen"/>. A process that does not become ready is ended with all that it
/// started.
/// </summary>
internal sealed class ProcessAssigner(ChildIdentity identity, AgentAddress address)
{
    private static readonly TimeSpan s_endGrace = TimeSpan.FromSeconds(2);

    /// <summary>Why this node can make no identity for a process; null: it can.</summary>
    public string? Fault(SpawnRequest request) => identity.Fault(request);

    /// <summary>Assigns the work of a process and waits until it is ready, for as long as its start may take.</summary>
    /// <param name="child">The process, in the run that is to become ready.</param>
    /// <param name="url">Where a class is to listen.</param>
    /// <param name="from">Where the outputs of the process ended before this run.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Why the process is not ready and has ended; null: it is ready.</returns>
    public async Task<string?> AssignAsync(Child child, string url, long[] from, CancellationToken ct)
    {
        string? fault = "";
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(child.Request.StartTimeoutMilliseconds);
        try
        {
            fault = await (child.Request.Command.Length > 0 ? BeginAsync(child, from, limit.Token)
                : AssignClassAsync(child, url, limit.Token)).ConfigureAwait(false);
            return fault;
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return $"it was not ready within {child.Request.StartTimeoutMilliseconds} ms{Missing(child)}";
        }
        finally
        {
            if (fault is not null)
            {
                child.Process.KillAll();
                await child.Process.Exited.ConfigureAwait(false);
            }
        }
    }

    private static async Task<string?> BeginAsync(Child child, long[] from, CancellationToken ct)
    {
        try
        {
            child.Process.Control?.Send("go\n"); // a detached program waits for it until it is recorded
        }
        catch (SocketException e)
        {
            return $"it ended before it began: {e.Message}";
        }

        return !child.Request.AwaitsReadiness || await Readiness.WaitAsync(child, from, ct).ConfigureAwait(false) ? null
            : $"it ended with {await child.Process.Exited.ConfigureAwait(false)} before it was ready{Missing(child)}";
    }

    private async Task<string?> AssignClassAsync(Child child, string url, CancellationToken ct)
    {
        ProcessRun run = child.Run;
        (string folder, string lockFile) = run.Files is null ? (child.Lease!.Folder, child.Lease.LockFile) : (run.Files, "");
        IReadOnlyList<Revocation> revoked = identity.Revocations;
        Identity own = identity.Make(child.Request, child.Id);
        child.ProcessName = own.ProcessName ?? "";
        string assembly = Path.Combine(folder, child.Request.Assembly);
        var assignment = new Assignment(assembly, lockFile, child.Request.Class, own.Export(), child.Request.Options with { Url = url })
        {
            AdvertisedHost = address.Host,
            HeapLimitBytes = HeapLimit.Of(child.Request.MemoryBytes),
            ExitFile = child.Record?.ExitFile ?? "",
            Environment = child.Request.Environment,
            Revoked = [.. revoked.Select(static r => r.ToString())],
        };
        HostReport? report = await SendAsync(run.Process.Control!, assignment, ct).ConfigureAwait(false);
        if (report is { Ready: true })
        {
            run.Enforcer.Enforced |= report.HeapLimited ? Enforcement.HeapLimit : Enforcement.None;
            child.Url = report.Url;
            run.Told = revoked;
            return null;
        }

        // The host is ending by itself: its exit code is the reason where it gave none.
        await Task.WhenAny(run.Process.Exited, Task.Delay(s_endGrace, ct)).ConfigureAwait(false);
        run.Process.KillAll();
        child.MayStartElsewhere = report is { TryElsewhere: true };
        return report?.Reason ?? $"it ended with {await run.Process.Exited.ConfigureAwait(false)} before it was ready";
    }

    // Null: the host has ended, or is ending.
    private static async Task<HostReport?> SendAsync(Control control, Assignment assignment, CancellationToken ct)
    {
        try
        {
            await control.SendAsync(assignment, ct).ConfigureAwait(false);
            return await control.ReceiveAsync(ControlFormat.ReadReport, ct).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    private static string Missing(Child child) => child.Request.AwaitsReadiness ? $": {Readiness.Describe(child.Request)}" : "";
}
