using System.Collections.Concurrent;
using GlooX.Slots;

namespace GlooX.Payloads;

/// <summary>What is to be run: its files, and either an assembly with a class in it or a command.</summary>
/// <param name="Files">All that travels.</param>
/// <param name="Name">The class, or what the process is called.</param>
/// <param name="Assembly">The class's assembly, as a path in the bundle; empty for a command.</param>
/// <param name="Command">Program and arguments; empty for a class.</param>
/// <param name="Provision">What it says that it needs; null: nothing.</param>
internal sealed record Payload(PackedFiles Files, string Name, string Assembly, string[] Command, Provision? Provision) : IDisposable
{
    private const int MostKnown = 1_000;

    // What was loaded from a build may need it at any time.
    private static readonly ConcurrentDictionary<string, BuildLease> s_loaded = new(StringComparer.Ordinal);
    private static readonly ConcurrentDictionary<(string Bundle, string Assembly, string? Class), (string Assembly, PayloadClass? Class)> s_known = new();

    /// <summary>What its files lie in, as long as they may have to be sent; null: they were not built.</summary>
    private BuildLease? Build { get; init; }

    public void Dispose() => Build?.Dispose();

    /// <summary>Builds what must be built, finds what is to be run and lists its files.</summary>
    /// <param name="name">A class, or what a process is to be called; null: the payload's only class, or it is a program.</param>
    /// <param name="path">A file or a folder.</param>
    /// <param name="options">Of the spawn.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <exception cref="SpawnException">The file is missing, does not compile, has no such class, or is nothing that can be
    /// run.</exception>
    public static async Task<Payload> PrepareAsync(string? name, string path, SpawnOptions options, CancellationToken ct)
    {
        try
        {
            string full = Find(path);
            if (options.Command.Count > 0 && IsSource(full))
            {
                throw new SpawnException($"{full} is source, which is built and needs no SpawnOptions.Command: leave that out");
            }

            return Directory.Exists(full) ? await OfFolderAsync(name, full, options, ct).ConfigureAwait(false)
                : IsSource(full) ? await OfSourceAsync(name, full, options, ct).ConfigureAwait(false)
                : Path.GetExtension(full) == ".dll" && options.Command.Count == 0 ? await OfAssemblyAsync(name, full, full, ct)
                    .ConfigureAwait(false)
                : await OfFileAsync(name, full, options, ct).ConfigureAwait(false);
        }
        catch (Exception e) when (e is BundleException or PayloadException)
        {
            throw new SpawnException(e.Message, e);
        }
    }

    /// <summary>A program with its arguments; where there is no such file here, a command that the node has.</summary>
    /// <exception cref="SpawnException">It is no program, or a file that cannot be run.</exception>
    public static async Task<Payload> PrepareProgramAsync(
        string program, IReadOnlyList<string> arguments, SpawnOptions options, CancellationToken ct)
    {
        if (program.Length > 0 && !program.Contains(Path.DirectorySeparatorChar) && !File.Exists(program) && !Directory.Exists(program))
        {
            return new Payload(await PackedFiles.PackAsync([("command", Placeholder())], null, ct)
                .ConfigureAwait(false), program, "", [program, .. arguments], null);
        }

        Payload payload = await PrepareAsync(null, program, options, ct).ConfigureAwait(false);
        if (payload.Command.Length > 0)
        {
            return payload with { Command = [.. payload.Command, .. arguments] };
        }

        payload.Dispose();
        throw new SpawnException($"{payload.Name} in {program} is a class, which serves until it is killed: spawn it");
    }

    /// <summary>
    /// The assembly of a <c>.dll</c>, or of a <c>.cs</c> file or project, which is built if its content was not built yet.
    /// </summary>
    /// <exception cref="SpawnException">The file is missing or does not compile.</exception>
    public static async Task<string> AssemblyOfAsync(string path, CancellationToken ct)
    {
        string full = Find(path);
        if (IsSource(full))
        {
            BuildLease build = await SourceBuild.RunAsync(full, program: false, null, ct).ConfigureAwait(false);
            if (!s_loaded.TryAdd(build.Main, build))
            {
                build.Dispose();
            }

            return build.Main;
        }

        return Path.GetExtension(full) == ".dll" ? full
            : throw new SpawnException($"{full} cannot be loaded: the code must be a .cs file, a .csproj or a .dll");
    }

    // A bundle holds a file at least, which is read when it is sent: this one is the same for all commands, and so is sent to a node once.
    private static string Placeholder()
    {
        string file = Path.Combine(GlooXHome.CreateFolder(Path.Combine(GlooXHome.Path, "run")), "command");
        if (!File.Exists(file))
        {
            string half = $"{file}.{Guid.NewGuid():N}";
            File.WriteAllText(half, "a command of the node\n");
            File.Move(half, file, overwrite: true);
        }

        return file;
    }

