namespace GlooX.Tls;

/// <summary>Where an identity's certificates come from, again and again.</summary>
internal interface IIdentitySource
{
    /// <summary>Tells sources apart.</summary>
    string Key { get; }

    TimeProvider Time { get; }

    /// <summary>Whether it can make certificates for hosts that are asked for.</summary>
    bool Issues { get; }

    /// <summary>Changes when a file does.</summary>
    string Stamp();

    /// <summary>Whether a certificate should be renewed by now.</summary>
    bool IsDue(IdentityParts parts);

    /// <exception cref="IdentityException">It cannot be used.</exception>
    IdentityParts Load(IReadOnlyCollection<string> hosts, RevokedSerials revoked);

    /// <summary>Keeps revoked serial numbers for the next process.</summary>
    /// <exception cref="IdentityException">It cannot be written.</exception>
    void Remember(IReadOnlyList<string> serials);
}
