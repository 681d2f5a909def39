using System.Net.Sockets;
using GlooX.Protocol;
using GlooX.Rpc.Tests.Protocol.Fuzzing;
using GlooX.Server;
using Nerdbank.MessagePack;

namespace GlooX.Rpc.Tests.Server;

/// <summary>Callers whose certificate is good and whose manners are not, each beside one that behaves.</summary>
public sealed class HostileCallerTests
{
    private const byte Nil = MessagePackCode.Nil;
    private static readonly Piece s_add = RawPeer.Call(7, 0, 0x92, 3, 4);

    [Theory]
    [InlineData(5)] // Response
    [InlineData(6)] // Error
    [InlineData(2)] // HelloAck
    [InlineData(0)]
    [InlineData(255)]
    public Task What_a_caller_has_no_business_to_say_ends_its_connection(byte type) =>
        EndsAsync(RpcError.Protocol, new Piece((FrameType)type, 3, [Nil]).ToBytes());

    [Fact]
    public async Task Greeting_again_and_again_ends_each_connection()
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        byte[] flood = [.. Enumerable.Repeat(Corpus.Greeting[0].ToBytes(), 1000).SelectMany(b => b)];
        await Task.WhenAll(Enumerable.Range(0, 20).Select(async _ =>
        {
            await using RawPeer peer = await RawPeer.DialAsync(it.Server.Url);
            await peer.SayAsync(flood);
            Assert.Equal(RpcError.Protocol, await peer.HearEndAsync());
        }));
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task Not_greeting_first_ends_the_connection()
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.DialAsync(it.Server.Url);
        await peer.SayAsync(RawPeer.Define(0, "Add"));
        Assert.Equal(RpcError.Protocol, await peer.HearEndAsync());
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task Greeting_at_length_ends_the_connection()
    {
        await using Harness it = await Harness.StartAsync();
        await using RawPeer peer = await RawPeer.DialAsync(it.Server.Url);
        var hello = new FrameBuffer(64);
        FrameBodies.WriteHello(hello, new Hello(9, 9, 0, 0, new string('x', 1_000_000), 0));
        await peer.SayAsync(new Piece(FrameType.Hello, 0, hello.Written.ToArray()));
        Assert.Equal(RpcError.Protocol, await peer.HearEndAsync());
    }

    [Theory]
    [InlineData("FFFFFFFF0F", RpcError.TooLarge)] // 4 GiB
    [InlineData("FFFFFFFF07", RpcError.TooLarge)] // 2 GiB
    [InlineData("8180800804", RpcError.TooLarge)] // one byte more than is allowed
    [InlineData("FFFFFFFF1F", RpcError.Protocol)] // more than 32 bits
    [InlineData("808080808080", RpcError.Protocol)] // without an end
    [InlineData("00", RpcError.Protocol)] // nothing, not even a type
    [InlineData("0104", RpcError.Protocol)] // no room for an id
    [InlineData("0204FF", RpcError.Protocol)] // an id without an end
    public Task An_absurd_length_ends_the_connection(string hex, RpcError why) => EndsAsync(why, Convert.FromHexString(hex));

    [Fact]
    public Task A_method_defined_out_of_order_ends_the_connection() => EndsAsync(RpcError.Protocol, RawPeer.Define(2, "Add").ToBytes());

    [Fact]
    public Task A_method_defined_twice_ends_the_connection() => EndsAsync(RpcError.Protocol, RawPeer.Define(0, "Add").ToBytes());

    [Fact]
    public Task A_method_that_was_not_defined_ends_the_connection() => EndsAsync(RpcError.Protocol, RawPeer.Call(1, 1, 0x90).ToBytes());

    [Fact]
    public Task A_name_that_is_no_text_ends_the_connection() => EndsAsync(RpcError.Protocol, new Piece(FrameType.Define, 1, [0xC3, 0x28]).ToBytes());

    [Fact]
    public Task A_name_without_end_ends_the_connection() => EndsAsync(RpcError.Protocol, new Piece(FrameType.Define, 1, new byte[FrameBodies.MaxName + 1]).ToBytes());

    [Fact]
    public Task Names_without_end_end_the_connection() =>
        EndsAsync(RpcError.Protocol, [.. Enumerable.Range(1, 5000).SelectMany(i => RawPeer.Define((uint)i, $"nothing{i}").ToBytes())]);

