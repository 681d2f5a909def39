using System.Globalization;
using System.Runtime.CompilerServices;
using GlooX.RpcRuntime;
using GlooX.Server;

namespace GlooX.Protocol;

/// <summary>
/// The objects that this side exports to the other, each under a number, until the connection ends or the other side has released every
/// reference. Thread-safe.
/// </summary>
/// <remarks>
/// References are counted on both sides: the other side releases one for each that it read and dropped. A number is free only when no message on
/// the way contains it.
/// </remarks>
internal sealed class ExportedObjects
{
    /// <summary>The method by which the other side releases one reference; the argument is the number.</summary>
    public const string ReleaseMethod = "#release";

    private const int Most = 65_536;
    private readonly Lock _gate = new();
    private readonly Dictionary<(object Target, RpcDispatcher Dispatcher), int> _numbers = new(Same.Target);
    private readonly List<ExportedObject?> _exported = [];
    private readonly Stack<int> _free = new();

    /// <exception cref="RpcException"><see cref="RpcError.Overloaded"/>: too many objects are exported.</exception>
    public int Export(object target, Type contract) =>
        Export(target, RpcRegistry.FindDispatcher(contract) ?? throw new ArgumentException($"{contract} is no contract", nameof(contract)));

    /// <inheritdoc cref="Export(object, Type)"/>
    public int Export(object target, RpcDispatcher dispatcher)
    {
        lock (_gate)
        {
            if (_numbers.TryGetValue((target, dispatcher), out int known))
            {
                _exported[known]!.Count++;
                return known;
            }

            if (_free.Count == 0 && _exported.Count == Most)
            {
                throw new RpcException(RpcError.Overloaded, $"{Most} objects are exported over this connection; pass the same object again instead of a new one for each call");
            }

            if (!_free.TryPop(out int number))
            {
                number = _exported.Count;
                _exported.Add(null);
            }

            _exported[number] = new ExportedObject(target, new Service(target, dispatcher, new RpcAccess()));
            _numbers[(target, dispatcher)] = number;
            return number;
        }
    }

    /// <summary>Releases one reference.</summary>
    /// <returns>If that was the last: the ids of the object's methods, which are invalid now. Otherwise empty.</returns>
    public IReadOnlyList<int> Release(uint number)
    {
        lock (_gate)
        {
            if (number >= _exported.Count || _exported[(int)number] is not { } exported || --exported.Count > 0)
            {
                return [];
            }

            _exported[(int)number] = null;
            _numbers.Remove((exported.Target, exported.Service.Current!.Dispatcher!));
            _free.Push((int)number);
            return exported.Methods;
        }
    }

    /// <summary>Looks up <c>#number/method</c>.</summary>
    /// <param name="name">The name.</param>
    /// <param name="id">Its id on the connection.</param>
    /// <exception cref="RpcException"><see cref="RpcError.ServiceNotFound"/> or <see cref="RpcError.MethodNotFound"/>.</exception>
    public Definition Resolve(string name, int id)
    {
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        lock (_gate)
        {
            if (slash <= 0 || !int.TryParse(name.AsSpan(1, slash - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                || number >= _exported.Count || _exported[number] is not { Service: var service } exported)
            {
                throw new RpcException(RpcError.ServiceNotFound, $"no object is exported as '{name}'");
            }

            if (!service.TryFind(name[(slash + 1)..], out int index))
            {
                throw new RpcException(RpcError.MethodNotFound, $"{exported.Target.GetType().Name} exposes no method '{name[(slash + 1)..]}'");
            }

            exported.Methods.Add(id);
            return new Definition(name, service.Current!.Dispatcher, exported.Target, index);
        }
    }

    private sealed record ExportedObject(object Target, Service Service)
    {
        public int Count { get; set; } = 1;

        public List<int> Methods { get; } = [];
    }

    /// <summary>Objects are equal by reference; delegates, if they are equal as delegates.</summary>
    private sealed class Same : IEqualityComparer<(object Target, RpcDispatcher Dispatcher)>
    {
        public static readonly Same Target = new();

        public bool Equals((object Target, RpcDispatcher Dispatcher) x, (object Target, RpcDispatcher Dispatcher) y) =>
            x.Dispatcher == y.Dispatcher && (x.Target == y.Target || (x.Target is Delegate one && one.Equals(y.Target)));

        public int GetHashCode((object Target, RpcDispatcher Dispatcher) obj) =>
            HashCode.Combine(obj.Target is Delegate one ? one.GetHashCode() : RuntimeHelpers.GetHashCode(obj.Target), obj.Dispatcher);
    }
}
