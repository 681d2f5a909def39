using System.Buffers;
using System.Reflection;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Generator;

/// <summary>Takes a call through generated code without a network: arguments to bytes, bytes to a request, request to the target.</summary>
internal static class Call
{
    private const BindingFlags Hidden = BindingFlags.Instance | BindingFlags.NonPublic;

    public static RpcDispatcher Dispatcher(this Assembly assembly, string type) =>
        (RpcDispatcher)Activator.CreateInstance(assembly.GetType($"GlooX.Generated.{type}Dispatcher", throwOnError: true)!)!;

    public static object New(this Assembly assembly, string type) => Activator.CreateInstance(assembly.GetType(type, throwOnError: true)!)!;

    /// <summary>What the proxy writes for a call: its arguments' struct is found by the method's name.</summary>
    public static byte[] Write(this Assembly assembly, string proxy, string method, params object?[] arguments)
    {
        Type type = assembly.GetType($"GlooX.Generated.{proxy}Proxy", throwOnError: true)!
            .GetNestedTypes(BindingFlags.NonPublic).Single(t => t.Name.StartsWith(method + "Arguments", StringComparison.Ordinal));
        var values = (IRpcArguments)Activator.CreateInstance(type, arguments)!;
        return Bytes((ref MessagePackWriter writer) => values.Write(ref writer, RpcSerializer.Default));
    }

    public static byte[] Bytes(WriteAction write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        write(ref writer);
        writer.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Serves a call and returns its result; null for nothing.</summary>
    public static async Task<object?> ServeAsync(this RpcDispatcher dispatcher, string wireName, object target, byte[] arguments, CancellationToken ct)
    {
        RpcRequest request = dispatcher.Read(wireName, target, arguments);
        object running = request.GetType().GetMethod("InvokeAsync", Hidden)!.Invoke(request, BindingFlags.DoNotWrapExceptions, null, [ct], null)!;
        if (running is ValueTask nothing)
        {
            await nothing;
            return null;
        }

        var task = (Task)running.GetType().GetMethod("AsTask")!.Invoke(running, [])!;
        await task;
        return task.GetType().GetProperty("Result")!.GetValue(task);
    }

    public static RpcRequest Read(this RpcDispatcher dispatcher, string wireName, object target, byte[] arguments)
    {
        var reader = new MessagePackReader(arguments);
        return dispatcher.Read(dispatcher.Methods.ToList().IndexOf(wireName), target, ref reader, RpcSerializer.Default, inbound: null!); // what is no value is tested over connections
    }

    public delegate void WriteAction(ref MessagePackWriter writer);
}
