using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GlooX.Tls.Join;

namespace GlooX.Rpc.Tests.Protocol.Fuzzing;

/// <summary>Spoiled messages of joining, which anybody who reaches the port may send.</summary>
public sealed class JoinFuzzTests
{
    [Fact]
    public async Task Spoiled_messages_of_joining_are_refused()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        byte[] request = new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256).CreateSigningRequest();
        byte[][] messages =
        [
            await BytesAsync(new JoinOffer(1, [1, 2, 3])),
            await BytesAsync(new JoinRequest(1, new byte[16], new byte[16], [request, request])),
            await BytesAsync(new JoinReply(JoinFailure.Refused, "no", [[1], [2]], ["name"])),
        ];
        ByteFuzzer.Run([.. messages], Read, static e => e is JoinException or IOException);
    }

    private static void Read(byte[] bytes)
    {
        Type[] kinds = [typeof(JoinOffer), typeof(JoinRequest), typeof(JoinReply)];
        Exception? refusal = null;
        foreach (Type kind in kinds)
        {
            try
            {
                using var stream = new MemoryStream(bytes);
                Task reading = kind == typeof(JoinOffer) ? JoinMessages.ReadAsync<JoinOffer>(stream, default)
                    : kind == typeof(JoinRequest) ? JoinMessages.ReadAsync<JoinRequest>(stream, default)
                    : JoinMessages.ReadAsync<JoinReply>(stream, default);
                reading.GetAwaiter().GetResult();
            }
            catch (JoinException e)
            {
                refusal = e; // of another kind, or spoiled
            }
        }

        _ = refusal;
    }

    private static async Task<byte[]> BytesAsync<T>(T message)
    {
        using var stream = new MemoryStream();
        await JoinMessages.WriteAsync(stream, message, default);
        return stream.ToArray();
    }
}