    private static bool IsSource(string file) => Path.GetExtension(file) is ".cs" or ".csproj";

    private static async Task<Payload> OfSourceAsync(string? name, string source, SpawnOptions options, CancellationToken ct)
    {
        BuildLease build = await SourceBuild.RunAsync(
            source, program: name is null, options.Progress is { } progress
            ? () => progress.Report(new SpawnProgress(SpawnStage.Building, 0, 0)) : null, ct).ConfigureAwait(false);
        try
        {
            return await OfAssemblyAsync(name, build.Main, source, ct).ConfigureAwait(false) with { Build = build };
        }
        catch
        {
            build.Dispose();
            throw;
        }
    }

    private static string Find(string path)
    {
        string here = Path.GetFullPath(path);
        if (File.Exists(here) || Directory.Exists(here))
        {
            return here;
        }

        // A file-based app knows where its source lies; its own folder is a build folder.
        string? source = AppContext.GetData("EntryPointFileDirectoryPath") as string;
        string? beside = source is null ? null : Path.GetFullPath(Path.Combine(source, path));
        return beside is not null && (File.Exists(beside) || Directory.Exists(beside))
            ? beside
            : throw new SpawnException($"there is no file {here}{(beside is null || beside == here ? "" : $", and none at {beside}")}");
    }

    // Published output is what lies beside a .deps.json; of any other folder only what the assembly refers to.
    private static async Task<Payload> OfAssemblyAsync(string? name, string assembly, string path, CancellationToken ct)
    {
        string folder = Path.GetDirectoryName(assembly)!;
        PayloadNote? note = PayloadNote.Read(Path.GetDirectoryName(path)!);
        bool published = File.Exists(Path.ChangeExtension(assembly, ".deps.json"));
        if (name is null && AssemblyFiles.IsProgram(assembly))
        {
            IEnumerable<(string, string)> all = published ? FolderFiles.Of(folder)
                : [.. AssemblyFiles.Of(assembly).Append(Path.ChangeExtension(assembly, ".runtimeconfig.json"))
                .Select(f => (Path.GetRelativePath(folder, f), f))];
            return new Payload(await PackedFiles.PackAsync(all, null, ct)
                .ConfigureAwait(false), Path.GetFileNameWithoutExtension(path), "", Exec(Path.GetFileName(assembly)), note?.Provision);
        }

        IEnumerable<string> files = published ? FolderFiles.Of(folder).Select(static f => f.Source)
            .Where(static f => !AssemblyFiles.IsProvided(f)) : AssemblyFiles.Of(assembly);
        PackedFiles packed = await PackedFiles.PackAsync(files.Select(f => (Path.GetRelativePath(folder, f), f)), null, ct)
            .ConfigureAwait(false);
        PayloadClass found =
            Known(packed, Path.GetFileName(assembly), name, () => (Path.GetFileName(assembly), FindClass(name, assembly, path))).Class!;
        return new Payload(packed, found.FullName, Path.GetFileName(assembly), [], found.Provision ?? note?.Provision);
    }

    private static async Task<Payload> OfFolderAsync(string? name, string folder, SpawnOptions options, CancellationToken ct)
    {
        PayloadNote? note = PayloadNote.Read(folder);
        string[] command = options.Command.Count > 0 ? [.. options.Command] : note?.Command ?? [];
        IReadOnlyList<(string Path, string Source)> files = note?.Files is { } named ? FolderFiles.Of(folder, named)
            : FolderFiles.Of(folder);
        if (command.Length > 0)
        {
            string? runnable = files.FirstOrDefault(f => f.Path == Plain(command[0])).Path;
            return new Payload(await PackedFiles.PackAsync(files, runnable, ct).ConfigureAwait(false), name
                ?? Path.GetFileName(folder), "", command, note?.Provision);
        }

        string[] assemblies =
            [.. files.Where(static f => !f.Path.Contains('/') && Path.GetExtension(f.Path) == ".dll" && !AssemblyFiles.IsProvided(f.Path))
            .Select(static f => f.Path)];
        if (name is null && assemblies.Where(a => AssemblyFiles.IsProgram(Path.Combine(folder, a))).ToArray() is [string program])
        {
            return new Payload(await PackedFiles.PackAsync(files, null, ct)
                .ConfigureAwait(false), Path.GetFileNameWithoutExtension(program), "", Exec(program), note?.Provision);
        }

        PackedFiles packed = await PackedFiles.PackAsync(files.Where(static f => !AssemblyFiles.IsProvided(f.Source)), null, ct)
            .ConfigureAwait(false);
        (string assembly, PayloadClass? found) = Known(packed, "", name, () => FindIn(name, folder, assemblies));
        return new Payload(packed, found!.FullName, assembly, [], found.Provision ?? note?.Provision);
    }

