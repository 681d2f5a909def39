using GlooX.Payloads;

namespace GlooX.Tests.Bundles;

/// <summary>The folder of builds is kept within a bound.</summary>
public sealed class BuildsTests : IDisposable
{
    private readonly string _root = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"builds-{Guid.NewGuid():N}")).FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Those_not_used_for_longest_go_and_never_one_that_is_held()
    {
        string[] builds = [Build("a", 50), Build("b", 40), Build("c", 30), Build("d", 20)];
        using (FileStream? held = Builds.TryHold(builds[0]))
        {
            Assert.NotNull(held);
            File.SetLastWriteTimeUtc(Builds.LockOf(builds[0]), DateTime.UtcNow.AddDays(-9)); // held for long
            Builds.Trim(_root, 250);
            Assert.Equal(["a", "d"], Left());
            Builds.Trim(_root, 0);
            Assert.Equal(["a"], Left());
        }

        Builds.Trim(_root, 100);
        Assert.Equal(["a"], Left());
        Builds.Trim(_root, 99);
        Assert.Empty(Left());
        Assert.Null(Builds.TryHold(builds[0]));
    }

    [Fact]
    public void A_build_that_is_used_counts_as_new()
    {
        string first = Build("a", 50);
        Build("b", 40);
        Builds.TryHold(first)!.Dispose();
        Builds.Trim(_root, 100);
        Assert.Equal(["a"], Left());
    }

    [Fact]
    public void What_somebody_left_who_died_while_building_goes_and_what_is_being_built_stays()
    {
        Directory.CreateDirectory(Builds.UnfinishedOf(Path.Combine(_root, "dead")));
        Directory.CreateDirectory(Builds.UnfinishedOf(Path.Combine(_root, "busy")));
        string old = Builds.LockOf(Path.Combine(_root, "old"));
        File.WriteAllText(old, "");
        File.SetLastWriteTimeUtc(old, DateTime.UtcNow.AddDays(-2));
        using (File.Open(Builds.LockOf(Path.Combine(_root, "busy")), FileMode.Create, FileAccess.ReadWrite, FileShare.None))
        {
            Builds.Trim(_root, 1_000);
        }

        Assert.Equal(["busy.unfinished"], Left());
        Assert.False(File.Exists(old));
    }

    private string[] Left() => [.. Directory.GetDirectories(_root).Select(static f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    // Of 100 bytes.
    private string Build(string name, int minutesAgo)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_root, name)).FullName;
        File.WriteAllBytes(Path.Combine(folder, "file"), new byte[100]);
        File.WriteAllText(Builds.LockOf(folder), "");
        File.SetLastWriteTimeUtc(Builds.LockOf(folder), DateTime.UtcNow.AddMinutes(-minutesAgo));
        return folder;
    }
}
