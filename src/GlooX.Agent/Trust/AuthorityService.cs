using GlooX.Contracts;

namespace GlooX.Trust;

/// <summary>The part of the service named <c>agent</c> that the process of an authority answers.</summary>
[RpcService]
internal interface IAuthorityService
{
    public const string ServiceName = IAgentService.ServiceName;

    [Rpc("alive?")]
    ValueTask<bool> AliveAsync(CancellationToken ct = default);

    /// <summary>As <see cref="IAgentService.RevokeAsync"/>.</summary>
    [Rpc("revoke")]
    ValueTask<RevokedTarget[]> RevokeAsync(string[] targets, CancellationToken ct = default);

    /// <summary>As <see cref="IAgentService.AllowAsync"/>.</summary>
    [Rpc("allow")]
    ValueTask<RevokedTarget[]> AllowAsync(string[] targets, CancellationToken ct = default);
}

internal sealed class AuthorityService(GridRevocations revocations) : IAuthorityService
{
    public static RpcAccess Access { get; } = new()
    {
        Roles = RpcRole.Admin,
        Methods = new Dictionary<string, RpcRole>(StringComparer.Ordinal) { ["alive?"] = RpcRole.Any },
    };

    public ValueTask<bool> AliveAsync(CancellationToken ct) => new(true);

    public async ValueTask<RevokedTarget[]> RevokeAsync(string[] targets, CancellationToken ct) => await revocations.RevokeAsync(targets, ct).ConfigureAwait(false);

    public ValueTask<RevokedTarget[]> AllowAsync(string[] targets, CancellationToken ct) => new(revocations.Allow(targets));
}
