namespace GlooX.Bench;

/// <summary>One identity for all ends of a run, handed to the servers in a folder that only this user can enter; it is gone after the run.</summary>
internal sealed class Handover : IDisposable
{
    private const string FileName = "identity";

    public Handover()
    {
        // Created with mode 0700.
        Folder = Directory.CreateTempSubdirectory("gloox-bench-").FullName;
        Identity = Identity.Ephemeral("bench");
        File.WriteAllLines(Path.Combine(Folder, FileName), Identity.Export().Select(Convert.ToBase64String));
    }

    public string Folder { get; }

    public Identity Identity { get; }

    public static Identity Read(string folder) =>
        Identity.Import([.. File.ReadAllLines(Path.Combine(folder, FileName)).Select(Convert.FromBase64String)]);

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
