// A process that writes a channel into a state file and says what it does, until it is killed: PATH
using GlooX.Channels.Tests;

string next = "";
StoreScript.Run(args[0], operations: 100_000, shown => Console.WriteLine($"next {next = shown}"), () => Console.WriteLine($"confirmed {next}"));
