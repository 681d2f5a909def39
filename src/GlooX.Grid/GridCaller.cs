using System.Net;

namespace GlooX.Grid;

/// <summary>Who opened a stream.</summary>
/// <param name="Remote">Its address, for messages; null: not known.</param>
/// <param name="MayBe">Whether the certificate of the caller is made for a host; null: every caller is trusted.</param>
internal sealed record GridCaller(EndPoint? Remote, Predicate<string>? MayBe = null);
