using Nerdbank.MessagePack;

namespace GlooX.RpcRuntime;

/// <summary>
/// Serves an object whose class has no dispatcher of its own, for generated code cannot name it: through what its base class exposes and the
/// contracts that it implements. Of two methods with one name the first counts; the contracts come in the order of their full names.
/// </summary>
internal sealed class ContractsDispatcher : RpcDispatcher
{
    private readonly List<string> _methods = [];
    private readonly List<(RpcDispatcher Dispatcher, int Index)> _where = [];

    public ContractsDispatcher(IEnumerable<RpcDispatcher> contracts)
    {
        foreach (RpcDispatcher contract in contracts)
        {
            for (int i = 0; i < contract.Methods.Count; i++)
            {
                if (!_methods.Contains(contract.Methods[i], StringComparer.Ordinal))
                {
                    _methods.Add(contract.Methods[i]);
                    _where.Add((contract, i));
                }
            }
        }
    }

    public override IReadOnlyList<string> Methods => _methods;

    public override RpcRequest Read(int method, object target, ref MessagePackReader arguments, RpcSerializer serializer, RpcInbound inbound)
    {
        (RpcDispatcher dispatcher, int index) = _where[method];
        return dispatcher.Read(index, target, ref arguments, serializer, inbound);
    }
}
