namespace GlooX.Protocol;

/// <summary>
/// Reads the texts of exceptions from user code. Their members are user code too: one that throws must harm neither the process nor the answer that
/// the caller waits for.
/// </summary>
internal static class ExceptionText
{
    public static string Message(Exception e) => Read(e, static e => e.Message);

    /// <summary>The whole text, with the stack trace.</summary>
    public static string Full(Exception e) => Read(e, static e => e.ToString());

    private static string Read(Exception e, Func<Exception, string?> read)
    {
        try
        {
            return read(e) ?? "";
        }
        catch (Exception worse)
        {
            return $"(its message cannot be read: {worse.GetType().FullName} was thrown)";
        }
    }
}
