using System.Globalization;
using System.Security.Cryptography;

namespace GlooX.Tls.Join;

/// <summary>What a token grants.</summary>
internal sealed record JoinGrant(RpcRole Role, IReadOnlyList<string> Names)
{
    /// <summary>The authority's key under the token's secret, where it is locked otherwise; null: it is not.</summary>
    public byte[]? Key { get; init; }

    /// <summary>The token's secret, as it was shown; null: none was.</summary>
    public byte[]? Secret { get; init; }
}

/// <summary>
/// The tokens that were created and not yet used: one file each, with a hash of the secret. A token is used by moving its file away, so it works
/// once, at whichever agent of the store.
/// </summary>
internal sealed class JoinTokenStore(string folder, TimeProvider time)
{
    /// <summary>Whether a token waits for its use.</summary>
    public bool Any => Directory.Exists(folder) && Directory.EnumerateFiles(folder).Any();

    public void Add(JoinToken token, JoinGrant grant, TimeSpan validFor)
    {
        GlooXHome.CreateFolder(folder);
        foreach (string old in Directory.GetFiles(folder).Where(f => Read(f) is not { } left || left.Until < time.GetUtcNow()))
        {
            File.Delete(old);
        }

        IdentityStore.Write(PathOf(token.Id), string.Join('\n',
            Convert.ToHexString(SHA256.HashData(token.Secret)), (time.GetUtcNow() + validFor).ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture), CertificateNames.Describe(grant.Role), string.Join(',', grant.Names), grant.Key is null ? "" : Convert.ToBase64String(grant.Key)));
    }

    /// <summary>Whether there is a token with this id.</summary>
    public bool Has(byte[]? id) => id is { Length: JoinToken.IdLength } && File.Exists(PathOf(id));

    /// <summary>Consumes a token, also when the secret is wrong.</summary>
    /// <exception cref="JoinException"><see cref="JoinFailure.UnknownToken"/> or <see cref="JoinFailure.ExpiredToken"/>.</exception>
    public JoinGrant Take(byte[] id, byte[] secret)
    {
        if (!Has(id))
        {
            throw Unknown();
        }

        string taken = Path.Combine(folder, $"taken-{Guid.NewGuid():N}");
        try
        {
            File.Move(PathOf(id), taken);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Unknown();
        }

        try
        {
            if (Read(taken) is not { } grant || !CryptographicOperations.FixedTimeEquals(grant.SecretHash, SHA256.HashData(secret)))
            {
                throw Unknown();
            }

            return grant.Until >= time.GetUtcNow()
                ? grant.Grant with { Secret = secret }
                : throw new JoinException(JoinFailure.ExpiredToken, $"the token expired at {grant.Until:yyyy-MM-dd HH:mm:ss} UTC; create another one with: gloox token");
        }
        finally
        {
            File.Delete(taken);
        }
    }

    private static JoinException Unknown() => new(JoinFailure.UnknownToken, "the token is unknown here: it was used already, or belongs to another machine's agents; create another one with: gloox token");

    private static (byte[] SecretHash, DateTimeOffset Until, JoinGrant Grant)? Read(string file)
    {
        string[] lines = File.ReadAllText(file).Split('\n');
        return lines.Length == 5 && long.TryParse(lines[1], NumberStyles.None, CultureInfo.InvariantCulture, out long until) && CertificateNames.Parse(lines[2]) is { } role
            ? (Convert.FromHexString(lines[0]), DateTimeOffset.FromUnixTimeMilliseconds(until), new JoinGrant(role, lines[3].Split(',', StringSplitOptions.RemoveEmptyEntries)) { Key = lines[4].Length == 0 ? null : Convert.FromBase64String(lines[4]) })
            : null;
    }

    private string PathOf(byte[] id) => Path.Combine(folder, Convert.ToHexStringLower(id));
}
