using GlooX.Channels.Storage;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>Finds the state file of an agent in <see cref="AgentOptions.DataFolder"/>.</summary>
internal static class AgentState
{
    private const string FileName = "agent.db";

    /// <summary>Opens the file or makes it, with its folder. A damaged one is kept under another name, and logged as an error.</summary>
    /// <exception cref="IOException">It cannot be opened, is in use, or the folder has the state of an earlier version.</exception>
    public static StateFile Open(string folder, ILogger logger)
    {
        // Until version 0.1.0 each durable channel was a journal in a folder of its own.
        string journals = Path.Combine(folder, "channels");
        if (Directory.Exists(journals) && Directory.EnumerateFiles(journals, "*.journal").Any())
        {
            throw new IOException(
                $"'{journals}' holds durable channels in the format of an earlier version of GlooX, which this version does not read. " +
                "Move that folder away: the agent then gets the channels from the other nodes of the grid. " +
                "Where there is no other node, first save them with the earlier version: gloox channel get NAME");
        }

        string path = Path.Combine(folder, FileName);
        StateFile file = StateFile.Open(path, out string? damage);
        if (damage is not null)
        {
            logger.DamagedAtStart(path, damage);
        }

        return file;
    }
}