    [Fact]
    public async Task A_name_that_a_server_would_not_take_is_refused_by_the_client_and_the_connection_goes_on()
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<int>(new string('x', FrameBodies.MaxName + 1)));
        Assert.Equal(RpcError.MethodNotFound, error.Code);
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public async Task A_service_that_is_offered_later_is_found_by_connections_that_asked_in_vain()
    {
        await using Harness it = await Harness.StartAsync();
        var late = it.Client.As<ICalculator>("late");
        Assert.Equal(RpcError.ServiceNotFound, (await Assert.ThrowsAsync<RpcException>(async () => await late.AddAsync(1, 2))).Code);
        it.Server.Add(new Calculator(), "late");
        Assert.Equal(3, await late.AddAsync(1, 2));
    }

    [Theory]
    [InlineData("Add", 0x91)] // where a number should be
    [InlineData("Add", 0x81)]
    [InlineData("Double", 0x91)] // where a record should be
    [InlineData("Double", 0x81)]
    [InlineData("Size", 0x91)] // where bytes should be
    [InlineData("sink/Anything", 0x91)] // where anything may be
    [InlineData("sink/Anything", 0x81)]
    [InlineData("sink/Maps", 0x81)]
    public async Task Deep_nesting_fails_its_call_alone(string method, byte nest)
    {
        await using Harness it = await Harness.StartAsync();
        it.Server.Add(new Sink(), "sink");
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add", method);
        byte[] arguments = [0x91, .. Enumerable.Repeat(nest, 4_000_000)];
        await peer.SayAsync(RawPeer.Call(1, 1, arguments));
        Assert.Equal(RpcError.BadArguments, await HearErrorAsync(peer, 1));
        await IsAnsweredAsync(peer);
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task Deep_nesting_in_a_property_that_nobody_knows_fails_its_call_alone()
    {
        await using Harness it = await Harness.StartAsync();
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add", "Double");
        foreach (byte[] property in (byte[][])[[0xA5, .. "Other"u8], [0xA4, .. "Part"u8]])
        {
            await peer.SayAsync(RawPeer.Call(1, 1, [0x91, 0x81, .. property, .. Enumerable.Repeat((byte[])[0x81, 0xA4, .. "Part"u8], 500_000).SelectMany(b => b)]));
            Assert.Equal(RpcError.BadArguments, await HearErrorAsync(peer, 1));
        }

        await IsAnsweredAsync(peer);
    }

    [Fact]
    public async Task A_call_made_again_before_it_was_answered_ends_the_connection_and_both_handlers()
    {
        await using Harness it = await Harness.StartAsync();
        var twice = new Patient();
        it.Server.Add(twice, "patient");
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add", "patient/Wait");
        await peer.SayAsync(RawPeer.Call(5, 1, 0x90), RawPeer.Call(6, 1, 0x90), RawPeer.Call(5, 1, 0x90));
        Assert.Equal(RpcError.Protocol, await peer.HearEndAsync());
        await twice.EveryCallHasEndedAsync();
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task An_id_may_be_used_again_as_soon_as_its_answer_is_there()
    {
        await using Harness it = await Harness.StartAsync();
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add", "impatient", "Double");
        byte[] order = [0x91, 0x83, 0xA4, .. "Name"u8, 0xA1, 0x78, 0xA6, .. "Amount"u8, 21, 0xA4, .. "Tags"u8, 0x90];
        for (int i = 0; i < 2000; i++)
        {
            await peer.SayAsync(RawPeer.Call(1, 2, order));
            Assert.Equal((FrameType.Response, 1u), await peer.HearAsync() is { } answer ? (answer.Type, answer.Id) : default);
        }
    }

    [Fact]
    public async Task Streams_of_calls_that_there_are_not_do_nothing()
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add");
        foreach (FrameType type in (FrameType[])[FrameType.StreamItem, FrameType.StreamEnd, FrameType.Credit])
        {
            await peer.SayAsync([.. Enumerable.Range(0, 20_000).SelectMany(i => new Piece(type, (uint)i, [(byte)(i % 3), 1]).ToBytes())]);
        }

        await IsAnsweredAsync(peer);
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task A_stream_that_goes_beyond_its_window_ends_the_connection_and_its_handler()
    {
        await using Harness it = await Harness.StartAsync();
        var patient = new Patient();
        it.Server.Add(patient, "patient");
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add", "patient/Ignore");
        byte[] item = [1, MessagePackCode.Bin16, 0x10, 0, .. new byte[0x1000]];
        await peer.SayAsync(RawPeer.Call(1, 1, 0x91, 1));

        // The last one is the one too many: behind it nothing is on its way to a connection that has ended.
        int cost = item.Length - 1 + 32, fit = ((256 * 1024) + cost - 1) / cost;
        await peer.SayAsync([.. Enumerable.Repeat(new Piece(FrameType.StreamItem, 1, item).ToBytes(), fit).SelectMany(b => b)]);
        await IsAnsweredAsync(peer);
        await peer.SayAsync(new Piece(FrameType.StreamItem, 1, item));
        Assert.Equal(RpcError.Protocol, await peer.HearEndAsync());
        await patient.EveryCallHasEndedAsync();
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task A_call_with_a_stream_made_again_before_it_was_answered_ends_the_connection_and_both_handlers()
    {
        await using Harness it = await Harness.StartAsync();
        var patient = new Patient();
        it.Server.Add(patient, "patient");
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "patient/Read");
        await peer.SayAsync(RawPeer.Call(1, 0, 0x91, 1), RawPeer.Call(1, 0, 0x91, 1));
        Assert.Equal(RpcError.Protocol, await peer.HearEndAsync());
        await patient.EveryCallHasEndedAsync();
    }

    [Fact]
    public async Task Credit_beyond_all_bounds_ends_the_connection()
    {
        await using Harness it = await Harness.StartAsync();
        var patient = new Patient();
        it.Server.Add(patient, "patient");
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "patient/Drip");
        await peer.SayAsync(RawPeer.Call(1, 0, 0x90));
        await patient.HasBegunAsync(1);
        Piece credit = new(FrameType.Credit, 1, [0, 0xFF, 0xFF, 0xFF, 0xFF, 0x07]);
        await peer.SayAsync(credit, credit);
        Assert.Equal(RpcError.Protocol, await peer.HearEndAsync());
        await patient.EveryCallHasEndedAsync();
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task Cancelling_calls_that_there_are_not_does_nothing()
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add");
        await peer.SayAsync([.. Enumerable.Range(0, 100_000).SelectMany(i => new Piece(FrameType.Cancel, (uint)i, []).ToBytes())]);
        await IsAnsweredAsync(peer);
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task Cancelling_a_call_over_and_over_cancels_it_once()
    {
        await using Harness it = await Harness.StartAsync();
        var patient = new Patient();
        it.Server.Add(patient, "patient");
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add", "patient/Wait");
        Piece cancel = new(FrameType.Cancel, 9, []);
        await peer.SayAsync([RawPeer.Call(9, 1, 0x90), .. Enumerable.Repeat(cancel, 1000)]);
        Assert.Equal(RpcError.Cancelled, await HearErrorAsync(peer, 9));
        await IsAnsweredAsync(peer);
        await patient.EveryCallHasEndedAsync();
    }

    [Fact]
    public async Task More_bytes_in_flight_than_allowed_are_refused_call_by_call()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxInFlightBytes = 100_000, DrainTimeout = TimeSpan.Zero });
        var patient = new Patient();
        it.Server.Add(patient, "patient");
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add", "patient/Keep");
        byte[] large = [0x91, MessagePackCode.Bin32, 0, 1, 0x11, 0x70, .. new byte[70_000]];
        await peer.SayAsync(RawPeer.Call(1, 1, large), RawPeer.Call(2, 1, large));
        Assert.Equal(RpcError.Overloaded, await HearErrorAsync(peer, 2));
        await IsAnsweredAsync(peer);
        await peer.SayAsync(new Piece(FrameType.Cancel, 1, []));
        Assert.Equal(RpcError.Cancelled, await HearErrorAsync(peer, 1));

        // One that is larger than the limit by itself is let in where there is no other.
        large = [0x91, MessagePackCode.Bin32, 0, 2, 0x22, 0xE0, .. new byte[140_000]];
        await peer.SayAsync(RawPeer.Call(3, 1, large), new Piece(FrameType.Cancel, 3, []));
        Assert.Equal(RpcError.Cancelled, await HearErrorAsync(peer, 3));
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task One_way_calls_beyond_the_limit_wait_at_the_callers()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxInFlight = 10, DrainTimeout = TimeSpan.Zero });
        var patient = new Patient();
        it.Server.Add(patient, "patient");
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add", "patient/Hold");
        await peer.SayAsync([.. Enumerable.Repeat(new Piece(FrameType.Request, 0, [1, (byte)RequestFlags.OneWay, 0x90]).ToBytes(), 1000).SelectMany(b => b)]);
        await patient.HasBegunAsync(10);
        await bystander.IsServedAsync();
        patient.Release(1000);
        await patient.HasBegunAsync(990);
        await IsAnsweredAsync(peer);
        Assert.InRange(patient.MostHeld, 10, 11);
    }

    [Fact]
    public async Task Hundreds_of_frames_that_never_end_take_the_memory_of_what_has_come()
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        List<RawPeer> peers = [];
        byte[] length = new byte[Frame.MaxVarint];
        int used = Frame.WriteVarint(length, 16 * 1024 * 1024);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        for (int i = 0; i < 300; i++)
        {
            RawPeer peer = await RawPeer.GreetAsync(it.Server.Url);
            await peer.SayAsync([.. length[..used], (byte)FrameType.Request, 1, .. new byte[2000]]);
            peers.Add(peer);
        }

        await bystander.IsServedAsync();
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 100L << 20);
        foreach (RawPeer peer in peers)
        {
            await peer.DisposeAsync();
        }

        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task A_call_that_comes_byte_by_byte_is_answered_and_others_meanwhile()
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add");
        foreach (byte one in s_add.ToBytes())
        {
            await peer.SayAsync([one]);
            await bystander.IsServedAsync();
        }

        Assert.Equal((FrameType.Response, 7u), await peer.HearAsync() is { } answer ? (answer.Type, answer.Id) : default);
    }

    [Fact]
    public async Task A_caller_that_closes_its_half_is_hung_up_on()
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        foreach (byte[] last in new[] { [], s_add.ToBytes()[..3] })
        {
            await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add");
            await peer.SayAsync(last);
            await peer.Stream.ShutdownAsync();
            Assert.Null(await peer.HearEndAsync());
        }

        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task A_caller_that_is_gone_has_its_calls_cancelled()
    {
        await using Harness it = await Harness.StartAsync();
        var patient = new Patient();
        it.Server.Add(patient, "patient");
        await using Bystander bystander = await Bystander.OfAsync(it);
        RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add", "patient/Wait");
        await peer.SayAsync(Enumerable.Range(0, 100).Select(i => RawPeer.Call((uint)i, 1, 0x90)).ToArray());
        await patient.HasBegunAsync(100);
        await peer.DisposeAsync();
        await patient.EveryCallHasEndedAsync();
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task A_caller_that_says_nothing_after_TLS_is_hung_up_on()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { HandshakeTimeout = TimeSpan.FromSeconds(2), DrainTimeout = TimeSpan.Zero });
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer silent = await RawPeer.DialAsync(it.Server.Url);
        await using RawPeer slow = await RawPeer.DialAsync(it.Server.Url);
        await slow.SayAsync(Corpus.Greeting[0].ToBytes()[..^1]);
        Assert.Equal(RpcError.Timeout, await silent.HearEndAsync());
        Assert.Equal(RpcError.Timeout, await slow.HearEndAsync());
        await bystander.IsServedAsync(); // who has greeted may stay silent as long as it likes
    }

    private static async Task EndsAsync(RpcError why, byte[] bytes)
    {
        await using Harness it = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(it);
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Add");
        await IsAnsweredAsync(peer);
        await peer.SayAsync(bytes);
        Assert.Equal(why, await peer.HearEndAsync());
        await bystander.IsServedAsync();
    }

    private static async Task IsAnsweredAsync(RawPeer peer)
    {
        await peer.SayAsync(s_add);
        Piece answer = Assert.IsType<Piece>(await peer.HearAsync());
        Assert.Equal((FrameType.Response, 7u, 7), (answer.Type, answer.Id, answer.Body[0]));
    }

    private static async Task<RpcError> HearErrorAsync(RawPeer peer, uint id)
    {
        Piece answer = Assert.IsType<Piece>(await peer.HearAsync());
        Assert.Equal((FrameType.Error, id), (answer.Type, answer.Id));
        return FrameBodies.ReadError(answer.Body).Code;
    }
}
