using GlooX.Contracts;
using GlooX.Payloads;

namespace GlooX.Bundles;

internal sealed class BundleService(BundleProvider desk) : IBundleService
{
    /// <summary>Who may spawn may send; between agents they travel freely.</summary>
    public static RpcAccess Access { get; } = new()
    {
        Roles = RpcRole.None,
        Methods = new Dictionary<string, RpcRole>(StringComparer.Ordinal)
        {
            ["offer"] = RpcRole.Client | RpcRole.Agent,
            ["receive"] = RpcRole.Client | RpcRole.Agent,
            ["manifest"] = RpcRole.Agent,
            ["read"] = RpcRole.Agent,
        },
    };

    public ValueTask<BundleReply> OfferAsync(byte[] manifest, CancellationToken ct) => BundleReply.OfAsync(() => desk.OfferAsync(BundleManifest.Parse(manifest), ct));

    public ValueTask<BundleReply> ReceiveAsync(byte[] manifest, int[] indexes, IAsyncEnumerable<byte[]> content, CancellationToken ct) => BundleReply.OfAsync(async () =>
    {
        await desk.Store.ReceiveAsync(BundleManifest.Parse(manifest), indexes, content, ct).ConfigureAwait(false);
        return [];
    });

    public async ValueTask<byte[]> ManifestAsync(string id, CancellationToken ct) => (await desk.Store.ManifestAsync(id, ct).ConfigureAwait(false))?.Bytes ?? [];

    public IAsyncEnumerable<byte[]> ReadAsync(string id, int[] indexes, CancellationToken ct) => desk.ReadAsync(id, indexes, ct);
}
