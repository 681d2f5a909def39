using GlooX.Tls;

namespace GlooX.Rpc.Tests.Tls;

/// <summary>The seven variables, with files made by openssl.</summary>
public sealed class RaktrVariablesTests
{
    private const string Rsa = "rsa:2048";

    [Fact]
    public void Without_any_variable_there_is_no_identity_of_theirs() => Assert.Null(RaktrVariables.Load(_ => null));

    [Theory]
    [InlineData("ec -pkeyopt ec_paramgen_curve:prime256v1")]
    [InlineData(Rsa)]
    public async Task Two_processes_with_the_seven_variables_talk(string algorithm)
    {
        using OpenSsl files = Good(algorithm);
        Identity identity = RaktrVariables.Load(Variables(files).GetValueOrDefault)!;
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = identity }, new RpcClientOptions { Identity = identity });
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public void The_public_keys_may_be_left_out()
    {
        using OpenSsl files = Good();
        Dictionary<string, string?> variables = Variables(files);
        variables.Remove(RaktrVariables.ServerPublicKey);
        variables.Remove(RaktrVariables.ClientPublicKey);
        Assert.NotNull(RaktrVariables.Load(variables.GetValueOrDefault));
    }

    [Theory]
    [InlineData(RaktrVariables.Ca)]
    [InlineData(RaktrVariables.ServerCertificate)]
    [InlineData(RaktrVariables.ServerPrivateKey)]
    [InlineData(RaktrVariables.ClientCertificate)]
    [InlineData(RaktrVariables.ClientPrivateKey)]
    public void One_that_is_missing_beside_the_others_is_named(string variable)
    {
        using OpenSsl files = Good();
        Dictionary<string, string?> variables = Variables(files);
        variables.Remove(variable);
        var error = Assert.Throws<IdentityException>(() => RaktrVariables.Load(variables.GetValueOrDefault));
        Assert.Equal(variable, error.Origin);
        Assert.Contains("not set", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(RaktrVariables.Ca, "missing.pem", "cannot read")]
    [InlineData(RaktrVariables.Ca, "server.key", "no certificate")]
    [InlineData(RaktrVariables.ServerCertificate, "client.crt", "not accepted")]
    [InlineData(RaktrVariables.ServerPrivateKey, "client.key", "does not belong")]
    [InlineData(RaktrVariables.ServerPrivateKey, "server.crt", "unreadable")]
    [InlineData(RaktrVariables.ServerPublicKey, "client.pub", "is not that of the certificate")]
    [InlineData(RaktrVariables.ServerPublicKey, "server.ext", "no public key")]
    [InlineData(RaktrVariables.ClientCertificate, "foreign.crt", "not by the authority trusted here")]
    [InlineData(RaktrVariables.ClientCertificate, "old.crt", "not accepted")]
    public void What_is_wrong_is_said_with_the_variable(string variable, string file, string complaint)
    {
        using OpenSsl files = Good();
        files.Authority("other").Certificate("foreign", "other", "clientAuth").Certificate("old", "ca", "clientAuth", days: -1);
        Dictionary<string, string?> variables = Variables(files);
        variables[variable] = files[file];
        if (Path.GetFileNameWithoutExtension(file) is "foreign" or "old" or "client" && variable.EndsWith("_CERTIFICATE", StringComparison.Ordinal))
        {
            string side = variable[..^"_CERTIFICATE".Length];
            variables[side + "_PRIVATE_KEY"] = files[Path.ChangeExtension(file, ".key")];
            variables[side + "_PUBLIC_KEY"] = files[Path.ChangeExtension(file, ".pub")];
        }

        var error = Assert.Throws<IdentityException>(() => RaktrVariables.Load(variables.GetValueOrDefault));
        Assert.Equal(variable, error.Origin);
        Assert.Contains(complaint, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ec -pkeyopt ec_paramgen_curve:prime256v1", "")]
    [InlineData(Rsa, "")]
    [InlineData(Rsa, "-legacy")]
    public async Task A_PKCS12_holds_certificate_and_key(string algorithm, string how)
    {
        using OpenSsl files = Good(algorithm).Do($"pkcs12 -export {how} -in server.crt -inkey server.key -out server.p12 -passout pass:s3cret");
        Dictionary<string, string?> variables = Variables(files);
        variables.Remove(RaktrVariables.ServerPrivateKey);
        variables[RaktrVariables.ServerCertificate] = files["server.p12"];
        variables[RaktrVariables.ServerPrivateKey + RaktrVariables.PasswordSuffix] = "s3cret";
        await TalksAsync(variables);

        variables[RaktrVariables.ServerCertificate] = files["server.crt"];
        variables[RaktrVariables.ServerPrivateKey] = files["server.p12"];
        await TalksAsync(variables);
    }

    [Theory]
    [InlineData(null, "the variable is not set")]
    [InlineData("wrong", "cannot be opened with it")]
    public void A_PKCS12_that_does_not_open_is_said_with_the_variable_of_the_password(string? password, string complaint)
    {
        using OpenSsl files = Good().Do("pkcs12 -export -in client.crt -inkey client.key -out client.p12 -passout pass:s3cret");
        Dictionary<string, string?> variables = Variables(files);
        variables[RaktrVariables.ClientCertificate] = files["client.p12"];
        variables[RaktrVariables.ClientPrivateKey + RaktrVariables.PasswordSuffix] = password;
        Complains(variables, RaktrVariables.ClientPrivateKey + RaktrVariables.PasswordSuffix, complaint);
    }

    [Theory]
    [InlineData("ec -pkeyopt ec_paramgen_curve:prime256v1")]
    [InlineData(Rsa)]
    public async Task An_encrypted_key_is_opened_with_its_password(string algorithm)
    {
        using OpenSsl files = Good(algorithm).Do("pkcs8 -topk8 -in server.key -out locked.key -passout pass:s3cret");
        Dictionary<string, string?> variables = Variables(files);
        variables[RaktrVariables.ServerPrivateKey] = files["locked.key"];
        Complains(variables, RaktrVariables.ServerPrivateKey, "is encrypted, and RAKTR_TLS_SERVER_PRIVATE_KEY_PASSWORD is not set");
        variables[RaktrVariables.ServerPrivateKey + RaktrVariables.PasswordSuffix] = "wrong";
        Complains(variables, RaktrVariables.ServerPrivateKey + RaktrVariables.PasswordSuffix, "cannot be decrypted");
        variables[RaktrVariables.ServerPrivateKey + RaktrVariables.PasswordSuffix] = "s3cret";
        await TalksAsync(variables);
    }

    [Theory]
    [InlineData("rsa -in client.key -out odd.key -traditional", null)]
    [InlineData("rsa -in client.key -out odd.key -traditional -aes128 -passout pass:x", "openssl pkcs8 -topk8")]
    public async Task Keys_in_the_old_form_are_read_but_not_if_they_are_encrypted(string make, string? complaint)
    {
        using OpenSsl files = Good(Rsa).Do(make);
        Dictionary<string, string?> variables = Variables(files);
        variables[RaktrVariables.ClientPrivateKey] = files["odd.key"];
        if (complaint is null)
        {
            await TalksAsync(variables);
        }
        else
        {
            Complains(variables, RaktrVariables.ClientPrivateKey, complaint);
        }
    }

    [Theory]
    [InlineData(UnixFileMode.OtherRead, true)]
    [InlineData(UnixFileMode.GroupWrite, true)]
    [InlineData(UnixFileMode.GroupRead, false)]
    public void A_key_that_others_may_touch_is_refused_with_the_cure(UnixFileMode also, bool refused)
    {
        using OpenSsl files = Good();
        Dictionary<string, string?> variables = Variables(files);
        File.SetUnixFileMode(files["client.key"], UnixFileMode.UserRead | UnixFileMode.UserWrite | also);
        if (refused)
        {
            Complains(variables, RaktrVariables.ClientPrivateKey, $"chmod 600 {files["client.key"]}");
        }
        else
        {
            Assert.NotNull(RaktrVariables.Load(variables.GetValueOrDefault));
        }
    }

    [Fact]
    public async Task What_is_between_certificate_and_authority_stands_behind_the_certificate()
    {
        using OpenSsl files = new OpenSsl().Authority("ca").Intermediate("middle", "ca").Certificate("server", "middle", "serverAuth").Certificate("client", "middle", "clientAuth")
            .Together("server.chain", "server.crt", "middle.crt").Together("client.chain", "client.crt", "middle.crt");
        Dictionary<string, string?> variables = Variables(files);
        Complains(variables, RaktrVariables.ServerCertificate, "not by the authority trusted here");
        variables[RaktrVariables.ServerCertificate] = files["server.chain"];
        variables[RaktrVariables.ClientCertificate] = files["client.chain"];
        await TalksAsync(variables);
        variables[RaktrVariables.Ca] = files["middle.crt"];
        Complains(variables, RaktrVariables.Ca, "is no root");
        variables[RaktrVariables.Ca] = files.Together("both.crt", "ca.crt", "middle.crt")["both.crt"];
        Complains(variables, RaktrVariables.Ca, "holds 2 certificates");
    }

    [Fact]
    public void Keys_of_other_kinds_are_named()
    {
        using OpenSsl files = Good().Certificate("rsa", "ca", "serverAuth", Rsa).Certificate("ed", "ca", "serverAuth", "ed25519");
        Dictionary<string, string?> variables = Variables(files);
        variables[RaktrVariables.ServerPrivateKey] = files["rsa.key"];
        Complains(variables, RaktrVariables.ServerPrivateKey, "one is of RSA, the other of ECDSA");
        variables[RaktrVariables.ServerCertificate] = files["ed.crt"];
        Complains(variables, RaktrVariables.ServerCertificate, "use RSA or ECDSA");
        variables[RaktrVariables.ServerPrivateKey] = files["ed.key"];
        Complains(variables, RaktrVariables.ServerPrivateKey, "unreadable");
    }

    [Fact]
    public void Certificates_that_have_ended_say_when()
    {
        using OpenSsl files = Good().Certificate("old", "ca", "serverAuth", days: -1).Do("x509 -in ca.crt -signkey ca.key -days -1 -out oldca.crt");
        Dictionary<string, string?> variables = Variables(files);
        variables[RaktrVariables.Ca] = files["oldca.crt"];
        Complains(variables, RaktrVariables.Ca, "has expired; it was valid until");
        variables[RaktrVariables.Ca] = files["ca.crt"];
        variables[RaktrVariables.ServerCertificate] = files["old.crt"];
        variables[RaktrVariables.ServerPrivateKey] = files["old.key"];
        variables[RaktrVariables.ServerPublicKey] = files["old.pub"];
        Complains(variables, RaktrVariables.ServerCertificate, "has expired; it was valid until");
    }

    [Fact]
    public void What_makes_the_certificates_of_children_must_be_able_to()
    {
        using OpenSsl files = Good().Intermediate("children", "ca").Authority("other").Intermediate("foreign", "other");
        Dictionary<string, string?> variables = Variables(files);
        variables[RaktrVariables.ChildrenCertificate] = files["children.crt"];
        Complains(variables, RaktrVariables.ChildrenPrivateKey, "not set");
        variables[RaktrVariables.ChildrenPrivateKey] = files["children.key"];
        IdentityParts child = RaktrVariables.Load(variables.GetValueOrDefault)!.Current.ForChild(RpcRole.Child, "p", DateTimeOffset.UtcNow);
        Assert.Equal(RpcRole.Child, CertificateNames.Roles(child.Server));
        Assert.Null(CertificateAuthority.Refusal(child.Server, child.Authority, server: true, child.Intermediates));
        foreach (string wrong in new[] { "foreign", "server" })
        {
            variables[RaktrVariables.ChildrenCertificate] = files[wrong + ".crt"];
            variables[RaktrVariables.ChildrenPrivateKey] = files[wrong + ".key"];
            Complains(variables, RaktrVariables.ChildrenCertificate, "cannot make certificates");
        }
    }

    private static async Task TalksAsync(Dictionary<string, string?> variables)
    {
        Identity identity = RaktrVariables.Load(variables.GetValueOrDefault)!;
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Identity = identity }, new RpcClientOptions { Identity = identity });
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    private static void Complains(Dictionary<string, string?> variables, string variable, string complaint)
    {
        var error = Assert.Throws<IdentityException>(() => RaktrVariables.Load(variables.GetValueOrDefault));
        Assert.Equal(variable, error.Origin);
        Assert.Contains(complaint, error.Message, StringComparison.Ordinal);
    }

    internal static OpenSsl Good(string algorithm = "ec -pkeyopt ec_paramgen_curve:prime256v1") =>
        new OpenSsl().Authority("ca").Certificate("server", "ca", "serverAuth", algorithm).Certificate("client", "ca", "clientAuth", algorithm);

    internal static Dictionary<string, string?> Variables(OpenSsl files) => new(StringComparer.Ordinal)
    {
        [RaktrVariables.Ca] = files["ca.crt"],
        [RaktrVariables.ServerCertificate] = files["server.crt"],
        [RaktrVariables.ServerPrivateKey] = files["server.key"],
        [RaktrVariables.ServerPublicKey] = files["server.pub"],
        [RaktrVariables.ClientCertificate] = files["client.crt"],
        [RaktrVariables.ClientPrivateKey] = files["client.key"],
        [RaktrVariables.ClientPublicKey] = files["client.pub"],
    };
}
