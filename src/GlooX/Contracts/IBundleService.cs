using GlooX.Payloads;

namespace GlooX.Contracts;

/// <summary>The service named <c>bundles</c> of every agent: takes bundles from callers, and gives them to other agents.</summary>
[RpcService]
internal interface IBundleService
{
    public const string ServiceName = "bundles";

    /// <summary>Which files of a manifest are missing; with none, the bundle is there from now on.</summary>
    [Rpc("offer", TimeoutMilliseconds = 300_000)]
    ValueTask<BundleReply> OfferAsync(byte[] manifest, CancellationToken ct = default);

    /// <summary>The missing files, one after the other, in pieces of any size.</summary>
    [Rpc("receive", TimeoutMilliseconds = -1)]
    ValueTask<BundleReply> ReceiveAsync(byte[] manifest, int[] indexes, IAsyncEnumerable<byte[]> content, CancellationToken ct = default);

    /// <summary>The manifest of a bundle; empty: it is not here.</summary>
    [Rpc("manifest")]
    ValueTask<byte[]> ManifestAsync(string id, CancellationToken ct = default);

    /// <summary>Files of a bundle that is here, one after the other.</summary>
    [Rpc("read", TimeoutMilliseconds = -1)]
    IAsyncEnumerable<byte[]> ReadAsync(string id, int[] indexes, CancellationToken ct = default);
}

/// <summary>What came of it: what is missing, or what is wrong.</summary>
internal sealed record BundleReply(int[] Missing, string Error)
{
    public static async ValueTask<BundleReply> OfAsync(Func<Task<int[]>> work)
    {
        try
        {
            return new BundleReply(await work().ConfigureAwait(false), "");
        }
        catch (Exception e) when (e is BundleException or IOException or UnauthorizedAccessException)
        {
            return new BundleReply([], e.Message);
        }
    }
}
