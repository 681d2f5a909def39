using System.Text;

namespace GlooX.Cli.Tests;

/// <summary>The samples, run as the README says.</summary>
[Trait("Category", "Slow")]
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
    public async Task The_chat_shows_everybody_each_line_once_in_order_and_its_history_to_who_joins()
    {
        await using var shell = new Shell();
        string chat = await shell.BuildAsync("samples/chat/chat.cs");
        string url = Shell.FreeUrl();
        Conversation anna = shell.Talk("dotnet", chat, "anna", "--url", url);
        await anna.HearAsync("anna joined");
        Conversation bert = shell.Talk("dotnet", chat, "bert", "--peer", url);
        await bert.HearAsync("bert joined");
        for (int line = 0; line < 20; line++)
        {
            await anna.SayAsync($"a{line:00}.");
        }

        await bert.HearAsync("anna: a19.");
        await bert.SayAsync("b00.");
        await anna.HearAsync("bert: b00.");
        await anna.SayAsync(new string('x', 20_000));
        await bert.SignalAsync(IgnoresInterrupts() ? "TERM" : "INT");
        Outcome interrupted = await bert.EndAsync();
        Assert.Equal((0, ""), (interrupted.Code, interrupted.Errors));
        await anna.HearAsync("bert left");

        Conversation carl = shell.Talk("dotnet", chat, "carl", "--peer", url);
        await carl.HearAsync("carl joined");
        await carl.SayAsync("c00.");
        carl.FallSilent();
        Outcome left = await carl.EndAsync();
        Assert.Equal((0, ""), (left.Code, left.Errors));
        await anna.HearAsync("carl left");
        await anna.SignalAsync("TERM");
        Outcome last = await anna.EndAsync();
        Assert.Equal(0, last.Code);
        Assert.Single(last.Errors.TrimEnd().Split('\n'));

        string[] all =
        [
            "anna joined", "bert joined", .. Enumerable.Range(0, 20).Select(n => $"anna: a{n:00}."), "bert: b00.", "bert left",
            "carl joined", "carl: c00.", "carl left", "anna left",
        ];
        Assert.Equal(all, Said(anna));
        Assert.Equal(all[..^4], Said(bert));
        Assert.Equal(all[..^1], Said(carl));

        static IEnumerable<string> Said(Conversation one) => one.Heard.Skip(1).Select(line => line[9..]);

        // What a shell runs in the background ignores Ctrl-C, and so does whatever that starts.
        static bool IgnoresInterrupts()
        {
            string ignored = File.ReadLines("/proc/self/status").Single(static l => l.StartsWith("SigIgn:", StringComparison.Ordinal)).Split('\t')[1];
            return (Convert.ToUInt64(ignored, 16) & 2) != 0;
        }
    }

    [Fact]
    public async Task When_the_one_on_duty_is_killed_the_next_takes_over_and_all_agree()
    {
        await using var shell = new Shell();
        string leader = await shell.BuildAsync("samples/leader/leader.cs");
        string first = Shell.FreeUrl(), second = Shell.FreeUrl();
        Conversation anna = shell.Talk("dotnet", leader, "anna", "--url", first);
        await anna.HearAsync("on duty: anna, that is me");
        Conversation bert = shell.Talk("dotnet", leader, "bert", "--url", second, "--peer", first);
        await bert.HearAsync("on duty: anna");
        Conversation carl = shell.Talk("dotnet", leader, "carl", "--peer", second);
        await carl.HearAsync("on duty: anna");

        await anna.KillAsync();
        await Task.WhenAll(bert.HearAsync("on duty: bert, that is me"), carl.HearAsync("on duty: bert"));

        Conversation again = shell.Talk("dotnet", leader, "anna", "--url", first, "--peer", second);
        await again.HearAsync("on duty: bert");
        await bert.KillAsync();
        await Task.WhenAll(carl.HearAsync("on duty: carl, that is me"), again.HearAsync("on duty: carl"));

        await carl.SignalAsync("TERM");
        Outcome stopped = await carl.EndAsync();
        Assert.Equal((0, ""), (stopped.Code, stopped.Errors));
        await again.HearAsync("on duty: anna, that is me");
    }

    [Theory]
    [InlineData("samples/chat/chat.cs")]
    [InlineData("samples/leader/leader.cs")]
    public async Task Samples_that_take_arguments_have_help_and_errors_of_one_line(string sample)
    {
        await using var shell = new Shell();
        Outcome help = await shell.RunAsync("dotnet", "run", sample, "--", "--help");
        Assert.Equal((0, ""), (help.Code, help.Errors));
        Assert.Contains("--peer", help.Output, StringComparison.Ordinal);
        string program = await shell.BuildAsync(sample);
        foreach ((int code, string says, string[] arguments) in new (int, string, string[])[]
        {
            (2, "who are you?", []),
            (2, "'--bogus' makes no sense", ["x", "--bogus"]),
            (1, "connection refused", ["x", "--peer", "127.0.0.1:1"]),
            (1, "nonsense", ["x", "--url", "nonsense"]),
        })
        {
            Outcome wrong = await shell.RunAsync("dotnet", [program, .. arguments]);
            Assert.Equal((code, ""), (wrong.Code, wrong.Output));
            Assert.Contains(says, wrong.Errors, StringComparison.Ordinal);
            Assert.Single(wrong.Errors.TrimEnd().Split('\n'));
        }
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
