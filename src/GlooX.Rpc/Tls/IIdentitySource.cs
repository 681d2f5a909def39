namespace GlooX.Tls;

/// <summary>The files that an identity follows.</summary>
internal interface IIdentitySource
{
    /// <summary>Distinguishes sources.</summary>
    string Key { get; }

    TimeProvider Time { get; }

    /// <summary>Whether the source can issue certificates for further hosts.</summary>
    bool Issues { get; }

    /// <summary>Changes when a file changes.</summary>
    string Stamp();

    /// <summary>Whether a certificate should be renewed by now.</summary>
    bool IsDue(IdentityParts parts);

    /// <exception cref="IdentityException">The source cannot be used.</exception>
    IdentityParts Load(IReadOnlyCollection<string> hosts, RevocationList revoked);

    /// <summary>Saves revocations for the next process.</summary>
    /// <exception cref="IdentityException">They cannot be written.</exception>
    void Remember(IReadOnlyList<Revocation> said);
}
