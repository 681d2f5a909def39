using System.Buffers.Binary;
using System.Globalization;

namespace GlooX.Rpc.Tests.Protocol.Fuzzing;

/// <summary>
/// Feeds spoiled bytes to what reads a message: whatever comes must be read or refused, with an exception that callers expect, and without
/// taking more memory than a message may. Seeded; <c>tests/fuzz.sh</c> sets count and seed.
/// </summary>
internal static class ByteFuzzer
{
    private const int Seed = 20261130;
    private const int Quick = 20_000;
    private const long MostAllocated = 64L << 20;
    private static readonly long[] s_numbers = [0, 1, -1, 0x7F, 0x80, 0xFF, short.MaxValue, ushort.MaxValue, int.MaxValue, int.MinValue, uint.MaxValue, long.MaxValue, long.MinValue];

    /// <summary>Spoils messages and reads each.</summary>
    /// <param name="messages">Messages that are right.</param>
    /// <param name="read">Reads one.</param>
    /// <param name="isRefusal">Whether an exception is a refusal that callers expect.</param>
    public static void Run(IReadOnlyList<byte[]> messages, Action<byte[]> read, Func<Exception, bool> isRefusal)
    {
        int count = Setting("GLOOX_FUZZ_BYTES", Quick);
        var random = new Random(Setting("GLOOX_FUZZ_SEED", Seed));
        foreach (byte[] message in messages)
        {
            read(message); // as it is
        }

        for (int i = 0; i < count; i++)
        {
            byte[] spoiled = Spoil(messages, random);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                read(spoiled);
            }
            catch (Exception e) when (isRefusal(e))
            {
                // as it should be
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"{e.GetType()} for {Convert.ToHexString(spoiled)}", e);
            }

            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (allocated > MostAllocated)
            {
                throw new InvalidOperationException($"{allocated} bytes were taken for {Convert.ToHexString(spoiled)}");
            }
        }
    }

    private static byte[] Spoil(IReadOnlyList<byte[]> messages, Random random)
    {
        List<byte> bytes = [.. messages[random.Next(messages.Count)]];
        for (int n = random.Next(1, 5); n > 0; n--)
        {
            int at = random.Next(bytes.Count + 1);
            int rest = bytes.Count - at;
            switch (random.Next(8))
            {
                case 0 when rest > 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1 when rest > 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                case 3 when rest > 0:
                    bytes.RemoveRange(at, random.Next(1, Math.Min(rest, 16) + 1));
                    break;
                case 4:
                    bytes.RemoveRange(at, rest);
                    break;
                case 5 when rest > 0:
                    bytes.InsertRange(at, bytes.GetRange(at, random.Next(1, Math.Min(rest, 64) + 1)));
                    break;
                case 6:
                    byte[] number = new byte[sizeof(long)];
                    BinaryPrimitives.WriteInt64LittleEndian(number, s_numbers[random.Next(s_numbers.Length)]);
                    Array.Resize(ref number, 1 << random.Next(4));
                    number = random.Next(2) == 0 ? number : [.. number.Reverse()];
                    bytes.RemoveRange(at, Math.Min(rest, number.Length));
                    bytes.InsertRange(at, number);
                    break;
                default:
                    byte[] other = messages[random.Next(messages.Count)];
                    bytes.RemoveRange(at, rest);
                    bytes.AddRange(other.AsSpan(random.Next(other.Length + 1)));
                    break;
            }
        }

        return [.. bytes];
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out int value) ? value : otherwise;
}
