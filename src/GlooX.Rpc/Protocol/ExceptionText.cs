namespace GlooX.Protocol;

/// <summary>
/// What exceptions of other people's code say. Their members are code too: one that throws must harm neither the process nor the answer
/// that its caller waits for.
/// </summary>
internal static class ExceptionText
{
    public static string Message(Exception e) => Read(e, static e => e.Message);

    /// <summary>All of it, with the stack.</summary>
    public static string Full(Exception e) => Read(e, static e => e.ToString());

    private static string Read(Exception e, Func<Exception, string?> read)
    {
        try
        {
            return read(e) ?? "";
        }
        catch (Exception worse)
        {
            return $"(what it says cannot be read, for that throws {worse.GetType().FullName})";
        }
    }
}
