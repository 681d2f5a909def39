namespace GlooX.Streams;

/// <summary>
/// The result of a method that streams. Each enumeration is a call of its own, which starts with the first item and ends with the enumeration.
/// Written by hand, because an iterator around the incoming stream would double the cost of each item.
/// </summary>
/// <param name="begin">Makes the call.</param>
/// <param name="declared">Cancels all calls.</param>
internal sealed class ResultStream<T>(Func<CancellationToken, ValueTask<PendingStream<T>>> begin, CancellationToken declared) : IAsyncEnumerable<T>
{
    public IAsyncEnumerator<T> GetAsyncEnumerator(CancellationToken cancellationToken = default) => new Enumerator(begin, declared, cancellationToken);

    private sealed class Enumerator(Func<CancellationToken, ValueTask<PendingStream<T>>> begin, CancellationToken declared, CancellationToken ct) : IAsyncEnumerator<T>
    {
        private readonly CancellationTokenSource _both = CancellationTokenSource.CreateLinkedTokenSource(declared, ct);
        private PendingStream<T>? _call;
        private IAsyncEnumerator<T>? _items;
        private bool _isOver;

        public T Current => _items is { } items ? items.Current : default!;

        public ValueTask<bool> MoveNextAsync()
        {
            if (_items is not { } items)
            {
                return _isOver ? new ValueTask<bool>(false) : BeginAsync();
            }

            ValueTask<bool> next = items.MoveNextAsync();
            if (!next.IsCompletedSuccessfully)
            {
                return AwaitAsync(next);
            }

            return next.Result ? new ValueTask<bool>(true) : EndAsync();
        }

        public async ValueTask DisposeAsync()
        {
            if (_isOver)
            {
                return;
            }

            _isOver = true;
            if (_items is { } items)
            {
                _items = null;
                await items.DisposeAsync().ConfigureAwait(false);
            }

            _call?.Dispose();
            _both.Dispose();
        }

        private async ValueTask<bool> BeginAsync()
        {
            try
            {
                _call = await begin(_both.Token).ConfigureAwait(false);
                _items = _call.Items.GetAsyncEnumerator(_both.Token);
            }
            catch
            {
                await DisposeAsync().ConfigureAwait(false);
                throw;
            }

            return await MoveNextAsync().ConfigureAwait(false);
        }

        private async ValueTask<bool> AwaitAsync(ValueTask<bool> next)
        {
            bool has;
            try
            {
                has = await next.ConfigureAwait(false);
            }
            catch
            {
                await DisposeAsync().ConfigureAwait(false);
                throw;
            }

            return has || await EndAsync().ConfigureAwait(false);
        }

        private async ValueTask<bool> EndAsync()
        {
            await DisposeAsync().ConfigureAwait(false);
            return false;
        }
    }
}
