using System.Text.Json;
using GlooX.Workers;

namespace GlooX.Tests.Spawning;

/// <summary>The messages between an agent and a host: each field is written and read by hand, so none may be forgotten.</summary>
public sealed class ControlFormatTests
{
    private static Assignment Full { get; } = new("/bundles/a/Söhne.dll", "/bundles/a.lock", "Demo.Child", [[1, 2, 3], [], [255]], new ProcessOptions
    {
        Url = "127.0.0.1:0",
        ParentUrl = "127.0.0.1:9999",
        Ppid = 4711,
        TmpDir = "/tmp/gloox-1",
        KeepTmpDir = true,
        Daemonize = true,
        Values = new(StringComparer.Ordinal) { ["colour"] = "blue", ["nothing"] = null!, ["empty"] = "", ["Colour"] = new string('é', 70_000) },
    })
    {
        HeapLimitBytes = 48_000_000_000,
        ExitFile = "/home/agents/1.exit",
        AdvertisedHost = "10.1.1.1",
        Revoked = ["node/4b618e02f265\trevoked\t1\t\tadmin", "0A"],
    };

    [Fact]
    public void An_assignment_arrives_with_all_that_it_says_null_values_too()
    {
        HasAll(Full);
        HasAll(Full.Options);
        Assignment read = Sent(w => w.Write(Full), ControlFormat.ReadAssignment);
        Assert.Equal(Json(Full), Json(read));
        Assert.Null(read.Options.Values["nothing"]);
        Assert.False(read.IsPreparation);
    }

    [Fact]
    public void What_is_only_to_be_loaded_arrives_as_that()
    {
        var asked = Assignment.ToPrepare("/bundles/a/a.dll", "/bundles/a.lock");
        Assignment read = Sent(w => w.Write(asked), ControlFormat.ReadAssignment);
        Assert.Equal(Json(asked), Json(read));
        Assert.True(read.IsPreparation);
    }

    [Fact]
    public void A_report_arrives_with_all_that_it_says()
    {
        var report = new HostReport(true, "127.0.0.1:8888", "none") { HeapLimited = true, TryElsewhere = true };
        HasAll(report);
        Assert.Equal(report, Sent(w => w.Write(report), ControlFormat.ReadReport));
        var empty = new HostReport(false, "", "");
        Assert.Equal(empty, Sent(w => w.Write(empty), ControlFormat.ReadReport));
    }

    // A field that is added to a message has to be added above, too: what has its default there would arrive even if nobody sent it.
    private static void HasAll<T>(T message)
        where T : class =>
        Assert.All(typeof(T).GetProperties().Where(static p => p.CanWrite), p => Assert.DoesNotContain(p.GetValue(message), new object?[] { null, "", 0, 0L, false }));

    private static string Json<T>(T message) => JsonSerializer.Serialize(message);

    // All of it is read, and no more.
    private static T Sent<T>(Action<BinaryWriter> fields, Func<BinaryReader, T> read)
    {
        byte[] bytes = ControlFormat.Write(fields);
        Assert.Equal(bytes.Length - sizeof(int), BitConverter.ToInt32(bytes));
        using var reader = new BinaryReader(new MemoryStream(bytes, sizeof(int), bytes.Length - sizeof(int)));
        T message = read(reader);
        Assert.Equal(-1, reader.PeekChar());
        return message;
    }
}
