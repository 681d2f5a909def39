using System.Reflection;

// The process into which a payload is loaded. All that it does is in GlooX, which lies beside it; GlooX refers to this project to
// have it there, so this project cannot refer to GlooX.
return await ((Task<int>)Assembly.Load("GlooX").GetType("GlooX.Workers.HostProcess", throwOnError: true)!
    .GetMethod("RunAsync", BindingFlags.Public | BindingFlags.Static)!.Invoke(null, null)!).ConfigureAwait(false);
