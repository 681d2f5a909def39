using System.Globalization;
using System.Runtime.CompilerServices;
using GlooX.RpcRuntime;
using GlooX.Server;

namespace GlooX.Wire;

/// <summary>The objects that this side lent to the other for the connection's life; one number for each. Thread-safe.</summary>
internal sealed class CallbackTable
{
    private const int Most = 65_536;
    private readonly Lock _gate = new();
    private readonly ConditionalWeakTable<object, object> _numbers = [];
    private readonly List<Service> _services = [];

    /// <exception cref="RpcException">Too many are lent already.</exception>
    public int Lend(object target, Type contract)
    {
        lock (_gate)
        {
            if (_numbers.TryGetValue(target, out object? known) && ((int Number, Type Contract))known is var (number, as_) && as_ == contract)
            {
                return number;
            }

            if (_services.Count == Most)
            {
                throw new RpcException(RpcError.Overloaded, $"{Most} objects are lent over this connection; lend the same object again instead of a new one for each call");
            }

            RpcDispatcher dispatcher = RpcRegistry.FindDispatcher(contract) ?? throw new ArgumentException($"{contract} is no contract", nameof(contract));
            _services.Add(new Service(target, dispatcher, new RpcAccess()));
            _numbers.AddOrUpdate(target, (_services.Count - 1, contract));
            return _services.Count - 1;
        }
    }

    /// <summary>What <c>#number/method</c> means.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.ServiceNotFound"/> or <see cref="RpcError.MethodNotFound"/>.</exception>
    public Definition Resolve(string name)
    {
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        Service? service = null;
        lock (_gate)
        {
            if (slash > 0 && int.TryParse(name.AsSpan(1, slash - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number < _services.Count)
            {
                service = _services[number];
            }
        }

        if (service is null)
        {
            throw new RpcException(RpcError.ServiceNotFound, $"no object was lent as '{name}'");
        }

        return service.TryFind(name[(slash + 1)..], out int index)
            ? new Definition(name, service.Dispatcher, service.Target, index)
            : throw new RpcException(RpcError.MethodNotFound, $"{service.Target.GetType().Name} exposes no method '{name[(slash + 1)..]}'");
    }
}
