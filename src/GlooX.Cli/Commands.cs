using System.CommandLine;

namespace GlooX.Cli;

/// <summary>The commands of the tool.</summary>
internal static class Commands
{
    public static RootCommand All() => new("""
        GlooX: a grid of agents, and processes on the best machine of it.

        Start an agent on each machine, point it at any other, then spawn:
          gloox agent --url 0.0.0.0:9999
          gloox agent --url 0.0.0.0:9999 --peer other-machine:9999
          gloox spawn Child child.cs
        """)
    {
        AgentCommand.Create(), StatusCommand.Create(), SpawnCommand.Create(), PrepareCommand.Create(), RunCommand.Create(), PsCommand.Create(),
        LogsCommand.Create(), EventsCommand.Create(), CallCommand.Create(), KillCommand.Create(),
        ChannelCommand.Create(), TokenCommand.Create(), JoinCommand.Create(), AuthorityCommand.Create(), CertsCommand.Create(), RevokeCommand.Create(),
    };
}
