namespace GlooX.Services;

/// <summary>The table of what each role may call of an agent; docs/security.md shows it. Methods that are not in it are refused.</summary>
internal static class AgentAccess
{
    private const RpcRole Looks = RpcRole.Observer | RpcRole.Client | RpcRole.Agent;
    private const RpcRole Runs = RpcRole.Client | RpcRole.Agent;

    public static RpcAccess Table { get; } = new()
    {
        Roles = RpcRole.None,
        Methods = new Dictionary<string, RpcRole>(StringComparer.Ordinal)
        {
            ["alive?"] = RpcRole.Any,
            ["info"] = RpcRole.Any,
            ["nodes"] = Looks,
            ["list"] = Looks,
            ["slots"] = Looks,
            ["wait"] = Looks,
            ["find"] = Looks,
            ["find_here"] = Looks,
            ["watch"] = Looks,
            ["watch_here"] = Looks,
            ["addons"] = Looks,
            ["spawn"] = Runs,
            ["prepare"] = Runs,
            ["attach_addon"] = Runs,
            ["detach_addon"] = Runs,
            ["spread_addon"] = Runs,
            ["withdraw_addon"] = Runs,
            ["kill"] = Runs,
            ["claim"] = Runs,
            ["abandon"] = Runs,
            ["stop"] = Runs,
            ["logs"] = Runs,
            ["revoke"] = RpcRole.Admin,
            ["allow"] = RpcRole.Admin,
        },
    };
}
