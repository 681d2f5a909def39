using System.Security.Cryptography.X509Certificates;
using System.Threading.Channels;
using NATS.Client.Core;
using NATS.Client.JetStream;
using NATS.Client.KeyValueStore;

namespace GlooX.Bench.Maps;

/// <summary>A key-value bucket in the server's memory, one value a key, and a watcher.</summary>
internal sealed class NatsMap : ISharedMap
{
    private readonly NatsConnection _connection;
    private readonly INatsKVStore _store;
    private readonly CancellationTokenSource _stop = new();
    private Task _following = Task.CompletedTask;

    private NatsMap(NatsConnection connection, INatsKVStore store, int port) => (_connection, _store, Port) = (connection, store, port);

    public int Port { get; }

    public static async Task<ISharedMap> ConnectAsync(Identity identity, int port, CancellationToken ct)
    {
        var tls = new NatsTlsOpts
        {
            Mode = TlsMode.Require,
            ConfigureClientAuthentication = options =>
            {
                options.ClientCertificates = new X509CertificateCollection { identity.Client };
                options.RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate?.GetRawCertData().AsSpan().SequenceEqual(identity.Server.RawDataMemory.Span) == true;
                return ValueTask.CompletedTask;
            },
        };
        var connection = new NatsConnection(new NatsOpts
        {
            Url = $"tls://127.0.0.1:{port}",
            TlsOpts = tls,
            SubPendingChannelFullMode = BoundedChannelFullMode.Wait,
            ConnectTimeout = SharedMap.Patience,
            RequestTimeout = SharedMap.Patience,
        });
        await connection.ConnectAsync().AsTask().WaitAsync(ct);
        var config = new NatsKVConfig(SharedMap.Name) { History = 1, Storage = NatsKVStorageType.Memory };
        return new NatsMap(connection, await new NatsKVContext(new NatsJSContext(connection)).CreateStoreAsync(config, ct), port);
    }

    public async ValueTask SetAsync(string key, byte[] value, CancellationToken ct) => await _store.PutAsync(key, value, cancellationToken: ct);

    /// <summary>The watcher begins with what is there, so it is in force when it has told a set of its own.</summary>
    public async Task FollowAsync(Action<string, byte[]> received, CancellationToken ct)
    {
        string own = $"watch-{Environment.ProcessId}";
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await _store.PutAsync(own, Array.Empty<byte>(), cancellationToken: ct);
        _following = Task.Run(
            async () =>
            {
                await foreach (NatsKVEntry<byte[]> entry in _store.WatchAsync<byte[]>(cancellationToken: _stop.Token))
                {
                    if (entry.Key == own)
                    {
                        begun.TrySetResult();
                    }
                    else if (entry.Value is { Length: > 0 } value)
                    {
                        received(entry.Key, value);
                    }
                }
            },
            ct);
        await (await Task.WhenAny(begun.Task, _following).WaitAsync(ct));
        await _store.DeleteAsync(own, cancellationToken: ct);
    }

    public async Task HoldAsync(int count, CancellationToken ct)
    {
        var held = new HashSet<string>(count, StringComparer.Ordinal);
        await foreach (NatsKVEntry<byte[]> entry in _store.WatchAsync<byte[]>(cancellationToken: ct))
        {
            if (entry.Value is { Length: > 0 } && held.Add(entry.Key) && held.Count >= count)
            {
                return;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAny(_following, Task.Delay(TimeSpan.FromSeconds(2)));
        await _connection.DisposeAsync();
        _stop.Dispose();
    }
}
