using System.Text;

namespace GlooX.Cli.Tests;

/// <summary>The samples, run as the README says.</summary>
public sealed class SampleTests
{
    [Fact]
    public async Task The_demo_prints_where_the_child_went_and_its_answers_and_leaves_nothing()
    {
        await using var shell = new Shell();
        Outcome demo = await shell.RunAsync("dotnet", "run", "samples/demo/demo.cs");
        Assert.Equal(0, demo.Code);
        string[] lines = demo.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Contains("the child runs on 127.0.0.1:9997", lines);
        Assert.Equal(2, lines.Count(l => l == "yes!"));
        Assert.Contains("Child | True", lines);
        Assert.Equal(1, (await shell.GlooXAsync("call", "127.0.0.1:8888", "all_well?")).Code);
    }

    [Fact]
    public async Task The_groups_print_what_the_other_node_set()
    {
        await using var shell = new Shell();
        Outcome groups = await shell.RunAsync("dotnet", "run", "samples/groups/groups.cs");
        Assert.Equal((0, ""), (groups.Code, groups.Errors));
        Assert.EndsWith("a1 => 99\n99\n", groups.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_add_on_answers()
    {
        await using var shell = new Shell();
        Outcome poll = await shell.RunAsync("dotnet", "run", "samples/addons/poll.cs");
        Assert.Equal((0, ""), (poll.Code, poll.Errors));
        Assert.EndsWith("polled: ping\n", poll.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_word_count_is_that_of_wc()
    {
        await using var shell = new Shell();
        string folder = shell["texts"];
        Directory.CreateDirectory(folder);
        Random random = new(20261124);
        string[] pieces =
        [
            "word", " ", "\n", "\t", "naïve", "—", "\0", "dash-ed", "\r\n", "日本", "😀", "\u00A0", "\u2060", "\u2003", "\u3000", "\u0085", "\u2028", "\u2029",
        ];
        for (int file = 0; file < 30; file++)
        {
            var text = new StringBuilder();
            for (int i = random.Next(300); i > 0; i--)
            {
                text.Append(pieces[random.Next(pieces.Length)]);
            }

            await File.WriteAllTextAsync(Path.Combine(folder, $"{file:00}.txt"), text.ToString());
        }

        // Characters that begin in one file and end in another, or in the one after that.
        byte[] cut = Encoding.UTF8.GetBytes("日 本\u2003😀x\u3000y— z");
        for (int at = 0, length; at < cut.Length; at += length)
        {
            length = Math.Min(random.Next(1, 3), cut.Length - at);
            await File.WriteAllBytesAsync(Path.Combine(folder, $"cut{at:00}.txt"), cut[at..(at + length)]);
        }

        int files = Directory.GetFiles(folder).Length + 1;
        File.CreateSymbolicLink(Path.Combine(folder, "dangling"), shell["nowhere"]);
        File.CreateSymbolicLink(Path.Combine(folder, "loop"), Path.Combine(folder, "loop"));
        await File.WriteAllBytesAsync(Path.Combine(folder, "latin1.txt"), Encoding.Latin1.GetBytes("caf\u00E9 \u00E9 au lait"));
        Outcome wc = await shell.RunAsync("sh", "-c", $"cat {folder}/* | wc -w");
        Outcome ours = await shell.RunAsync("dotnet", "run", "samples/wordcount/wordcount.cs", "--", folder);
        Assert.Equal((0, ""), (ours.Code, ours.Errors));
        Assert.EndsWith($"\n{wc.Output.Trim()} words in {files} files\n", ours.Output, StringComparison.Ordinal);
        Assert.Equal(3, ours.Output.Split('\n').Where(l => l.StartsWith("a counter runs on", StringComparison.Ordinal)).Distinct().Count());

        Outcome missing = await shell.RunAsync("dotnet", "run", "--no-build", "samples/wordcount/wordcount.cs", "--", shell["nowhere"]);
        Assert.Equal(1, missing.Code);
        Assert.StartsWith($"there is no folder {shell["nowhere"]}", missing.Errors, StringComparison.Ordinal);
        Assert.Single(missing.Errors.TrimEnd().Split('\n'));
    }
}
