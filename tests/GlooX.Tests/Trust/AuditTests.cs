using System.Globalization;
using System.Text.Json;
using GlooX.Tests.Payload;
using GlooX.Trust;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Tests;

/// <summary>Who did what can be read afterwards.</summary>
public sealed class AuditTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"audit-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private string Log => Path.Combine(_folder, "audit.log");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Each_act_leaves_a_record_of_who_did_it_and_what_came_of_it()
    {
        using var logs = new LogKeeper();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, AuditFile = Log, LoggerFactory = logs });
        await using SpawnedProcess child = await grid.SpawnAsync("Insider");
        Assert.Equal("Forbidden", await child.As<IInsider>().TryAsync("agent/kill"));
        await grid.Client.CreateChannelAsync("audited", ct: Ct);
        await grid.Client.RemoveChannelAsync("audited", Ct);
        await Assert.ThrowsAsync<AddonException>(() => grid.Client.AttachAddonAsync("late", new AddonSource("/no/such\u001bfile.dll", "Counter"), ct: Ct));
        await child.KillAsync(Ct);

        string serial = Identity.Load().Client.SerialNumber.TrimStart('0');
        (string Method, string Target, string Outcome)[] expected =
        [
            ("agent/spawn", "Insider", $"process {child.Id}, pid {child.Pid}, on {grid.Agents[0].Url}"),
            ("agent/kill", "", "refused: "),
            ("channels/create", "audited", "done"),
            ("channels/remove", "audited", "done"),
            ("agent/attach_addon", "late", "failed: "),
            ("agent/kill", child.Id, "done"),
        ];
        foreach ((string method, string target, string outcome) in expected)
        {
            JsonElement record = default;
            await Eventually.HoldsAsync(() => TryFind(method, target, outcome, out record), $"there is a record of {method} {target} {outcome}", () => File.ReadAllText(Log));
            bool isChild = outcome == "refused: ";
            Assert.Contains(isChild ? "child" : "client", record.GetProperty("roles").GetString(), StringComparison.Ordinal);
            Assert.Equal(isChild, record.GetProperty("serial").GetString() != serial);
            Assert.NotEmpty(record.GetProperty("node").GetString()!);
            Assert.StartsWith("127.0.0.1:", record.GetProperty("address").GetString(), StringComparison.Ordinal);
            Assert.InRange(DateTimeOffset.Parse(record.GetProperty("time").GetString()!, CultureInfo.InvariantCulture), DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow.AddMinutes(1));
        }

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Log));
        Assert.Contains(logs.Information, l => l.Contains($"agent/kill {child.Id}: done", StringComparison.Ordinal)); // of the category GlooX.Audit
    }

    [Fact]
    public async Task A_full_disk_stops_nobody_and_what_was_lost_is_counted()
    {
        string link = Path.Combine(_folder, "link");
        File.CreateSymbolicLink(link, "/dev/full");
        using var logs = new LogKeeper();
        await using (var file = new AuditFile(link, logs).Start())
        {
            for (int i = 0; i < 20_000; i++)
            {
                file.Add($"{{\"n\":{i}}}");
            }

            await Eventually.HoldsAsync(() => logs.Errors.Count == 1, "the operator is told once");
            File.CreateSymbolicLink(link + ".new", Log);
            File.Move(link + ".new", link, overwrite: true);
            await Eventually.HoldsAsync(() => File.Exists(Log) && Records().Any(static r => r.TryGetProperty("lost", out _)), "the loss is written down");
            file.Add("{\"n\":20000}");
        }

        JsonElement[] records = [.. Records()];
        long lost = records.Where(static r => r.TryGetProperty("lost", out _)).Sum(static r => r.GetProperty("lost").GetInt64());
        Assert.InRange(lost, 1, 10_000);
        Assert.Equal(20_001, records.Count(static r => r.TryGetProperty("n", out _)) + lost);
        Assert.Equal(20_000, records[^1].GetProperty("n").GetInt32());
    }

    [Fact]
    public async Task An_agent_whose_audit_log_cannot_be_written_any_more_goes_on_and_ends()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, AuditFile = "/dev/full" });
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
    }

    [Fact]
    public async Task An_audit_log_that_is_moved_away_is_begun_anew()
    {
        await using var file = new AuditFile(Log, NullLogger.Instance).Start();
        file.Add("{\"n\":1}");
        await Eventually.HoldsAsync(() => Records().Count() == 1, "it is written");
        File.Move(Log, Log + ".1");
        file.Add("{\"n\":2}");
        await Eventually.HoldsAsync(() => File.Exists(Log) && Records().Count() == 1, "it is written to a new file");
        Assert.Equal(2, Records().Single().GetProperty("n").GetInt32());
    }

    [Fact]
    public async Task An_audit_log_that_cannot_be_written_at_all_is_said_at_the_start()
    {
        var error = await Assert.ThrowsAsync<ArgumentException>(() => Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { AuditFile = Path.Combine(_folder, "none", "audit.log") }, ct: Ct));
        Assert.Contains("--audit", error.Message, StringComparison.Ordinal);
    }

    private bool TryFind(string method, string target, string outcome, out JsonElement record)
    {
        record = Records().FirstOrDefault(r => r.TryGetProperty("method", out JsonElement m) && m.GetString() == method
            && r.GetProperty("target").GetString()!.Contains(target, StringComparison.Ordinal) && r.GetProperty("outcome").GetString()!.StartsWith(outcome, StringComparison.Ordinal));
        return record.ValueKind != JsonValueKind.Undefined;
    }

    // The last line may be half written.
    private IEnumerable<JsonElement> Records() =>
        File.ReadAllText(Log) is var all && all.LastIndexOf('\n') is >= 0 and var end ? all[..end].Split('\n').Select(static l => JsonDocument.Parse(l).RootElement) : [];
}
