namespace GlooX.Workers;

/// <summary>
/// How the messages between an agent and its hosts are written. By hand: both are of one build, and a serializer that gets to know its
/// types first would cost a process that has just started a tenth of a second.
/// </summary>
internal static class ControlFormat
{
    public static byte[] Write(Action<BinaryWriter> fields)
    {
        using var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes);
        writer.Write(0); // the length comes here
        fields(writer);
        writer.Seek(0, SeekOrigin.Begin);
        writer.Write((int)bytes.Length - sizeof(int));
        writer.Flush();
        return bytes.ToArray();
    }

    public static void Write(this BinaryWriter to, Assignment assignment)
    {
        to.Write(assignment.Assembly);
        to.Write(assignment.LockFile);
        to.Write(assignment.Class);
        to.Write(assignment.Identity.Length);
        foreach (byte[] part in assignment.Identity)
        {
            to.Write(part.Length);
            to.Write(part);
        }

        ProcessOptions options = assignment.Options;
        to.Write(options.Url);
        to.Write(options.ParentUrl);
        to.Write(options.Ppid);
        to.Write(options.TmpDir);
        to.Write(options.Daemonize);
        to.Write(options.KeepTmpDir);
        to.Write(options.Values);
        to.Write(assignment.HeapLimitBytes);
        to.Write(assignment.ExitFile);
        to.Write(assignment.AdvertisedHost);
        to.Write(assignment.Environment);
        to.Write(assignment.Revoked);
    }

    public static Assignment ReadAssignment(BinaryReader from)
    {
        string assembly = from.ReadString(), lockFile = from.ReadString(), className = from.ReadString();
        byte[][] identity = new byte[from.ReadInt32()][];
        for (int i = 0; i < identity.Length; i++)
        {
            identity[i] = from.ReadBytes(from.ReadInt32());
        }

        var options = new ProcessOptions
        {
            Url = from.ReadString(),
            ParentUrl = from.ReadString(),
            Ppid = from.ReadInt32(),
            TmpDir = from.ReadString(),
            Daemonize = from.ReadBoolean(),
            KeepTmpDir = from.ReadBoolean(),
            Values = ReadValues(from),
        };
        return new Assignment(assembly, lockFile, className, identity, options)
        {
            HeapLimitBytes = from.ReadInt64(),
            ExitFile = from.ReadString(),
            AdvertisedHost = from.ReadString(),
            Environment = ReadValues(from),
            Revoked = ReadRevoked(from),
        };
    }

    public static void Write(this BinaryWriter to, string[] revoked)
    {
        to.Write(revoked.Length);
        foreach (string line in revoked)
        {
            to.Write(line);
        }
    }

    public static string[] ReadRevoked(BinaryReader from)
    {
        string[] revoked = new string[from.ReadInt32()];
        for (int i = 0; i < revoked.Length; i++)
        {
            revoked[i] = from.ReadString();
        }

        return revoked;
    }

    public static void Write(this BinaryWriter to, HostReport report)
    {
        to.Write(report.Ready);
        to.Write(report.Url);
        to.Write(report.Reason);
        to.Write(report.HeapLimited);
        to.Write(report.TryElsewhere);
    }

    public static HostReport ReadReport(BinaryReader from) =>
        new(from.ReadBoolean(), from.ReadString(), from.ReadString()) { HeapLimited = from.ReadBoolean(),
            TryElsewhere = from.ReadBoolean() };

    private static void Write(this BinaryWriter to, Dictionary<string, string> values)
    {
        to.Write(values.Count);
        foreach ((string key, string value) in values)
        {
            to.Write(key);
            to.Write(value is not null); // a caller without nullable types may have sent null
            to.Write(value ?? "");
        }
    }

    private static Dictionary<string, string> ReadValues(BinaryReader from)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        for (int i = from.ReadInt32(); i > 0; i--)
        {
            string key = from.ReadString();
            (bool isSet, string value) = (from.ReadBoolean(), from.ReadString());
            values[key] = isSet ? value : null!;
        }

        return values;
    }
}
