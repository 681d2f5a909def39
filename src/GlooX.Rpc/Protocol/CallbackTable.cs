using System.Globalization;
using System.Runtime.CompilerServices;
using GlooX.RpcRuntime;
using GlooX.Server;

namespace GlooX.Protocol;

/// <summary>
/// The objects that this side lent to the other, one number for each: until the connection ends, or the other side has given each lending
/// back. Thread-safe.
/// </summary>
/// <remarks>
/// Lendings are counted on both sides: the other side gives back one for each that it has read and dropped. So a number is only free when
/// no message that holds it is under way.
/// </remarks>
internal sealed class CallbackTable
{
    /// <summary>What the other side calls to give one lending back; the argument is the number.</summary>
    public const string GiveBack = "#release";

    private const int Most = 65_536;
    private readonly Lock _gate = new();
    private readonly Dictionary<(object Target, RpcDispatcher Dispatcher), int> _numbers = new(Same.Target);
    private readonly List<Lent?> _lent = [];
    private readonly Stack<int> _free = new();

    /// <exception cref="RpcException">Too many are lent already.</exception>
    public int Lend(object target, Type contract) =>
        Lend(target, RpcRegistry.FindDispatcher(contract) ?? throw new ArgumentException($"{contract} is no contract", nameof(contract)));

    /// <inheritdoc cref="Lend(object, Type)"/>
    public int Lend(object target, RpcDispatcher dispatcher)
    {
        lock (_gate)
        {
            if (_numbers.TryGetValue((target, dispatcher), out int known))
            {
                _lent[known]!.Count++;
                return known;
            }

            if (_free.Count == 0 && _lent.Count == Most)
            {
                throw new RpcException(RpcError.Overloaded, $"{Most} objects are lent over this connection; lend the same object again instead of a new one for each call");
            }

            if (!_free.TryPop(out int number))
            {
                number = _lent.Count;
                _lent.Add(null);
            }

            _lent[number] = new Lent(target, new Service(target, dispatcher, new RpcAccess()));
            _numbers[(target, dispatcher)] = number;
            return number;
        }
    }

    /// <summary>Takes one lending back.</summary>
    /// <returns>The ids of the methods that meant the object, if that was the last; they mean nothing now.</returns>
    public IReadOnlyList<int> Release(uint number)
    {
        lock (_gate)
        {
            if (number >= _lent.Count || _lent[(int)number] is not { } lent || --lent.Count > 0)
            {
                return [];
            }

            _lent[(int)number] = null;
            _numbers.Remove((lent.Target, lent.Service.Offered!.Dispatcher!));
            _free.Push((int)number);
            return lent.Methods;
        }
    }

    /// <summary>What <c>#number/method</c> means.</summary>
    /// <param name="name">The name.</param>
    /// <param name="id">Its id on the connection.</param>
    /// <exception cref="RpcException"><see cref="RpcError.ServiceNotFound"/> or <see cref="RpcError.MethodNotFound"/>.</exception>
    public Definition Resolve(string name, int id)
    {
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        lock (_gate)
        {
            if (slash <= 0 || !int.TryParse(name.AsSpan(1, slash - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                || number >= _lent.Count || _lent[number] is not { Service: var service } lent)
            {
                throw new RpcException(RpcError.ServiceNotFound, $"no object is lent as '{name}'");
            }

            if (!service.TryFind(name[(slash + 1)..], out int index))
            {
                throw new RpcException(RpcError.MethodNotFound, $"{lent.Target.GetType().Name} exposes no method '{name[(slash + 1)..]}'");
            }

            lent.Methods.Add(id);
            return new Definition(name, service.Offered!.Dispatcher, lent.Target, index);
        }
    }

    private sealed record Lent(object Target, Service Service)
    {
        public int Count { get; set; } = 1;

        public List<int> Methods { get; } = [];
    }

    /// <summary>An object is itself only; two delegates of one method of one object are the same.</summary>
    private sealed class Same : IEqualityComparer<(object Target, RpcDispatcher Dispatcher)>
    {
        public static readonly Same Target = new();

        public bool Equals((object Target, RpcDispatcher Dispatcher) x, (object Target, RpcDispatcher Dispatcher) y) =>
            x.Dispatcher == y.Dispatcher && (x.Target == y.Target || (x.Target is Delegate one && one.Equals(y.Target)));

        public int GetHashCode((object Target, RpcDispatcher Dispatcher) obj) =>
            HashCode.Combine(obj.Target is Delegate one ? one.GetHashCode() : RuntimeHelpers.GetHashCode(obj.Target), obj.Dispatcher);
    }
}
