using System.Buffers.Text;
using System.Security.Cryptography;

namespace GlooX.Tls.Join;

/// <summary>
/// A join token: it names a grant on disk, proves that the joiner received it, and pins the authority, so that the joiner cannot be diverted to
/// another one. As text <c>gloox1_…</c>, with a checksum against typing errors.
/// </summary>
internal sealed record JoinToken(byte[] Id, byte[] Secret, byte[] AuthorityHash)
{
    private const string Prefix = "gloox1_";
    public const int IdLength = 8;
    private const int SecretLength = 16;
    private const int CheckLength = 4;

    public static JoinToken Create(byte[] authority) =>
        new(RandomNumberGenerator.GetBytes(IdLength), RandomNumberGenerator.GetBytes(SecretLength), SHA256.HashData(authority));

    /// <exception cref="JoinException"><see cref="JoinFailure.MalformedToken"/>.</exception>
    public static JoinToken Parse(string text)
    {
        byte[] bytes = [];
        string trimmed = (text ?? "").Trim();
        try
        {
            bytes = trimmed.StartsWith(Prefix, StringComparison.Ordinal) ? Base64Url.DecodeFromChars(trimmed.AsSpan(Prefix.Length)) : [];
        }
        catch (FormatException)
        {
            // reported below
        }

        const int length = IdLength + SecretLength + SHA256.HashSizeInBytes;
        if (bytes.Length != length + CheckLength || !SHA256.HashData(bytes[..length])[..CheckLength].AsSpan().SequenceEqual(bytes.AsSpan(length)))
        {
            throw new JoinException(JoinFailure.MalformedToken, $"this is no complete token: a token begins with {Prefix} and comes from: gloox token");
        }

        return new JoinToken(bytes[..IdLength], bytes[IdLength..(IdLength + SecretLength)], bytes[(IdLength + SecretLength)..length]);
    }

    public bool Pins(byte[] authority) => CryptographicOperations.FixedTimeEquals(AuthorityHash, SHA256.HashData(authority));

    public override string ToString()
    {
        byte[] bytes = [.. Id, .. Secret, .. AuthorityHash];
        return Prefix + Base64Url.EncodeToString([.. bytes, .. SHA256.HashData(bytes)[..CheckLength]]);
    }
}
