using Spectre.Console;

namespace GlooX.Cli.Tests;

/// <summary>What others wrote reaches a terminal as text, and as nothing else.</summary>
public sealed class TerminalTests
{
    [Theory]
    [InlineData("plain, ümlaut, 漢字\tand\ntwo lines", "plain, ümlaut, 漢字\tand\ntwo lines")]
    [InlineData("\u001b]0;title\u0007\u001b[31mred", "\\x1b]0;title\\x07\\x1b[31mred")]
    [InlineData("over\rwritten\b\u007f\u009b2J", "over\\x0dwritten\\x08\\x7f\\x9b2J")]
    [InlineData("gnp.\u202eexe", "gnp.\\u202eexe")]
    public void Control_characters_are_shown_as_what_they_are(string text, string shown)
    {
        using var terminal = new StringWriter();
        using var writer = new TerminalWriter(terminal);
        writer.Write(text);
        writer.Write(text.ToCharArray());
        writer.Write(text.AsSpan());
        writer.WriteLine(text);
        Assert.Equal($"{shown}{shown}{shown}{shown}{Environment.NewLine}", terminal.ToString());
    }

    [Fact]
    public void A_cell_of_a_table_is_no_markup()
    {
        using var output = new StringWriter();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
        Table table = new Table().AddColumns("node", "class");
        Screen.Row(table, "[::1]:9999", "[red]\u001b[31m");
        Screen.Row(table, "[::1]:9998");
        console.Write(table);
        foreach (string cell in (string[])["[::1]:9999", "[::1]:9998", "[red]\\x1b[31m"])
        {
            Assert.Contains(cell, output.ToString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Nodes_and_processes_at_an_IPv6_address_are_listed()
    {
        await using var shell = new Shell();
        string url = $"[::1]:{Shell.FreeUrl().Split(':')[1]}";
        string sleeper = shell["sleeper.sh"];
        await File.WriteAllTextAsync(sleeper, "#!/bin/sh\nexec sleep 100\n", TestContext.Current.CancellationToken);
        await shell.AgentAsync("--url", url);
        Outcome spawned = await shell.GlooXAsync("spawn", "-a", url, sleeper);
        Assert.True(spawned.Code == 0, spawned.Errors);
        foreach (string command in (string[])["status", "ps"])
        {
            Outcome listed = await shell.GlooXAsync(command, "-a", url);
            Assert.Equal("", listed.Errors);
            Assert.Equal(0, listed.Code);
            Assert.Contains(url, listed.Output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task What_a_process_wrote_cannot_give_orders_to_a_terminal_and_is_unchanged_where_it_is_redirected()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "there is no script(1) that would be a terminal");
        await using var shell = new Shell();
        string url = Shell.FreeUrl(), payload = shell["orders.sh"];
        await File.WriteAllTextAsync(payload, "#!/bin/sh\nprintf 'a\\033]0;pwned\\007b\\n'\n", TestContext.Current.CancellationToken);
        await shell.AgentAsync("--url", url);
        Outcome redirected = await shell.GlooXAsync("run", "-a", url, payload);
        Assert.Equal("a\u001b]0;pwned\u0007b\n", redirected.Output);
        Outcome shown = await shell.RunAsync("script", "-qec", $"dotnet {Shell.Tool} run -a {url} {payload}", "/dev/null");
        Assert.Contains("a\\x1b]0;pwned\\x07b", shown.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("pwned\u0007", shown.Output, StringComparison.Ordinal);
    }
}
