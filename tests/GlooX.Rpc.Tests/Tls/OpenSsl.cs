using System.Diagnostics;

namespace GlooX.Rpc.Tests.Tls;

/// <summary>A folder of certificates made by the <c>openssl</c> command, not by our own code; gone with the test.</summary>
internal sealed class OpenSsl : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("gloox-openssl-").FullName;

    public string this[string file] => Path.Combine(_folder, file);

    public OpenSsl Authority(string name)
    {
        Run($"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.crt -days 30 -subj /CN={name} -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign");
        return this;
    }

    /// <summary>A certificate, its key and its public key; valid for the given days, which may be negative.</summary>
    public OpenSsl Certificate(string name, string authority, string usage, string algorithm = "ec -pkeyopt ec_paramgen_curve:prime256v1", int days = 20, string names = "DNS:localhost,IP:127.0.0.1")
    {
        string alternative = names.Length == 0 ? "" : $"subjectAltName={names}\n";
        File.WriteAllText(this[name + ".ext"], $"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n{alternative}");
        Run($"req -newkey {algorithm} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}");
        Run($"x509 -req -in {name}.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial -out {name}.crt -days {days} -extfile {name}.ext");
        Run($"pkey -in {name}.key -pubout -out {name}.pub");
        return this;
    }

    /// <summary>An authority below another one.</summary>
    public OpenSsl Intermediate(string name, string authority)
    {
        File.WriteAllText(this[name + ".ext"], "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n");
        Run($"req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}");
        Run($"x509 -req -in {name}.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial -out {name}.crt -days 20 -extfile {name}.ext");
        return this;
    }

    /// <summary>Several files in one.</summary>
    public OpenSsl Together(string name, params string[] files)
    {
        File.WriteAllText(this[name], string.Concat(files.Select(f => File.ReadAllText(this[f]))));
        return this;
    }

    /// <summary>Runs the command with the given arguments, in the folder.</summary>
    public OpenSsl Do(string arguments)
    {
        Run(arguments);
        return this;
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void Run(string arguments)
    {
        var start = new ProcessStartInfo("openssl", arguments) { WorkingDirectory = _folder, RedirectStandardError = true, RedirectStandardOutput = true, UseShellExecute = false };
        using Process process = Process.Start(start)!;
        string said = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, said);
    }
}
