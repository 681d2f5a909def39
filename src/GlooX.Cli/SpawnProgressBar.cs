using Spectre.Console;

namespace GlooX.Cli;

/// <summary>Shows on a terminal how far a spawn is.</summary>
internal static class SpawnProgressBar
{
    public static Task<T> ShowAsync<T>(string name, Func<IProgress<SpawnProgress>, Task<T>> spawn) => AnsiConsole.Progress()
        .AutoClear(true)
        .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new DownloadedColumn(), new SpinnerColumn())
        .StartAsync(context => spawn(new Bar(context.AddTask(Markup.Escape(name), new ProgressTaskSettings { MaxValue = 1 }), Markup.Escape(name))));

    // Called by the sender; the display reads it when it draws.
    private sealed class Bar(ProgressTask task, string name) : IProgress<SpawnProgress>
    {
        public void Report(SpawnProgress value)
        {
            task.IsIndeterminate = value.Stage != SpawnStage.Sending;
            task.Description = value.Stage switch
            {
                SpawnStage.Building => $"building {name}",
                SpawnStage.Sending => $"sending {name}",
                _ => $"starting {name}",
            };
            if (value.TotalBytes > 0)
            {
                task.MaxValue = value.TotalBytes;
                task.Value = value.Bytes;
            }
        }
    }
}
