// A process that writes a journal in a folder, says what it does, and kills itself at a step: FOLDER STEP
using System.Diagnostics;
using System.Globalization;
using GlooX.Channels.Tests;

int left = int.Parse(args[1], CultureInfo.InvariantCulture);
string next = "";
JournalScript.Run(
    args[0],
    operations: 24,
    replaceEach: 8,
    shown => Console.WriteLine($"next {next = shown}"),
    () => Console.WriteLine($"confirmed {next}"),
    step =>
    {
        if (--left == 0)
        {
            Console.WriteLine($"step {step}");
            Process.GetCurrentProcess().Kill();
            Thread.Sleep(Timeout.Infinite); // the signal ends it
        }
    });
