using System.Security.Cryptography;

namespace GlooX.Payloads;

/// <summary>
/// Takes a stream of pieces apart into the files that it holds, one after the other: of each exactly as many bytes as were announced, and
/// only with the hash that was. The sender is not trusted in anything.
/// </summary>
internal sealed class FileSplitter : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);
    private readonly CancellationTokenSource _stall;
    private readonly CancellationToken _ct;
    private readonly IAsyncEnumerator<byte[]> _pieces;
    private ReadOnlyMemory<byte> _left;

    public FileSplitter(IAsyncEnumerable<byte[]> content, CancellationToken ct)
    {
        _ct = ct;
        _stall = CancellationTokenSource.CreateLinkedTokenSource(ct);
        _pieces = content.GetAsyncEnumerator(_stall.Token);
    }

    /// <exception cref="BundleException">It is not what was announced, or nothing comes for a minute.</exception>
    public async Task CopyAsync(BundleFile file, Stream to)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (long missing = file.Size; missing > 0;)
        {
            if (_left.IsEmpty && !await MoreAsync().ConfigureAwait(false))
            {
                throw new BundleException($"the content ended {missing} bytes before the end of '{file.Path}'");
            }

            ReadOnlyMemory<byte> piece = _left[..(int)Math.Min(_left.Length, missing)];
            hash.AppendData(piece.Span);
            await to.WriteAsync(piece, _ct).ConfigureAwait(false);
            _left = _left[piece.Length..];
            missing -= piece.Length;
        }

        string actual = Convert.ToHexStringLower(hash.GetHashAndReset());
        if (actual != file.Hash)
        {
            throw new BundleException(
                $"'{file.Path}' came with other content than was announced: its hash is {actual}, not {file.Hash}. If it was being changed, try again");
        }
    }

    /// <exception cref="BundleException">There is more.</exception>
    public async Task EndAsync()
    {
        if (!_left.IsEmpty || await MoreAsync().ConfigureAwait(false))
        {
            throw new BundleException("more content came than was announced");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _pieces.DisposeAsync().ConfigureAwait(false);
        _stall.Dispose();
    }

    private async ValueTask<bool> MoreAsync()
    {
        do
        {
            _stall.CancelAfter(s_patience);
            try
            {
                if (!await _pieces.MoveNextAsync().ConfigureAwait(false))
                {
                    return false;
                }
            }
            catch (OperationCanceledException e) when (!_ct.IsCancellationRequested)
            {
                throw new BundleException($"no content came for {s_patience.TotalSeconds} s", e);
            }

            _left = _pieces.Current;
        }
        while (_left.IsEmpty);
        return true;
    }
}
