using GlooX.RpcRuntime;
using PolyType;
using PolyType.Abstractions;

namespace GlooX.Contracts;

/// <summary>
/// How GlooX's own messages are written, known when it is compiled: to read the types by reflection would make the first call of
/// each kind slow.
/// </summary>
[GenerateShapeFor(typeof(SpawnRequest))]
[GenerateShapeFor(typeof(SpawnReply))]
[GenerateShapeFor(typeof(PrepareRequest))]
[GenerateShapeFor(typeof(PrepareReply))]
[GenerateShapeFor(typeof(BundleReply))]
[GenerateShapeFor(typeof(NodeInfo))]
[GenerateShapeFor(typeof(NodeInfo[]))]
[GenerateShapeFor(typeof(ProcessInfo))]
[GenerateShapeFor(typeof(LogLine[]))]
[GenerateShapeFor(typeof(RevokedTarget[]))]
internal sealed partial class OwnShapes
{
#pragma warning disable CA2255 // it must be there before the first message
    [System.Runtime.CompilerServices.ModuleInitializer]
    internal static void Register() => RpcRegistry.AddShapes(static () => TypeShapeResolver.Resolve<SpawnRequest, OwnShapes>().Provider);
#pragma warning restore CA2255
}
