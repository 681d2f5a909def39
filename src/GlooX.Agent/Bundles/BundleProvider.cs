using System.Runtime.CompilerServices;
using GlooX.Contracts;
using GlooX.Payloads;

namespace GlooX.Bundles;

/// <summary>
/// Gets an agent the bundles that it is to run: from its store, else from the agent that the caller asked, else from any other that has it. What
/// one that breaks off has sent is not fetched again from the next.
/// </summary>
internal sealed class BundleProvider(BundleStore store, Func<string, IBundleService> service, Func<IReadOnlyList<string>> peers) : IDisposable
{
    // Files may be dropped between being counted and being used, where the store is nearly full.
    private const int Rounds = 3;
    private static readonly TimeSpan s_ask = TimeSpan.FromSeconds(10);
    private readonly KeyedGate _gate = new();

    public BundleStore Store => store;

    /// <summary>What is missing of a bundle; with nothing, it is laid out.</summary>
    public async Task<int[]> OfferAsync(BundleManifest manifest, CancellationToken ct)
    {
        if (store.Has(manifest.Id))
        {
            return [];
        }

        using IDisposable alone = await _gate.EnterAsync(manifest.Id, ct).ConfigureAwait(false);
        for (int round = 0; round < Rounds; round++)
        {
            if (store.Missing(manifest) is { Length: > 0 } missing)
            {
                return missing;
            }

            if (await store.LayOutAsync(manifest, ct).ConfigureAwait(false))
            {
                return [];
            }
        }

        throw new BundleException("its files are dropped as they come: there is not enough room among the bundles of this node");
    }

    /// <summary>The bundle, laid out here; the caller disposes it when nothing of it runs any more.</summary>
    /// <exception cref="BundleException">Nobody has it, or it cannot be kept.</exception>
    public async Task<BundleLease> ObtainAsync(string id, string source, CancellationToken ct)
    {
        if (store.TryLease(id) is { } here)
        {
            return here;
        }

        if (!BundleManifest.IsHash(id))
        {
            throw new BundleException($"'{id}' names no bundle");
        }

        using IDisposable alone = await _gate.EnterAsync(id, ct).ConfigureAwait(false);
        List<string> failures = [];
        foreach (string url in (IEnumerable<string>)[source, .. peers().Where(p => p != source)])
        {
            try
            {
                if (store.TryLease(id) is { } meanwhile)
                {
                    return meanwhile;
                }

                if (url.Length > 0 && await FetchAsync(id, service(url), ct).ConfigureAwait(false) is { } fetched)
                {
                    return fetched;
                }
            }
            catch (Exception e) when (e is RpcException or BundleException or IOException or UnauthorizedAccessException || (e is OperationCanceledException && !ct.IsCancellationRequested))
            {
                failures.Add($"from {url}: {e.Message}");
            }
        }

        throw new BundleException(failures.Count == 0 ? "nobody who is reachable has its files" : $"its files were not got {string.Join("; ", failures)}");
    }

    public async IAsyncEnumerable<byte[]> ReadAsync(string id, int[] indexes, [EnumeratorCancellation] CancellationToken ct)
    {
        using BundleLease lease = store.TryLease(id) ?? throw new BundleException("the bundle is not here any more");
        BundleManifest manifest = await store.ManifestAsync(id, ct).ConfigureAwait(false) ?? throw new BundleException("the bundle is not here any more");
        if (Array.Exists(indexes, i => i < 0 || i >= manifest.Files.Count))
        {
            throw new BundleException("the bundle has no such file");
        }

        await foreach (byte[] piece in PackedFiles.In(lease.Folder, manifest).ReadAsync(indexes, null, ct).ConfigureAwait(false))
        {
            yield return piece;
        }
    }

    public void Dispose() => store.Dispose();

    private async Task<BundleLease?> FetchAsync(string id, IBundleService from, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_ask);
        byte[] list = await from.ManifestAsync(id, limit.Token).ConfigureAwait(false);
        if (list.Length == 0)
        {
            return null; // it does not have it
        }

        BundleManifest manifest = BundleManifest.Parse(list);
        if (manifest.Id != id)
        {
            throw new BundleException("it sent the list of another bundle");
        }

        for (int round = 0; round < Rounds; round++)
        {
            if (store.Missing(manifest) is { Length: > 0 } missing)
            {
                await store.ReceiveAsync(manifest, missing, from.ReadAsync(id, missing, ct), ct).ConfigureAwait(false);
            }

            if (await store.LayOutAsync(manifest, ct).ConfigureAwait(false) && store.TryLease(id) is { } lease)
            {
                return lease;
            }
        }

        throw new BundleException("its files are dropped as they come: there is not enough room among the bundles of this node");
    }
}
