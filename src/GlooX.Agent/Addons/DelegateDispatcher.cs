using System.Reflection;
using GlooX.Contracts;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Addons;

/// <summary>
/// A delegate as a service with one method. A parameter of type <see cref="AddonContext"/> or <see cref="CancellationToken"/> is given, the
/// others are read from the call; optional ones may be left out. It may return a value, a task, or a stream.
/// </summary>
internal sealed class DelegateDispatcher : RpcDispatcher
{
    private readonly Delegate _handler;
    private readonly AddonContext _context;
    private readonly ParameterInfo[] _parameters;
    private readonly ArgumentReader?[] _readers;
    private readonly int _required;
    private readonly int _most;
    private readonly Func<DelegateDispatcher, object?[], RpcRequest> _make;

    public DelegateDispatcher(Delegate handler, AddonContext context)
    {
        _handler = handler;
        _context = context;
        _parameters = handler.Method.GetParameters();
        if (handler.GetInvocationList().Length > 1 && _parameters.Length > 0 && _parameters[0].ParameterType.IsByRef)
        {
            throw new ArgumentException("a delegate of several methods cannot be an add-on", nameof(handler));
        }

        _readers = [.. _parameters.Select(static p => IsGiven(p) ? null : ArgumentReader.Of(p))];
        _most = _readers.Count(static r => r is not null);
        _required = _parameters.Count(static p => !IsGiven(p) && !p.HasDefaultValue);
        TakesToken = _parameters.Any(static p => p.ParameterType == typeof(CancellationToken));
        _make = Maker(handler.Method.ReturnType);
    }

    public override IReadOnlyList<string> Methods { get; } = [AddonRequest.DelegateMethod];

    public bool TakesToken { get; }

    public override RpcRequest Read(int method, object target, ref MessagePackReader arguments, RpcSerializer serializer, RpcInbound inbound)
    {
        int count = RpcArguments.Begin(ref arguments, _required, _most);
        object?[] values = new object?[_parameters.Length];
        for (int i = 0; i < _parameters.Length; i++)
        {
            if (_readers[i] is { } reader)
            {
                values[i] = count-- > 0 ? reader.Read(ref arguments, serializer) : _parameters[i].DefaultValue;
            }
        }

        return _make(this, values);
    }

    /// <summary>Calls the delegate; what it throws comes out as it is.</summary>
    public object? Invoke(object?[] arguments, CancellationToken ct)
    {
        for (int i = 0; i < _parameters.Length; i++)
        {
            if (_parameters[i].ParameterType == typeof(AddonContext))
            {
                arguments[i] = _context;
            }
            else if (_parameters[i].ParameterType == typeof(CancellationToken))
            {
                arguments[i] = ct;
            }
        }

        return _handler.Method.Invoke(_handler.Target, BindingFlags.DoNotWrapExceptions, null, arguments, null);
    }

    private static bool IsGiven(ParameterInfo parameter) => parameter.ParameterType == typeof(AddonContext) || parameter.ParameterType == typeof(CancellationToken);

    /// <summary>What makes the requests, by what the delegate returns.</summary>
    private static Func<DelegateDispatcher, object?[], RpcRequest> Maker(Type returns)
    {
        if (returns == typeof(void))
        {
            return static (d, a) => new VoidRequest(d, a, static _ => default);
        }

        if (returns == typeof(Task))
        {
            return static (d, a) => new VoidRequest(d, a, static r => new ValueTask((Task)r!));
        }

        if (returns == typeof(ValueTask))
        {
            return static (d, a) => new VoidRequest(d, a, static r => (ValueTask)r!);
        }

        Type? shape = returns.IsGenericType ? returns.GetGenericTypeDefinition() : null;
        (string name, Type item) = shape switch
        {
            _ when shape == typeof(Task<>) => (nameof(MakeOfTask), returns.GenericTypeArguments[0]),
            _ when shape == typeof(ValueTask<>) => (nameof(MakeOfValueTask), returns.GenericTypeArguments[0]),
            _ when shape == typeof(IAsyncEnumerable<>) => (nameof(MakeOfStream), returns.GenericTypeArguments[0]),
            _ => (nameof(MakeOfValue), returns),
        };
        MethodInfo maker = typeof(DelegateDispatcher).GetMethod(name, BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(item);
        return maker.CreateDelegate<Func<DelegateDispatcher, object?[], RpcRequest>>();
    }

    private static Request<T> MakeOfTask<T>(DelegateDispatcher dispatcher, object?[] arguments) => new Request<T>(dispatcher, arguments, static r => new ValueTask<T>((Task<T>)r!));

    private static Request<T> MakeOfValueTask<T>(DelegateDispatcher dispatcher, object?[] arguments) => new Request<T>(dispatcher, arguments, static r => (ValueTask<T>)r!);

    private static Request<T> MakeOfValue<T>(DelegateDispatcher dispatcher, object?[] arguments) => new Request<T>(dispatcher, arguments, static r => new ValueTask<T>((T)r!));

    private static StreamRequest<T> MakeOfStream<T>(DelegateDispatcher dispatcher, object?[] arguments) => new StreamRequest<T>(dispatcher, arguments);

    /// <summary>Reads arguments of one type.</summary>
    private abstract class ArgumentReader
    {
        public static ArgumentReader Of(ParameterInfo parameter)
        {
            if (parameter.ParameterType.IsByRef || parameter.ParameterType.IsByRefLike || parameter.ParameterType.IsPointer)
            {
                throw new ArgumentException($"the parameter {parameter.Name} of type {parameter.ParameterType} cannot travel");
            }

            return (ArgumentReader)Activator.CreateInstance(typeof(ReaderOf<>).MakeGenericType(parameter.ParameterType))!;
        }

        public abstract object? Read(ref MessagePackReader reader, RpcSerializer serializer);

        private sealed class ReaderOf<T> : ArgumentReader
        {
            public override object? Read(ref MessagePackReader reader, RpcSerializer serializer) => serializer.Read<T>(ref reader);
        }
    }

    private sealed class Request<T>(DelegateDispatcher dispatcher, object?[] arguments, Func<object?, ValueTask<T>> result) : RpcRequest<T>(dispatcher.TakesToken)
    {
        protected override ValueTask<T> InvokeAsync(CancellationToken ct) => result(dispatcher.Invoke(arguments, ct));

        protected override void WriteResult(ref MessagePackWriter writer, T result, RpcSerializer serializer) => serializer.Write(ref writer, result);
    }

    private sealed class VoidRequest(DelegateDispatcher dispatcher, object?[] arguments, Func<object?, ValueTask> done) : RpcVoidRequest(dispatcher.TakesToken)
    {
        protected override ValueTask InvokeAsync(CancellationToken ct) => done(dispatcher.Invoke(arguments, ct));
    }

    private sealed class StreamRequest<T>(DelegateDispatcher dispatcher, object?[] arguments) : RpcStreamRequest<T>
    {
        protected override IAsyncEnumerable<T> Invoke(CancellationToken ct) => (IAsyncEnumerable<T>)dispatcher.Invoke(arguments, ct)!;

        protected override void WriteItem(ref MessagePackWriter writer, T item, RpcSerializer serializer) => serializer.Write(ref writer, item);
    }
}
