using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Configuration;
using Akka.Remote.Serialization;
using Akka.Serialization;

namespace GlooX.Grid;

/// <summary>
/// Stands in the place of one of Akka's serializers that the cluster does not need. Those can make objects of any type that a message names:
/// JSON and Protobuf by type name, exceptions by their serialization constructor, actors by their class.
/// </summary>
internal abstract class RefusingSerializer(ExtendedActorSystem system, int identifier) : Serializer(system)
{
    public sealed override int Identifier => identifier;

    public sealed override bool IncludeManifest => false;

    public sealed override byte[] ToBinary(object obj) => throw Refusal($"a message of the type {obj.GetType()} is not sent");

    public sealed override object FromBinary(byte[] bytes, Type type) => throw Refusal("a message is refused");

    private SerializationException Refusal(string what) => new($"{what}: the engine of the grid does not use serializer {identifier}");
}

#pragma warning disable CS9113, CA1801 // Akka gives the settings to serializers that have some by default
internal sealed class RefusedJson(ExtendedActorSystem system, Config settings) : RefusingSerializer(system, 1);
#pragma warning restore CS9113, CA1801

internal sealed class RefusedProtobuf(ExtendedActorSystem system) : RefusingSerializer(system, 2);

internal sealed class RefusedDeployment(ExtendedActorSystem system) : RefusingSerializer(system, 3);

internal sealed class RefusedBytes(ExtendedActorSystem system) : RefusingSerializer(system, 4);

internal sealed class RefusedMisc(ExtendedActorSystem system) : RefusingSerializer(system, 16);

#pragma warning disable CS9113, CA1801 // as above
internal sealed class RefusedPrimitives(ExtendedActorSystem system, Config settings) : RefusingSerializer(system, 17);
#pragma warning restore CS9113, CA1801

internal sealed class RefusedSystemMessages(ExtendedActorSystem system) : RefusingSerializer(system, 22);

internal sealed class RefusedDelivery(ExtendedActorSystem system) : RefusingSerializer(system, 36);

/// <summary>Messages to actors by their path. One holds another message, but never one of its kind: nesting would end the process.</summary>
internal sealed class SelectionSerializer(ExtendedActorSystem system) : MessageContainerSerializer(system)
{
    [ThreadStatic]
    private static bool t_isInside;

    public override object FromBinary(byte[] bytes, Type type)
    {
        if (t_isInside)
        {
            throw new SerializationException("a selection inside a selection is refused");
        }

        t_isInside = true;
        try
        {
            return base.FromBinary(bytes, type);
        }
        finally
        {
            t_isInside = false;
        }
    }
}
