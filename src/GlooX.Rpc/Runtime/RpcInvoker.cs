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

/// <summary>A method of a service of a client. Remembers its id on the connection at hand, so that a call costs one comparison. Thread-safe.</summary>
/// <typeparam name="TResult">What it returns.</typeparam>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class RpcBoundMethod<TResult>
{
    private readonly RpcClient _client;
    private readonly RpcMethod<TResult> _method;
    private readonly string _name;
    private readonly int _timeout;
    private Binding? _binding;

    internal RpcBoundMethod(RpcInvoker invoker, RpcMethod<TResult> method)
    {
        _client = invoker.Client;
        _method = method;
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
        if (_client.Current is { IsCongested: false } connection)
        {
            try
            {
                return Start(connection, args, ct).Task;
            }
            catch (Exception e)
            {
                return ValueTask.FromException<TResult>(e);
            }
        }

        return ConnectAndInvokeAsync(args, ct);
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
        if (_client.Current is { IsCongested: false } connection)
        {
            try
            {
                return Start(connection, args, ct).VoidTask;
            }
            catch (Exception e)
            {
                return ValueTask.FromException(e);
            }
        }

        return new ValueTask(ConnectAndInvokeAsync(args, ct).AsTask());
    }

    private async ValueTask<TResult> ConnectAndInvokeAsync<TArgs>(TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        ClientConnection connection = await _client.ConnectionAsync(ct).ConfigureAwait(false);
        if (connection.IsCongested)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
            if (_timeout > 0)
            {
                limit.CancelAfter(_timeout);
            }

            try
            {
                await connection.DrainAsync(limit.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!ct.IsCancellationRequested)
            {
                throw new RpcException(RpcError.Timeout, $"{_name}: {_client.Url} reads too slowly, the call could not be sent within {_timeout} ms") { Url = _client.Url, Method = _name };
            }
        }

        return await Start(connection, args, ct).Task.ConfigureAwait(false);
    }

    private PendingCall<TResult> Start<TArgs>(ClientConnection connection, in TArgs args, CancellationToken ct)
        where TArgs : struct, IRpcArguments
    {
        ct.ThrowIfCancellationRequested();
        Binding? binding = _binding;
        if (binding is null || binding.Connection != connection)
        {
            binding = new Binding(connection, connection.Define(_name));
            _binding = binding;
        }

        long deadline = _timeout == 0 ? long.MaxValue : Environment.TickCount64 + _timeout;
        PendingCall<TResult> call = PendingCall<TResult>.Rent(connection, _method, _name, deadline);
        connection.Register(call);
        try
        {
            FrameBuffer frame = FrameBuffer.Begin(FrameType.Request, call.Id);
            frame.WriteVarint(binding.Id);
            frame.WriteVarint(_timeout == 0 ? 0 : RequestFlags.Deadline);
            if (_timeout != 0)
            {
                frame.WriteVarint((uint)_timeout);
            }

            var writer = new MessagePackWriter(frame);
            args.Write(ref writer, RpcSerializer.Default);
            writer.Flush();
            connection.Send(frame);
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