    private static async Task<Payload> OfFileAsync(string? name, string file, SpawnOptions options, CancellationToken ct)
    {
        string folder = Path.GetDirectoryName(file)!;
        string own = Path.GetFileName(file);
        PayloadNote? note = PayloadNote.Read(folder);
        string[] command = options.Command.Count > 0 ? [.. options.Command] : note?.Command is { } noted && noted.Select(Plain)
            .Contains(own, StringComparer.Ordinal) ? noted : [];
        if (command.Length == 0)
        {
            command = IsRunnable(file) ? [own] : throw new SpawnException(
                $"{file} cannot be run: it must be a .cs file, a .csproj, a .dll, a folder, or an executable (a script with #! in its first line, or a file with the mode to be executed). For anything else say how in SpawnOptions.Command, or in a {PayloadNote.FileName} beside it, for example {{ \"command\": [\"python3\", \"{own}\"] }}");
        }

        IReadOnlyList<(string, string)> files = FolderFiles.Of(folder, [own, .. note?.Files ?? []]);
        return new Payload(await PackedFiles.PackAsync(files, Plain(command[0]) == own ? own : null, ct).ConfigureAwait(false), name
            ?? own, "", command, note?.Provision);
    }

    private static string[] Exec(string program) => ["dotnet", "exec", program];

    private static string Plain(string program) => program.StartsWith("./", StringComparison.Ordinal) ? program[2..] : program;

    private static bool IsRunnable(string file)
    {
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(file) & UnixFileMode.UserExecute) != UnixFileMode.None)
        {
            return true;
        }

        using FileStream content = File.OpenRead(file);
        return content.ReadByte() == '#' && content.ReadByte() == '!';
    }

    private static (string Assembly, PayloadClass? Class) Known(
        PackedFiles files, string assembly, string? name, Func<(string, PayloadClass?)> find)
    {
        if (s_known.TryGetValue((files.Manifest.Id, assembly, name), out (string, PayloadClass?) known))
        {
            return known;
        }

        if (s_known.Count >= MostKnown)
        {
            s_known.Clear();
        }

        return s_known[(files.Manifest.Id, assembly, name)] = find();
    }

    private static PayloadClass FindClass(string? name, string assembly, string path)
    {
        IReadOnlyList<PayloadClass> classes = PayloadInspector.ReadClasses(assembly);
        if (name is null)
        {
            return classes is [PayloadClass only] ? only : throw new SpawnException(classes.Count == 0
                ? $"{path} is no program, and has no class that derives from GlooX.Worker"
                : $"{path} has several classes, name one of them: {Names(classes)}");
        }

        if (classes.FirstOrDefault(c => c.FullName == name || c.Name == name) is { } found)
        {
            return found;
        }

        bool noAgent = PayloadInspector.ReadClassNames(assembly).Any(n => n == name || n.EndsWith("." + name, StringComparison.Ordinal));
        throw new SpawnException(noAgent
            ? $"{name} in {path} is no worker: derive it from GlooX.Worker"
            : $"{path} has no class {name} that derives from GlooX.Worker; it has{(classes.Count == 0 ? " none" : $": {Names(classes)}")}");
    }

    private static (string Assembly, PayloadClass? Class) FindIn(string? name, string folder, string[] assemblies)
    {
        List<(string Assembly, PayloadClass Class)> all = [];
        foreach (string assembly in assemblies)
        {
            try
            {
                all.AddRange(PayloadInspector.ReadClasses(Path.Combine(folder, assembly)).Select(c => (assembly, c)));
            }
            catch (PayloadException e) when (e.ClassName is null)
            {
                // native code, which has no classes
            }
        }

        return all.Where(c => name is null || c.Class.FullName == name || c.Class.Name == name).ToArray() is [var only] ? only
            : throw new SpawnException(all.Count == 0
            ? $"what is to be run of {folder} is not clear: it has no class that derives from GlooX.Worker, and not exactly one program. Say it in SpawnOptions.Command or in a {PayloadNote.FileName} in it"
            : $"{folder} has not exactly one class {name}; it has {Names(all.Select(static c => c.Class))}. Name one of them with its namespace, or the .dll");
    }

    private static string Names(IEnumerable<PayloadClass> classes) => string.Join(", ", classes.Select(static c => c.FullName));
}
