using System.CommandLine;
using Spectre.Console;

namespace GlooX.Cli;

/// <summary><c>gloox certs</c>: the certificates of this user.</summary>
internal static class CertsCommand
{
    public static Command Create()
    {
        Command command = Shared.Command("certs", "Shows the certificates of this user, and those that were made for machines that joined.", "gloox certs");
        command.Add(RevokeCommand.CreateAllow());
        command.SetAction(_ => Run());
        return command;
    }

    private static int Run()
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumns("serial", "for", "kind", "role", "valid until (UTC)", "names");
        foreach (CertificateInfo c in Identity.Load().Certificates())
        {
            Screen.Row(
                table, c.Serial, c.Own ? $"this machine ({c.Node})" : c.Node, c.Kind, $"{c.Role}".ToLowerInvariant(), c.Revoked ? "revoked" : $"{c.ValidUntil:yyyy-MM-dd}", string.Join(' ', c.Names));
        }

        Screen.Write(table);
        return ExitCode.Done;
    }
}
