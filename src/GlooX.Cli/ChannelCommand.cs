using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox channel</c>: reads, writes and follows channels; values are JSON.</summary>
internal static class ChannelCommand
{
    public static Command Create()
    {
        Command command = Shared.Command("channel", "Reads, writes and follows channels: maps that all nodes of the grid share.", "gloox channel set channel colour red");
        foreach (Command verb in (Command[])[List(), Create(Name()), Get(Name()), Set(Name()), Delete(Name()), Watch(Name()), Remove(Name())])
        {
            command.Add(verb);
        }

        return command;
    }

    private static Argument<string> Name() => new("NAME") { Description = "The channel" };

    private static Argument<string> Key() => new("KEY") { Description = "The key" };

    private static Command List() => Verb("list", "Shows the names of all channels.", "gloox channel list", [], async (client, _, ct) =>
    {
        foreach (string name in await client.ChannelsAsync(ct))
        {
            Console.WriteLine(name);
        }

        return ExitCode.Done;
    });

    private static Command Create(Argument<string> name)
    {
        var options = new ChannelCreateOptions();
        Command command = Verb(
            "create",
            "Creates a channel on all nodes. It may exist already, with the same options or, when none is given, with any.",
            "gloox channel create jobs --durability every-second",
            [name],
            async (client, parsed, ct) =>
            {
                await client.CreateChannelAsync(parsed.GetValue(name)!, options.Read(parsed), ct);
                Console.WriteLine($"{parsed.GetValue(name)} is there");
                return ExitCode.Done;
            });
        foreach (Option option in options.Options)
        {
            command.Add(option);
        }

        return command;
    }

    private static Command Get(Argument<string> name)
    {
        var key = new Argument<string?>("KEY") { Description = "The key. Default: all of them", Arity = ArgumentArity.ZeroOrOne };
        return Verb("get", "Prints what a key holds, or all keys and values, as JSON.", "gloox channel get channel colour", [name, key], async (client, parsed, ct) =>
        {
            IChannel<object?> channel = client.Channel(parsed.GetValue(name)!);
            if (parsed.GetValue(key) is not { } wanted)
            {
                Dictionary<string, object?> all = await channel.ToDictionaryAsync(ct);
                Console.WriteLine(JsonText.Write(all.OrderBy(e => e.Key, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal), indented: true));
                return ExitCode.Done;
            }

            (bool exists, object? value, _) = await channel.TryGetAsync(wanted, ct);
            if (!exists)
            {
                return await MissingAsync(channel.Name, wanted);
            }

            Console.WriteLine(JsonText.Write(value, indented: true));
            return ExitCode.Done;
        });
    }

    private static Command Set(Argument<string> name)
    {
        Argument<string> key = Key();
        var value = new Argument<string>("VALUE") { Description = "JSON; what is no JSON is a string" };
        return Verb("set", "Sets a key.", "gloox channel set channel colour red", [name, key, value], async (client, parsed, ct) =>
        {
            object? read = JsonText.Read(parsed.GetValue(value)!);
            await client.Channel(parsed.GetValue(name)!).SetAsync(parsed.GetValue(key)!, read, ct: ct);
            Console.WriteLine($"{parsed.GetValue(key)} is {JsonText.Write(read)}");
            return ExitCode.Done;
        });
    }

    private static Command Delete(Argument<string> name)
    {
        Argument<string> key = Key();
        return Verb("delete", "Deletes a key.", "gloox channel delete channel colour", [name, key], async (client, parsed, ct) =>
        {
            IChannel<object?> channel = client.Channel(parsed.GetValue(name)!);
            if (!await channel.DeleteAsync(parsed.GetValue(key)!, ct: ct))
            {
                return await MissingAsync(channel.Name, parsed.GetValue(key)!);
            }

            Console.WriteLine($"{parsed.GetValue(key)} was deleted");
            return ExitCode.Done;
        });
    }

    private static Command Watch(Argument<string> name) => Verb("watch", "Prints what is there, and then every change, one a line, until Ctrl-C.", "gloox channel watch channel", [name], async (client, parsed, ct) =>
    {
        await foreach (ChannelChange<object?> change in client.Channel(parsed.GetValue(name)!).WatchAsync(ct: ct))
        {
            Console.WriteLine(change.IsDelete ? $"delete {JsonText.Write(change.Key)}" : $"set {JsonText.Write(change.Key)} {JsonText.Write(change.Value)}");
        }

        return ExitCode.Done;
    });

    private static Command Remove(Argument<string> name) => Verb("remove", "Removes a channel, with all that it holds, from all nodes.", "gloox channel remove jobs", [name], async (client, parsed, ct) =>
    {
        string channel = parsed.GetValue(name)!;
        if (await client.RemoveChannelAsync(channel, ct))
        {
            Console.WriteLine($"{channel} was removed");
            return ExitCode.Done;
        }

        await Console.Error.WriteLineAsync($"gloox: the grid of {client.Url} has no channel '{channel}' (see: gloox channel list)");
        return ExitCode.Failed;
    });

    private static async Task<int> MissingAsync(string channel, string key)
    {
        await Console.Error.WriteLineAsync($"gloox: channel '{channel}' has no key '{key}' (see: gloox channel get {channel})");
        return ExitCode.Failed;
    }

    private static Command Verb(string name, string what, string example, Argument[] arguments, Func<GlooXClient, ParseResult, CancellationToken, Task<int>> run)
    {
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command(name, what, example);
        foreach (Argument argument in arguments)
        {
            command.Add(argument);
        }

        command.Add(agent);
        command.SetAction(async (parsed, ct) =>
        {
            await using GlooXClient client = new GlooXClient(parsed.GetValue(agent)!);
            return await run(client, parsed, ct);
        });
        return command;
    }
}
