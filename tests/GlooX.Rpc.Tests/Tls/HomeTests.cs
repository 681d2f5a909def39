using System.Diagnostics;

namespace GlooX.Rpc.Tests.Tls;

/// <summary>The home with the certificates must be this user's, as the folder of ssh must.</summary>
public sealed class HomeTests : IDisposable
{
    private readonly string _home = Directory.CreateTempSubdirectory("gloox-home-").FullName;

    public void Dispose() => Directory.Delete(_home, recursive: true);

    [Theory]
    [InlineData(UnixFileMode.OtherWrite)]
    [InlineData(UnixFileMode.GroupWrite)]
    public void A_home_that_others_can_write_to_is_refused_with_the_cure(UnixFileMode mode)
    {
        File.SetUnixFileMode(_home, File.GetUnixFileMode(_home) | mode);
        var error = Assert.Throws<IdentityException>(() => GlooXHome.Create(_home));
        Assert.Contains($"chmod go-w {_home}", error.Message, StringComparison.Ordinal);
        File.SetUnixFileMode(_home, File.GetUnixFileMode(_home) & ~mode);
        Assert.Equal(_home, GlooXHome.Create(_home));
    }

    [Fact]
    public async Task A_home_of_another_user_is_refused_with_the_cure()
    {
        Assert.SkipUnless(Environment.UserName == "root", "only root can give a folder to others");
        using (Process chown = Process.Start("chown", ["65534", _home]))
        {
            await chown.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        var error = Assert.Throws<IdentityException>(() => GlooXHome.Create(_home));
        Assert.Contains($"its owner has the id 65534, this user 0", error.Message, StringComparison.Ordinal);
        Assert.Contains($"chown -R 0 {_home}", error.Message, StringComparison.Ordinal);
    }
}
