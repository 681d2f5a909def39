using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox call</c>: calls a method by name; arguments and result are JSON.</summary>
internal static class CallCommand
{
    public static Command Create()
    {
        var url = new Argument<string>("URL") { Description = "The process: HOST:PORT" };
        var method = new Argument<string>("METHOD") { Description = "method, or service/method" };
        var arguments = new Argument<string[]>("ARGS") { Description = "JSON values; what is no JSON is a string", Arity = ArgumentArity.ZeroOrMore };
        Command command = Shared.Command("call", "Calls a method of a process and prints the result as JSON.", "gloox call 127.0.0.1:8888 all_well?");
        command.Add(url);
        command.Add(method);
        command.Add(arguments);
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(url)!, parsed.GetValue(method)!, parsed.GetValue(arguments) ?? [], ct));
        return command;
    }

    private static async Task<int> RunAsync(string url, string method, string[] arguments, CancellationToken ct)
    {
        await using RpcClient client = new RpcClient(url);
        object? result = await client.CallAsync<object>(method, [.. arguments.Select(JsonText.Read)], ct);
        Console.WriteLine(JsonText.Write(result, indented: true));
        return ExitCode.Done;
    }
}
