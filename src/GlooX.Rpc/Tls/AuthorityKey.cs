using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX
{
    /// <summary>Where the key is that an authority issues certificates with.</summary>
    public enum AuthorityKeyState
    {
        /// <summary>Not in this store.</summary>
        Elsewhere = 0,

        /// <summary>In this store, readable for every process of this user.</summary>
        Readable = 1,

        /// <summary>In this store, under a passphrase.</summary>
        Locked = 2,
    }
}

namespace GlooX.Tls
{
    /// <summary>
    /// The key of a store's authority: <c>ca.key</c>, or <c>ca.key.locked</c> under a passphrase. A token of a locked authority carries the key to the agent
    /// where it is used, under the token's secret, which is on no disk.
    /// </summary>
    internal sealed class AuthorityKey(string folder)
    {
        private const int MinPassphrase = 8;

        // OWASP's count for PBKDF2 with SHA-256. The secret of a token is random and needs none.
        private static readonly PbeParameters s_underPassphrase = new(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 600_000);
        private static readonly PbeParameters s_underSecret = new(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1);

        private string Plain => Path.Combine(folder, "ca.key");

        private string Locked => Path.Combine(folder, "ca.key.locked");

        private string Certificate => Path.Combine(folder, "ca.crt");

        public AuthorityKeyState State =>
            File.Exists(Plain) ? AuthorityKeyState.Readable
            : File.Exists(Locked) ? AuthorityKeyState.Locked
            : AuthorityKeyState.Elsewhere;

        /// <exception cref="IdentityException">The passphrase is wrong, or a file is damaged.</exception>
        public X509Certificate2 Open(string passphrase)
        {
            try
            {
                return X509Certificate2.CreateFromEncryptedPemFile(Certificate, passphrase, Locked);
            }
            catch (CryptographicException e)
            {
                throw new IdentityException(Locked, $"the passphrase does not open the authority's key: {e.Message}", e);
            }
        }

        /// <summary>Puts the key under a passphrase.</summary>
        /// <exception cref="ArgumentException">The passphrase is too short.</exception>
        public void Lock(X509Certificate2 authority, string passphrase)
        {
            if (passphrase.Length < MinPassphrase)
            {
                throw new ArgumentException($"a passphrase has at least {MinPassphrase} characters", nameof(passphrase));
            }

            using ECDsa key = authority.GetECDsaPrivateKey()!;
            IdentityStore.Write(Locked, key.ExportEncryptedPkcs8PrivateKeyPem(passphrase, s_underPassphrase));
            File.Delete(Plain);
        }

        /// <summary>Takes the passphrase away.</summary>
        public void Unlock(string passphrase)
        {
            using X509Certificate2 authority = Open(passphrase);
            using ECDsa key = authority.GetECDsaPrivateKey()!;
            IdentityStore.Write(Plain, key.ExportPkcs8PrivateKeyPem());
            File.Delete(Locked);
        }

        public static byte[] Wrap(X509Certificate2 authority, byte[] secret)
        {
            using ECDsa key = authority.GetECDsaPrivateKey()!;
            return key.ExportEncryptedPkcs8PrivateKey(secret, s_underSecret);
        }

        /// <exception cref="CryptographicException">The secret is not that of the token.</exception>
        public X509Certificate2 Unwrap(byte[] wrapped, byte[] secret)
        {
            using X509Certificate2 bare = X509CertificateLoader.LoadCertificateFromFile(Certificate);
            using ECDsa key = ECDsa.Create();
            key.ImportEncryptedPkcs8PrivateKey(secret, wrapped, out _);
            return bare.CopyWithPrivateKey(key);
        }
    }
}
