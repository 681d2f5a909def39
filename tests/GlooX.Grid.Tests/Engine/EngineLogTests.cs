using Microsoft.Extensions.Logging;
using AkkaLogLevel = Akka.Event.LogLevel;

namespace GlooX.Grid.Tests;

public sealed class EngineLogTests
{
    [Theory]
    [InlineData(AkkaLogLevel.ErrorLevel, "akka://grid/system/endpointManager/endpointWriter-1", LogLevel.Debug)]
    [InlineData(AkkaLogLevel.ErrorLevel, "akka.gloox://grid@10.0.0.3.i1:1/", LogLevel.Debug)]
    [InlineData(AkkaLogLevel.ErrorLevel, "remoting (akka://grid)", LogLevel.Debug)]
    [InlineData(AkkaLogLevel.ErrorLevel, "akka://grid/user/members", LogLevel.Warning)]
    [InlineData(AkkaLogLevel.WarningLevel, "akka://grid/system/cluster/core/daemon", LogLevel.Debug)]
    [InlineData(AkkaLogLevel.InfoLevel, "akka://grid/system/cluster/core/daemon", LogLevel.Trace)]
    public void The_engine_is_turned_down(AkkaLogLevel level, string source, LogLevel expected) =>
        Assert.Equal(expected, EngineLog.LevelFor(level, source));
}
