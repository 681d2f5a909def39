using GlooX.Trust;

namespace GlooX.Tests;

/// <summary>What an agent believes when another one says that certificates are revoked.</summary>
public sealed class RevocationRuleTests
{
    [Fact]
    public void Nobody_revokes_the_node_that_holds_the_key_of_the_authority() =>
        Assert.Empty(Believed([Said("node/issuer"), Said("node/issuer")], isAdmin: true));

    [Fact]
    public void An_agent_revokes_nodes_and_an_admin_single_certificates_too()
    {
        string[] said = [Said("node/other"), Said("0A0B")];
        Assert.Equal(["node/other"], Believed(said).Select(r => r.Target));
        Assert.Equal(["node/other", "A0B"], Believed(said, isAdmin: true).Select(r => r.Target));
        Assert.Equal(2, RevocationRule.Believed(said, "teller", false, [], issuerNode: null, _ => true).Count);
    }

    [Fact]
    public void Where_the_book_is_only_nodes_of_it_are_revoked() =>
        Assert.Equal(["node/known"], RevocationRule.Believed([Said("node/known"), Said("node/invented")], "teller", false, [], "issuer", n => n == "known").Select(r => r.Target));

    [Fact]
    public void What_an_agent_says_is_kept_under_its_own_name() =>
        Assert.All(Believed([new Revocation("node/x", true, DateTimeOffset.UtcNow, "another", ByAdmin: true).ToString()]), r => Assert.Equal(("teller", false), (r.By, r.ByAdmin)));

    [Fact]
    public void An_agent_that_revokes_without_end_fills_its_own_account_only()
    {
        IReadOnlyList<Revocation> known = Believed([.. Enumerable.Range(0, 20_000).Select(i => Said($"node/n{i}"))]);
        Assert.Equal(RevocationRule.MaxOfAgent, known.Count);
        Assert.Empty(RevocationRule.Believed([Said("node/more")], "teller", false, known, "issuer", _ => true));
        Assert.Single(RevocationRule.Believed([Said("node/more")], "honest", false, known, "issuer", _ => true));
        Assert.Single(RevocationRule.Believed([Said("node/n1")], "teller", false, known, "issuer", _ => true)); // it may say something else of the same
    }

    private static string Said(string target) => new Revocation(target, true, DateTimeOffset.FromUnixTimeMilliseconds(1), "", false).ToString();

    private static IReadOnlyList<Revocation> Believed(string[] said, bool isAdmin = false) => RevocationRule.Believed(said, "teller", isAdmin, [], "issuer", _ => true);
}
