namespace GlooX.Grid;

/// <summary>
/// What this agent is at this moment: address, state and, if one runs, the engine. Lives outside the engine, which may restart any time.
/// </summary>
internal sealed class Standing(GridOptions options)
{
    private readonly Lock _gate = new();
    private TaskCompletionSource _up = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _address = options.AdvertisedAddress is { } given ? HostPort.Parse(given).ToString() : null;
    private GridState _state;
    private Engine? _engine;

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

    /// <summary>False: there is another one already, which stays. The address is part of what others remember, so it never changes.</summary>
    public bool Adopt(string address)
    {
        lock (_gate)
        {
            _address ??= address;
            return _address == address;
        }
    }

    /// <summary>Adopts a host that a connection has shown, if no address is known and the host means something to others.</summary>
    public void AdoptHost(string? host)
    {
        if (!string.IsNullOrEmpty(host) && HostPort.TryParse(HostPort.Of(host, options.Port).ToString(), out HostPort address))
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

    /// <summary>Changes the state only if it is the expected one; the engine stays.</summary>
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

    public bool IsMe(ProbeReply reply) => reply.NodeId == options.NodeId;

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

        return new ProbeReply(address ?? "", engine?.Incarnation ?? "", options.NodeId, state, state == GridState.Up && engine is not null ? engine.Members() : []);
    }
}
