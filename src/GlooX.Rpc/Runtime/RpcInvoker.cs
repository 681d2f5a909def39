using System.ComponentModel;
using GlooX.Client;
using GlooX.Server;
using GlooX.Wire;
using Nerdbank.MessagePack;

namespace GlooX.RpcRuntime;

/// <summary>What a proxy calls through: a client and the name of a service. Thread-safe.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcInvoker
{
    internal RpcInvoker(RpcClient client, string service)
    {
        Client = client;
        Service = service;
    }

    internal RpcClient Client { get; }

    internal string Service { get; }

    /// <summary>Ties a method to this client and service.</summary>
    /// <typeparam name="TResult">What the method returns.</typeparam>
    /// <param name="method">The method.</param>
    /// <returns>The tied method; keep it.</returns>
    public RpcBoundMethod<TResult> Bind<TResult>(RpcMethod<TResult> method) => new(this, method);
}

/// <summary>
/// A method of a service of a client. Remembers its id on each connection at hand, so that a call costs one comparison. Thread-safe.
/// </summary>
/// <typeparam name="TResult">What it returns.</typeparam>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcBoundMethod<TResult>
{
    // Connections on end that close before a call is made: more are no coincidence.
    private const int MaxRefusals = 3;

    private readonly RpcClient _client;
    private readonly RpcMethod<TResult> _method;
    private readonly string _name;
    private readonly int _timeout;
    private readonly Binding?[] _bindings;

    internal RpcBoundMethod(RpcInvoker invoker, RpcMethod<TResult> method)
    {
        _client = invoker.Client;
        _method = method;
        _bindings = new Binding?[_client.Options.Connections];
        _name = invoker.Service.Length == 0 ? method.Name : $"{invoker.Service}/{method.Name}";
        double standard = _client.Options.CallTimeout.TotalMilliseconds;
        _timeout = method.TimeoutMilliseconds switch
        {
            0 => standard <= 0 || standard > int.MaxValue ? 0 : (int)standard,
            < 0 => 0,
            int own => own,
        };
    }

    /// <summary>Calls.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="args">The arguments.</param>
    /// <param name="ct">Cancels the call, here and there.</param>
    /// <returns>The result.</returns>
    /// <exception cref="RpcException">The call failed.</exception>
    public ValueTask<TResult> InvokeAsync<TArgs>(in TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        try
        {
            long deadline = Deadline();
            if (_client.Pick() is not { IsCongested: false } connection || Start(connection, args, deadline, ct) is not { } call)
            {
                return InvokeSoonAsync(args, deadline, ct);
            }

            return _method.Idempotent ? RepeatAsync(call, connection, args, deadline, ct) : call.Task;
        }
        catch (Exception e)
        {
            return ValueTask.FromException<TResult>(e);
        }
    }

    /// <summary>Calls a method that returns nothing.</summary>
    /// <typeparam name="TArgs">The arguments.</typeparam>
    /// <param name="args">The arguments.</param>
    /// <param name="ct">Cancels the call, here and there.</param>
    /// <returns>Completes when the method has.</returns>
    /// <exception cref="RpcException">The call failed.</exception>
    public ValueTask InvokeVoidAsync<TArgs>(in TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        try
        {
            long deadline = Deadline();
            if (_client.Pick() is not { IsCongested: false } connection || Start(connection, args, deadline, ct) is not { } call)
            {
                return new ValueTask(InvokeSoonAsync(args, deadline, ct).AsTask());
            }

            return _method.Idempotent ? new ValueTask(RepeatAsync(call, connection, args, deadline, ct).AsTask()) : call.VoidTask;
        }
        catch (Exception e)
        {
            return ValueTask.FromException(e);
        }
    }

    private long Deadline() => _timeout == 0 ? long.MaxValue : Environment.TickCount64 + _timeout;

    private async ValueTask<TResult> InvokeSoonAsync<TArgs>(TArgs args, long deadline, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        (PendingCall<TResult> call, ClientConnection connection) = await StartSoonAsync(args, deadline, ct).ConfigureAwait(false);
        return _method.Idempotent
            ? await RepeatAsync(call, connection, args, deadline, ct).ConfigureAwait(false)
            : await call.Task.ConfigureAwait(false);
    }

    /// <summary>Makes the call as soon as there is a connection that takes it.</summary>
    private async ValueTask<(PendingCall<TResult> Call, ClientConnection Connection)> StartSoonAsync<TArgs>(TArgs args, long deadline, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        if (_timeout > 0)
        {
            limit.CancelAfter(TimeSpan.FromMilliseconds(Math.Max(0, deadline - Environment.TickCount64)));
        }

        for (int refusals = 0; refusals < MaxRefusals || _method.Idempotent; refusals++)
        {
            ClientConnection connection = await ConnectAsync(deadline, limit.Token, ct).ConfigureAwait(false);
            if (Start(connection, args, deadline, ct) is { } call)
            {
                return (call, connection);
            }
        }

        throw new RpcException(RpcError.Connection, $"{_name}: {_client.Url} closed {MaxRefusals} connections on end before a call could be made") { Url = _client.Url };
    }

    private async ValueTask<ClientConnection> ConnectAsync(long deadline, CancellationToken limit, CancellationToken ct)
    {
        bool isConnected = false;
        try
        {
            ClientConnection connection = await _client.ConnectionAsync(limit, _method.Idempotent && _client.WasConnected ? deadline : 0).ConfigureAwait(false);
            isConnected = true;
            await connection.DrainAsync(limit).ConfigureAwait(false);
            return connection;
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw isConnected
                ? new RpcException(RpcError.Timeout, $"{_name}: {_client.Url} reads too slowly, the call could not be sent within {_timeout} ms") { Url = _client.Url }
                : new RpcException(RpcError.Timeout, $"{_name}: no connection within {_timeout} ms: {_client.ConnectFailure?.Message ?? $"{_client.Url} does not answer"}", _client.ConnectFailure) { Url = _client.Url };
        }
    }

    /// <summary>Waits for the answer; makes the call again for as long as its connection breaks.</summary>
    private async ValueTask<TResult> RepeatAsync<TArgs>(PendingCall<TResult> call, ClientConnection connection, TArgs args, long deadline, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        while (true)
        {
            try
            {
                return await call.Task.ConfigureAwait(false);
            }
            catch (RpcException e) when (e.Code == RpcError.Connection && connection.IsClosed && !_client.IsDisposed)
            {
                // if it is the handler that failed so, over a connection of its own, then this one is gone all the same
            }

            (call, connection) = await StartSoonAsync(args, deadline, ct).ConfigureAwait(false);
        }
    }

    /// <summary>Makes the call. Null: it was not sent, for the connection takes no more.</summary>
    private PendingCall<TResult>? Start<TArgs>(ClientConnection connection, in TArgs args, long deadline, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        ct.ThrowIfCancellationRequested();
        Binding? binding = _bindings[connection.Lane];
        if (binding is null || binding.Connection != connection)
        {
            binding = new Binding(connection, connection.Define(_name));
            _bindings[connection.Lane] = binding;
        }

        PendingCall<TResult> call = PendingCall<TResult>.Rent(connection, _method, _name, deadline);
        if (!connection.TryRegister(call))
        {
            return null;
        }

        try
        {
            FrameBuffer frame = FrameBuffer.Begin(FrameType.Request, call.Id);
            frame.WriteVarint(binding.Id);
            frame.WriteVarint(_timeout == 0 ? 0 : RequestFlags.Deadline);
            if (_timeout != 0)
            {
                frame.WriteVarint((uint)Math.Max(1, deadline - Environment.TickCount64));
            }

            var writer = new MessagePackWriter(frame);
            args.Write(ref writer, RpcSerializer.Default);
            writer.Flush();
            if (!connection.Send(frame))
            {
                connection.Unregister(call); // or the closing has taken it, to fail it: nobody waits for that
                return null;
            }
        }
        catch
        {
            connection.Unregister(call);
            throw;
        }

        if (ct.CanBeCanceled)
        {
            call.CancelWith(ct);
        }

        return call;
    }

    private sealed record Binding(ClientConnection Connection, uint Id);
}
