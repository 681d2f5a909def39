namespace GlooX.Processes;

/// <summary>Spawns that were given up just as they were answered: the answer then reaches nobody, and nobody would know of the process.</summary>
internal sealed partial class Spawner
{
    /// <summary>Kills what was spawned under a ticket, if it came to anything.</summary>
    public void Abandon(string ticket)
    {
        foreach (Child child in _children.Values.Where(c => ticket.Length > 0 && c.Request.Ticket == ticket))
        {
            End(child, static p => p.KillAll()); // it is not started again either
        }
    }
}
