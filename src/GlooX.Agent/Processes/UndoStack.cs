using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>What takes back the steps of an operation, last step first, unless the operation has got to its end. Not thread-safe.</summary>
internal sealed class UndoStack(string operation, ILogger logger)
{
    private readonly Stack<Func<Task>> _steps = [];

    /// <summary>Adds the undo of a step that has succeeded.</summary>
    public void Push(Func<Task> undo) => _steps.Push(undo);

    /// <inheritdoc cref="Push(Func{Task})"/>
    public void Push(Action undo) => Push(() =>
    {
        undo();
        return Task.CompletedTask;
    });

    /// <summary>The steps stay: the operation has succeeded, or another owner undoes them from here on.</summary>
    public void Clear() => _steps.Clear();

    /// <summary>Undoes what is left. An undo that fails is logged, and the ones below are run all the same.</summary>
    public async Task UndoAsync()
    {
        while (_steps.TryPop(out Func<Task>? undo))
        {
            try
            {
                await undo().ConfigureAwait(false);
            }
#pragma warning disable CA1031 // Logged: the other steps are undone all the same.
            catch (Exception e)
#pragma warning restore CA1031
            {
                logger.UndoFailed(e, operation);
            }
        }
    }
}
