namespace GlooX.Grid.Tests;

/// <summary>Short forms for tables: "a#1" is incarnation 1 at address a, "a#1!" is unreachable, "a#1+" is heard and "a#1-" is not.</summary>
internal static class Replies
{
    public static NodeKey Key(string text)
    {
        string[] parts = text.TrimEnd('!', '+', '-').Split('#');
        return new NodeKey(parts[0] + ":1", parts.Length > 1 ? parts[1] : "");
    }

    public static IReadOnlyList<MemberView> Members(string text) =>
        [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(t => new MemberView(
            Key(t).Address, Key(t).Incarnation, Key(t).Address, Reachable: !t.EndsWith('!'), Heard: t[^1] switch { '+' => true, '-' => false, _ => null }))];

    public static ProbeReply Reply(string node, GridState state, string members = "") =>
        new(Key(node).Address, Key(node).Incarnation, Key(node).Address, state, Members(members));

    /// <summary>"b#1:Up:a#1,b#1 c::Joining" and so on.</summary>
    public static IReadOnlyList<ProbeReply> All(string text) =>
        [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(t => t.Split(':')).Select(p =>
            Reply(p[0], Enum.Parse<GridState>(p[1]), p.Length > 2 ? p[2].Replace(',', ' ') : ""))];
}
