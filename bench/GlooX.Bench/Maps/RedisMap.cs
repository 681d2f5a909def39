using System.Text;
using StackExchange.Redis;

namespace GlooX.Bench.Maps;

/// <summary>
/// A hash, and a message for each set. Both commands go at once on one connection, so the answer to the second tells that both were done;
/// subscribers get the value with the message and need not ask for it.
/// </summary>
internal sealed class RedisMap : ISharedMap
{
    private static readonly RedisChannel s_changes = RedisChannel.Literal(SharedMap.Name);
    private readonly ConnectionMultiplexer _connection;
    private readonly IDatabase _hash;

    private RedisMap(ConnectionMultiplexer connection, int port) => (_connection, _hash, Port) = (connection, connection.GetDatabase(), port);

    public int Port { get; }

    public static async Task<ISharedMap> ConnectAsync(Identity identity, int port, CancellationToken ct)
    {
        int patience = (int)SharedMap.Patience.TotalMilliseconds;
        var options = new ConfigurationOptions { EndPoints = { { "127.0.0.1", port } }, Ssl = true, AbortOnConnectFail = true, ConnectTimeout = patience, AsyncTimeout = patience };
        options.CertificateSelection += (_, _, _, _, _) => identity.Client;
        options.CertificateValidation += (_, certificate, _, _) => certificate?.GetRawCertData().AsSpan().SequenceEqual(identity.Server.RawDataMemory.Span) == true;
        return new RedisMap(await ConnectionMultiplexer.ConnectAsync(options).WaitAsync(ct), port);
    }

    public ValueTask SetAsync(string key, byte[] value, CancellationToken ct)
    {
        byte[] message = new byte[1 + key.Length + value.Length];
        message[0] = (byte)Encoding.ASCII.GetBytes(key, message.AsSpan(1));
        value.CopyTo(message.AsSpan(1 + key.Length));
        _ = _hash.HashSetAsync(SharedMap.Name, key, value, flags: CommandFlags.FireAndForget);
        return new ValueTask(_hash.PublishAsync(s_changes, message));
    }

    public async Task FollowAsync(Action<string, byte[]> received, CancellationToken ct)
    {
        ChannelMessageQueue queue = await _connection.GetSubscriber().SubscribeAsync(s_changes).WaitAsync(ct);
        queue.OnMessage(message =>
        {
            byte[] bytes = (byte[])message.Message!;
            received(Encoding.ASCII.GetString(bytes, 1, bytes[0]), bytes[(1 + bytes[0])..]);
        });
    }

    public async Task HoldAsync(int count, CancellationToken ct)
    {
        while ((await _hash.HashGetAllAsync(SharedMap.Name).WaitAsync(ct)).Length < count)
        {
            await Task.Delay(1, ct);
        }
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();
}
