using GlooX.Contracts;

namespace GlooX.Payloads;

/// <summary>Sends a bundle to an agent: only what it misses, and once for all spawns of one client that want it at the same time.</summary>
internal sealed class BundleUpload(IBundleService agent)
{
    private const int Rounds = 3;
    private readonly KeyedGate _gate = new();

    /// <exception cref="BundleException">The agent does not take it, or a file cannot be read.</exception>
    /// <exception cref="RpcException">The agent does not answer.</exception>
    public async Task SendAsync(PackedFiles files, IProgress<SpawnProgress>? progress, CancellationToken ct)
    {
        BundleManifest manifest = files.Manifest;
        using IDisposable alone = await _gate.EnterAsync(manifest.Id, ct).ConfigureAwait(false);
        for (int round = 0; round < Rounds; round++)
        {
            int[] missing = Check(await agent.OfferAsync(manifest.Bytes, ct).ConfigureAwait(false));
            if (missing.Length == 0)
            {
                return;
            }

            var sent = new Sent(progress, missing.Sum(i => manifest.Files[i].Size));
            try
            {
                Check(await agent.ReceiveAsync(manifest.Bytes, missing, files.ReadAsync(missing, sent, ct), ct).ConfigureAwait(false));
            }
            catch (RpcException) when (files.Failure is not null)
            {
                throw files.Failure;
            }
        }

        throw new BundleException("its files are dropped as they come: there is not enough room among the bundles of the agent");
    }

    private static int[] Check(BundleReply reply) => reply.Error.Length == 0 ? reply.Missing : throw new BundleException(reply.Error);

    private sealed class Sent : IProgress<long>
    {
        private readonly IProgress<SpawnProgress>? _progress;
        private readonly long _total;
        private long _bytes;

        public Sent(IProgress<SpawnProgress>? progress, long total)
        {
            (_progress, _total) = (progress, total);
            Report(0);
        }

        public void Report(long value) => _progress?.Report(new SpawnProgress(SpawnStage.Sending, _bytes += value, _total));
    }
}
