using GlooX.Server;

namespace GlooX.Protocol;

/// <summary>What a read has brought: a call to serve, or an answer to hand over. To run it is to run users' code.</summary>
internal interface IWork
{
    /// <summary>Of the method that is served, or whose answer this is.</summary>
    MethodTrust Trust { get; }

    void Execute();

    /// <summary>No thread is free for it. False: it cannot be refused, and waits.</summary>
    /// <param name="threads">How many there are.</param>
    bool TryRefuse(int threads);
}
