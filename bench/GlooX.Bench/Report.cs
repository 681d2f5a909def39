using System.Globalization;
using System.Text.Json;

namespace GlooX.Bench;

/// <summary>What a topic ends with: a line for each figure, and the same as JSON.</summary>
internal static class Report
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true };

    public static void Print(Dictionary<string, double> figures, string? json)
    {
        foreach ((string name, double value) in figures)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"ratio {name} {value:F2}"));
        }

        if (json is not null)
        {
            File.WriteAllText(json, JsonSerializer.Serialize(figures, s_json) + "\n");
        }
    }
}
