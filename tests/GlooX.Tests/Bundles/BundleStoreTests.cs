using System.Security.Cryptography;
using System.Text;
using GlooX.Bundles;
using GlooX.Channels.Replication;
using GlooX.Payloads;
using GlooX.Processes;

namespace GlooX.Tests.Bundles;

/// <summary>What is kept, what is refused, and what goes when there is no more room.</summary>
public sealed class BundleStoreTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"store-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task What_was_received_is_laid_out_as_it_was_and_a_second_bundle_brings_only_what_is_new()
    {
        using BundleStore store = Open();
        Made first = Make(("run.sh", "echo 1", true), ("lib/a.txt", "same", false), ("lib/deep/b.txt", "same", false), ("empty", "", false));
        Assert.Null(store.TryLease(first.Manifest.Id));
        int[] missing = store.Missing(first.Manifest);
        Assert.Equal(3, missing.Length); // of equal ones the first
        await PutAsync(store, first);
        using BundleLease lease = store.TryLease(first.Manifest.Id)!;
        Assert.Equal("same", await File.ReadAllTextAsync(Path.Combine(lease.Folder, "lib/deep/b.txt"), Ct));
        Assert.Equal("", await File.ReadAllTextAsync(Path.Combine(lease.Folder, "empty"), Ct));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.Combine(lease.Folder, "run.sh")));
        Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(Path.Combine(lease.Folder, "lib/a.txt")));

        Made second = Make(("run.sh", "echo 2", true), ("lib/a.txt", "same", false));
        Assert.Equal("run.sh", second.Manifest.Files[Assert.Single(store.Missing(second.Manifest))].Path);
    }

    [Fact]
    public async Task Another_store_in_the_same_folder_sees_what_is_there()
    {
        using BundleStore one = Open(), two = Open();
        Made made = Make(("a", "content", false));
        await PutAsync(one, made);
        Assert.Empty(two.Missing(made.Manifest));
        using BundleLease? lease = two.TryLease(made.Manifest.Id);
        Assert.NotNull(lease);
    }

    [Fact]
    public async Task A_liar_keeps_nothing_here()
    {
        using BundleStore store = Open();
        Made made = Make(("a", "content", false), ("b", "more", false));
        foreach ((string lie, string said) in new[] { ("contenT" + "more", "other content"), ("cont", "ended"), ("contentmore!", "more content came"), ("content", "ended") })
        {
            var error = await Assert.ThrowsAsync<BundleException>(() => store.ReceiveAsync(made.Manifest, [0, 1], PiecesAsync(lie), Ct));
            Assert.Contains(said, error.Message, StringComparison.Ordinal);
            Assert.False(store.Has(made.Manifest.Id));
        }

        // What was right before the lie stays: it is what it is called.
        Assert.All(Directory.GetFiles(Path.Combine(_folder, "files"), "*", SearchOption.AllDirectories), static f => Assert.Equal(Path.GetFileName(f), Hash(File.ReadAllText(f))));
        Assert.DoesNotContain(Directory.GetFiles(Path.Combine(_folder, "incoming"), "*", SearchOption.AllDirectories), static f => !f.EndsWith(".lock", StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_endless_sender_is_cut_off_where_the_announced_size_ends()
    {
        using BundleStore store = Open();
        Made made = Make(("a", "content", false));
        long sent = 0;
        await Assert.ThrowsAsync<BundleException>(() => store.ReceiveAsync(made.Manifest, [0], EndlessAsync(n => sent = n), Ct));
        Assert.InRange(sent, 1, 2);

        static async IAsyncEnumerable<byte[]> EndlessAsync(Action<long> count)
        {
            for (long n = 1; ; n++)
            {
                count(n);
                await Task.Yield();
                yield return "content"u8.ToArray();
            }
        }
    }

    [Fact]
    public async Task A_manifest_that_lies_of_a_size_takes_nothing_away()
    {
        using BundleStore store = Open();
        Made made = Make(("a", "content", false));
        await PutAsync(store, made);
        Assert.Equal([0], store.Missing(BundleManifest.Of([made.Manifest.Files[0] with { Size = 5 }])));
        Assert.Empty(store.Missing(made.Manifest));
    }

    [Theory]
    [InlineData(new[] { -1 })]
    [InlineData(new[] { 2 })]
    [InlineData(new[] { 0, 0 })]
    [InlineData(new[] { 1, 0 })]
    public async Task Indexes_that_are_none_are_refused(int[] indexes)
    {
        using BundleStore store = Open();
        Made made = Make(("a", "1", false), ("b", "2", false));
        await Assert.ThrowsAsync<BundleException>(() => store.ReceiveAsync(made.Manifest, indexes, PiecesAsync("12"), Ct));
    }

    [Theory]
    [InlineData("")]
    [InlineData("..")]
    [InlineData("../../../../../../etc")]
    [InlineData("nobody")]
    public void An_id_that_is_none_is_nowhere(string id)
    {
        using BundleStore store = Open();
        Assert.False(store.Has(id));
        Assert.Null(store.TryLease(id));
    }

    [Fact]
    public async Task More_than_there_is_room_for_is_refused_before_it_comes()
    {
        using BundleStore store = Open(maxBytes: 100);
        BundleManifest huge = BundleManifest.Of([new BundleFile("bomb", 1L << 40, Hash(""), false)]);
        bool asked = false;
        var error = await Assert.ThrowsAsync<BundleException>(() => store.ReceiveAsync(huge, [0], AskedAsync(), Ct));
        Assert.Contains("MaxBundleBytes", error.Message, StringComparison.Ordinal);
        Assert.False(asked);

        async IAsyncEnumerable<byte[]> AskedAsync()
        {
            asked = true;
            await Task.Yield();
            yield return [];
        }
    }

    [Fact]
    public async Task Uploads_at_once_do_not_get_the_same_room()
    {
        // Two processes share the folder.
        using BundleStore one = Open(1000), two = Open(1000);
        Made first = Make(("a", new string('a', 600), false)), second = Make(("b", new string('b', 600), false)), third = Make(("c", new string('c', 300), false));
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task upload = one.ReceiveAsync(first.Manifest, [0], GatedAsync(new string('a', 600)), Ct);
        await begun.Task.WaitAsync(Ct);
        foreach (BundleStore store in new[] { one, two })
        {
            var error = await Assert.ThrowsAsync<BundleException>(() => store.ReceiveAsync(second.Manifest, [0], PiecesAsync(new string('b', 600)), Ct));
            Assert.Contains("there is no room for 600 bytes", error.Message, StringComparison.Ordinal);
            Assert.Single(store.Missing(second.Manifest));
        }

        await two.ReceiveAsync(third.Manifest, [0], PiecesAsync(new string('c', 300)), Ct); // beside it there is room for this one
        goOn.SetResult();
        await upload;
        Assert.Empty(two.Missing(first.Manifest));
        Assert.Empty(Directory.GetFiles(Path.Combine(_folder, "incoming"), "*.reserved", SearchOption.AllDirectories));

        async IAsyncEnumerable<byte[]> GatedAsync(string content)
        {
            begun.SetResult();
            await goOn.Task.WaitAsync(Ct);
            yield return Encoding.UTF8.GetBytes(content);
        }
    }

    [Fact]
    public async Task An_upload_that_breaks_off_gives_its_room_back()
    {
        using BundleStore store = Open(1000);
        Made first = Make(("a", new string('a', 900), false)), second = Make(("b", new string('b', 900), false));
        await Assert.ThrowsAsync<BundleException>(() => store.ReceiveAsync(first.Manifest, [0], PiecesAsync("a"), Ct));
        await store.ReceiveAsync(second.Manifest, [0], PiecesAsync(new string('b', 900)), Ct);
        Assert.Empty(store.Missing(second.Manifest));
    }

    [Fact]
    public async Task What_was_not_used_for_longest_goes_first_and_never_what_is_held_by_any_process()
    {
        using BundleStore store = Open(maxBytes: 300), other = Open(maxBytes: 300);
        Made held = Make(("a", new string('a', 100), false)), old = Make(("b", new string('b', 100), false)), newer = Make(("c", new string('c', 100), false)), next = Make(("d", new string('d', 90), false));
        int age = 3;
        foreach (Made made in new[] { held, old, newer })
        {
            await PutAsync(store, made);
            File.SetLastWriteTimeUtc(Path.Combine(_folder, "locks", made.Manifest.Id), DateTime.UtcNow.AddHours(-age--));
        }

        BundleLease lease = other.TryLease(held.Manifest.Id)!;
        File.SetLastWriteTimeUtc(lease.LockFile, DateTime.UtcNow.AddHours(-9)); // the oldest of all
        await PutAsync(store, next);
        Assert.Equal([true, false, true, true], new[] { held, old, newer, next }.Select(m => store.Has(m.Manifest.Id)));
        Assert.Equal(new string('a', 100), await File.ReadAllTextAsync(Path.Combine(lease.Folder, "a"), Ct));

        using BundleLease second = store.TryLease(newer.Manifest.Id)!, third = store.TryLease(next.Manifest.Id)!;
        await Assert.ThrowsAsync<BundleException>(() => PutAsync(store, old)); // all that is there is held
        lease.Dispose();
        await PutAsync(store, old);
        Assert.False(store.Has(held.Manifest.Id));
        Assert.True(Directory.GetFiles(Path.Combine(_folder, "files"), "*", SearchOption.AllDirectories).Sum(static f => new FileInfo(f).Length) <= 300);
    }

    [Fact]
    public async Task Files_that_another_bundle_has_too_stay_when_one_goes()
    {
        using BundleStore store = Open(maxBytes: 250);
        Made one = Make(("shared", new string('s', 100), false), ("one", new string('1', 100), false));
        Made two = Make(("shared", new string('s', 100), false), ("two", new string('2', 50), false));
        await PutAsync(store, one);
        await PutAsync(store, two);
        File.SetLastWriteTimeUtc(Path.Combine(_folder, "locks", one.Manifest.Id), DateTime.UtcNow.AddHours(-1));
        await PutAsync(store, Make(("three", new string('3', 100), false)));
        Assert.False(store.Has(one.Manifest.Id));
        Assert.Empty(store.Missing(two.Manifest));
        Assert.Single(store.Missing(one.Manifest));
    }

    [Fact]
    public async Task Uploads_of_the_same_bundle_at_once_do_no_harm()
    {
        using BundleStore one = Open(), two = Open();
        Made made = Make([.. Enumerable.Range(0, 20).Select(static i => ($"f{i}", $"content {i}", i % 5 == 0))]);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(() => PutAsync(i % 2 == 0 ? one : two, made), Ct)));
        using BundleLease lease = two.TryLease(made.Manifest.Id)!;
        Assert.Equal(20, Directory.GetFiles(lease.Folder).Length);
        Assert.All(made.Manifest.Files, f => Assert.Equal(f.Hash, Hash(File.ReadAllText(Path.Combine(lease.Folder, f.Path)))));
    }

    [Fact]
    public void What_a_process_that_died_has_left_is_swept_and_what_a_living_one_makes_is_not()
    {
        using BundleStore living = Open();
        string incoming = Path.Combine(_folder, "incoming");
        string dead = Directory.CreateDirectory(Path.Combine(incoming, "dead")).FullName;
        File.WriteAllText(Path.Combine(dead, "half"), "ha");
        File.WriteAllText(dead + ".lock", "");
        Directory.CreateDirectory(Path.Combine(incoming, "without"));
        File.WriteAllText(Path.Combine(incoming, "alone.lock"), "");
        using BundleStore next = Open();
        Assert.False(Directory.Exists(dead));
        Assert.Equal(2, Directory.GetDirectories(incoming).Length);
        Assert.Equal(2, Directory.GetFiles(incoming, "*.lock").Length);
    }

    [Fact]
    public async Task A_file_that_was_written_into_is_none_of_the_store_any_more()
    {
        using BundleStore store = Open();
        Made made = Make(("a", "content", false));
        await PutAsync(store, made);
        string stored = Assert.Single(Directory.GetFiles(Path.Combine(_folder, "files"), "*", SearchOption.AllDirectories));
        File.SetUnixFileMode(stored, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await File.WriteAllTextAsync(stored, "CONTENT", Ct);
        Assert.Equal([0], store.Missing(made.Manifest));
        Assert.Empty(Directory.GetFiles(Path.Combine(_folder, "files"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task A_link_to_a_file_is_packed_as_the_file_and_one_to_a_folder_is_refused()
    {
        string packed = Directory.CreateDirectory(Path.Combine(_folder, "payload")).FullName;
        await File.WriteAllTextAsync(Path.Combine(_folder, "outside"), "outside", Ct);
        File.CreateSymbolicLink(Path.Combine(packed, "file"), Path.Combine(_folder, "outside"));
        PackedFiles files = await PackedFiles.PackAsync(FolderFiles.Of(packed), null, Ct);
        Assert.Equal((7, Hash("outside")), (files.Manifest.Files[0].Size, files.Manifest.Files[0].Hash)); // the content, as the caller sees it
        Directory.CreateSymbolicLink(Path.Combine(packed, "round"), packed);
        Assert.Contains("link to a folder", Assert.Throws<BundleException>(() => FolderFiles.Of(packed)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_was_changed_at_once_with_its_size_kept_is_read_again()
    {
        string file = Path.Combine(_folder, "changing");
        List<string> seen = [];
        foreach (string content in new[] { "one", "two", "six" })
        {
            await File.WriteAllTextAsync(file, content, Ct);
            seen.Add(await FileHashes.OfAsync(new FileInfo(file), Ct));
        }

        Assert.Equal(new[] { "one", "two", "six" }.Select(Hash), seen);
    }

    private BundleStore Open(long maxBytes = 1_000_000) => new(_folder, maxBytes);

    private static async Task PutAsync(BundleStore store, Made made)
    {
        if (store.Missing(made.Manifest) is { Length: > 0 } missing)
        {
            await store.ReceiveAsync(made.Manifest, missing, PiecesAsync(string.Concat(missing.Select(i => made.Contents[made.Manifest.Files[i].Path]))), Ct);
        }

        Assert.True(await store.LayOutAsync(made.Manifest, Ct));
    }

    // In pieces that end anywhere.
    private static async IAsyncEnumerable<byte[]> PiecesAsync(string content)
    {
        for (int i = 0; i < content.Length; i += 5)
        {
            await Task.Yield();
            yield return Encoding.UTF8.GetBytes(content[i..Math.Min(i + 5, content.Length)]);
        }
    }

    private static Made Make(params (string Path, string Content, bool Executable)[] files) => new(
        BundleManifest.Of(files.Select(static f => new BundleFile(f.Path, f.Content.Length, Hash(f.Content), f.Executable))),
        files.ToDictionary(static f => f.Path, static f => f.Content));

    private static string Hash(string content) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(content)));

    private sealed record Made(BundleManifest Manifest, Dictionary<string, string> Contents);
}
