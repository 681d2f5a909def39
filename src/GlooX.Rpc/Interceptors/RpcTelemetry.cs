using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using GlooX.Protocol;
using GlooX.Server;

namespace GlooX.Interceptors;

/// <summary>
/// Traces and durations of calls, for whoever listens to the source or the meter <c>GlooX.Rpc</c>; the context of a trace travels as metadata.
/// Names are those of the OpenTelemetry semantic conventions for RPC since 1.39, where <c>rpc.method</c> contains the service.
/// </summary>
internal sealed class RpcTelemetry : RpcInterceptor
{
    public static readonly RpcTelemetry Instance = new();

    private const string Name = "GlooX.Rpc";

    // What the conventions say for a method that the server does not have: its name is the caller's invention.
    private const string UnknownMethod = "_OTHER";

    private static readonly InstrumentAdvice<double> s_buckets = new()
    {
        HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
    };

    private static readonly string? s_version = typeof(RpcTelemetry).Assembly.GetName().Version?.ToString(3);
    private static readonly ActivitySource s_source = new(Name, s_version);
    private static readonly Meter s_meter = new(Name, s_version);
    private static readonly Histogram<double> s_made = s_meter.CreateHistogram("rpc.client.call.duration", "s", "Duration of calls made.", null, s_buckets);
    private static readonly Histogram<double> s_served = s_meter.CreateHistogram("rpc.server.call.duration", "s", "Duration of calls served.", null, s_buckets);

    private RpcTelemetry()
    {
    }

    /// <summary>Whether anybody listens.</summary>
    public static bool IsWatched => s_source.HasListeners() || s_made.Enabled || s_served.Enabled;

    public override async ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next)
    {
        long start = Stopwatch.GetTimestamp();
        TagList tags = Tags(call.Method, call.Url);
        using Activity? activity = s_source.StartActivity(ActivityKind.Client, default, tags, name: MethodOf(call.Method));
        if (s_source.HasListeners())
        {
            DistributedContextPropagator.Current.Inject(activity ?? Activity.Current, call, static (to, key, value) => ((RpcClientCall)to!).Metadata[key] = value);
        }

        try
        {
            T result = await next().ConfigureAwait(false);
            End(s_made, activity, start, tags, null);
            return result;
        }
        catch (Exception e)
        {
            End(s_made, activity, start, tags, e);
            throw;
        }
    }

    public override async ValueTask<T> ServeAsync<T>(RpcCall call, Func<ValueTask<T>> next)
    {
        long start = Stopwatch.GetTimestamp();
        TagList tags = Tags(call.Method, call.ServedAt);
        using Activity? activity = s_source.HasListeners() ? StartServing(call, tags) : null;
        try
        {
            T result = await next().ConfigureAwait(false);
            End(s_served, activity, start, tags, null);
            return result;
        }
        catch (Exception e)
        {
            End(s_served, activity, start, tags, e);
            throw;
        }
    }

    /// <summary>A call did not get as far as its interceptors.</summary>
    /// <param name="method">What was called; null: nothing that is known.</param>
    /// <param name="url">Where.</param>
    /// <param name="reason">Why not.</param>
    public static void Refused(string? method, string? url, RpcException reason)
    {
        if (s_served.Enabled)
        {
            TagList tags = Tags(method ?? UnknownMethod, url);
            End(s_served, null, Stopwatch.GetTimestamp(), tags, reason);
        }
    }

    private static Activity? StartServing(RpcCall call, TagList tags)
    {
        DistributedContextPropagator propagator = DistributedContextPropagator.Current;
        propagator.ExtractTraceIdAndState(call.Metadata, Get, out string? parent, out string? state);
        _ = ActivityContext.TryParse(parent, state, isRemote: true, out ActivityContext context);
        (string address, int port) = Split(call.Caller);
        tags.Add("client.address", address);
        tags.Add("client.port", port);
        Activity? activity = s_source.StartActivity(ActivityKind.Server, context, tags, name: MethodOf(call.Method));
        if (activity is not null && propagator.ExtractBaggage(call.Metadata, Get) is { } baggage)
        {
            foreach ((string key, string? value) in baggage)
            {
                activity.AddBaggage(key, value);
            }
        }

        return activity;

        static void Get(object? from, string key, out string? value, out IEnumerable<string>? values)
        {
            values = null;
            ((IReadOnlyDictionary<string, string>)from!).TryGetValue(key, out value);
        }
    }

    private static void End(Histogram<double> durations, Activity? activity, long start, TagList tags, Exception? failure)
    {
        if (failure is not null)
        {
            var rpc = failure as RpcException;
            RpcError? code = rpc is not null && durations == s_served && !rpc.IsRefusal ? RpcError.Remote : rpc?.Code; // what the caller is told
            string type = rpc switch
            {
                { } when code == RpcError.Remote => rpc.RemoteType ?? nameof(RpcError.Remote),
                { } => rpc.Code.ToString(),
                null when failure is OperationCanceledException => nameof(RpcError.Cancelled),
                null => failure.GetType().FullName!,
            };
            tags.Add("error.type", type);
            activity?.SetTag("error.type", type);
            activity?.SetStatus(ActivityStatusCode.Error, ExceptionText.Message(failure));
            if (code is { } told)
            {
                tags.Add("rpc.response.status_code", told.ToString());
                activity?.SetTag("rpc.response.status_code", told.ToString());
            }
        }

        activity?.Stop();
        if (durations.Enabled)
        {
            durations.Record((activity?.Duration ?? Stopwatch.GetElapsedTime(start)).TotalSeconds, tags);
        }
    }

    private static TagList Tags(string method, string? url)
    {
        var tags = new TagList { { "rpc.system.name", "gloox" }, { "rpc.method", MethodOf(method) } };
        if (url is not null)
        {
            (string address, int port) = Split(url);
            tags.Add("server.address", address);
            if (port > 0)
            {
                tags.Add("server.port", port);
            }
        }

        return tags;
    }

    // An object that was lent has a number instead of a service, another one in each connection.
    private static string MethodOf(string method) => method.StartsWith('#') ? method[(method.IndexOf('/', StringComparison.Ordinal) + 1)..] : method;

    private static (string Address, int Port) Split(string url)
    {
        int colon = url.LastIndexOf(':');
        return colon > 0 && int.TryParse(url.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port)
            ? (url[..colon].Trim('[', ']'), port)
            : (url, 0);
    }
}
