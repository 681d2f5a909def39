using GlooX.Tls;

namespace GlooX.Rpc.Tests;

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

    private static OpenSsl Good(string algorithm = "ec -pkeyopt ec_paramgen_curve:prime256v1") =>
        new OpenSsl().Authority("ca").Certificate("server", "ca", "serverAuth", algorithm).Certificate("client", "ca", "clientAuth", algorithm);

    private static Dictionary<string, string?> Variables(OpenSsl files) => new(StringComparer.Ordinal)
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
