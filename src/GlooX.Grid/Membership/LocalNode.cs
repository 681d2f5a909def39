namespace GlooX.Grid;

/// <summary>
/// This agent at this moment: address, state and the engine, if one runs. Outlives the engine, which may restart at any time.
/// Thread-safe.
/// </summary>
internal sealed class LocalNode(GridOptions options)
{
    private readonly Lock _gate = new();
    private TaskCompletionSource _up = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _address = options.AdvertisedAddress is { } given ? HostPort.Parse(given).ToString() : null;
    private volatile int _port = options.Port;
    private GridState _state;
    private Engine? _engine;

    /// <summary>Where this agent listens; 0: unknown yet.</summary>
    public int Port
    {
        get => _port;
        set => _port = value;
    }

    public string? Address
    {
        get
        {
            lock (_gate)
            {
                return _address;
            }
        }
    }

    public GridState State
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }
    }

    public Engine? Engine
    {
        get
        {
            lock (_gate)
            {
                return _engine;
            }
        }
    }

    public Task Up
    {
        get
        {
            lock (_gate)
            {
                return _up.Task;
            }
        }
    }

    /// <summary>
    /// Sets the address; false when another one is set already. Others remember the address, so it never changes.
    /// </summary>
    public bool Adopt(string address)
    {
        lock (_gate)
        {
            _address ??= address;
            return _address == address;
        }
    }

    /// <summary>Takes the host of a connection as this agent's own, when no address is known and others can use the host.</summary>
    public void AdoptHost(string? host)
    {
        if (Port != 0 && !string.IsNullOrEmpty(host) && HostPort.TryParse(HostPort.Of(host, Port).ToString(), out HostPort address))
        {
            Adopt(address.ToString());
        }
    }

    public void Enter(GridState state, Engine? engine)
    {
        lock (_gate)
        {
            _state = state;
            _engine = engine;
            if (state == GridState.Up)
            {
                _up.TrySetResult();
            }
            else if (_up.Task.IsCompleted)
            {
                _up = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }
    }

    /// <summary>Changes the state only when it is <paramref name="ifNow"/>; the engine stays.</summary>
    public bool Enter(GridState state, GridState ifNow)
    {
        lock (_gate)
        {
            if (_state != ifNow)
            {
                return false;
            }

            _state = state;
            return true;
        }
    }

    public bool IsSelf(ProbeReply reply) => reply.NodeId == options.NodeId;

    public (GridState State, Engine? Engine) Snapshot()
    {
        lock (_gate)
        {
            return (_state, _engine);
        }
    }

    public ProbeRequest Request()
    {
        lock (_gate)
        {
            return new ProbeRequest(_address ?? "", options.NodeId, _state);
        }
    }

    public ProbeReply Reply()
    {
        string? address;
        GridState state;
        Engine? engine;
        lock (_gate)
        {
            (address, state, engine) = (_address, _state, _engine);
        }

        IReadOnlyList<MemberView> members = state == GridState.Up && engine is not null ? engine.Members() : [];
        return new ProbeReply(address ?? "", engine?.Incarnation ?? "", options.NodeId, state, members);
    }
}
