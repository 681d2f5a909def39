using System.Globalization;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace GlooX.Generator;

/// <summary>Reads what travels: arguments, their defaults, and results.</summary>
internal static class ValueReader
{
    public static ValueModel Read(ITypeSymbol type) => new(type.ToCode(), Primitive(type), NullnessOf(type));

    public static ValueModel ReadParameter(IParameterSymbol parameter)
    {
        ValueModel value = Read(parameter.Type);

        // "string name = null!" says that it may be null after all.
        return value.Nullness == Nullness.Never && parameter is { HasExplicitDefaultValue: true, ExplicitDefaultValue: null }
            ? value with { Nullness = Nullness.Unknown }
            : value;
    }

    /// <summary>The default as an expression of the parameter's type; null without a default, or with one that C# cannot write.</summary>
    public static string? ReadDefault(IParameterSymbol parameter)
    {
        if (!parameter.HasExplicitDefaultValue)
            return null;
        if (parameter.ExplicitDefaultValue is not { } value)
            return parameter.Type.IsReferenceType && parameter.Type.NullableAnnotation != NullableAnnotation.Annotated ? "default!" : "default";
        string? literal = value switch
        {
            double.NaN => "double.NaN",
            float.NaN => "float.NaN",
            double.PositiveInfinity or float.PositiveInfinity => "double.PositiveInfinity",
            double.NegativeInfinity or float.NegativeInfinity => "double.NegativeInfinity",
            decimal number => number.ToString(CultureInfo.InvariantCulture) + "m",
            bool or char or string or sbyte or byte or short or ushort or int or uint or long or ulong or float or double =>
                SymbolDisplay.FormatPrimitive(value, quoteStrings: true, useHexadecimalNumbers: false),
            _ => null,
        };

        // The cast makes an enum of a number and keeps small integers small; the parentheses are for negative numbers.
        return literal is null ? null : value is string or char or bool ? literal : $"({parameter.Type.ToCode()})({literal})";
    }

    private static string? Primitive(ITypeSymbol type) => type switch
    {
        { SpecialType: SpecialType.System_Boolean } => "Boolean",
        { SpecialType: SpecialType.System_SByte } => "SByte",
        { SpecialType: SpecialType.System_Byte } => "Byte",
        { SpecialType: SpecialType.System_Int16 } => "Int16",
        { SpecialType: SpecialType.System_UInt16 } => "UInt16",
        { SpecialType: SpecialType.System_Int32 } => "Int32",
        { SpecialType: SpecialType.System_UInt32 } => "UInt32",
        { SpecialType: SpecialType.System_Int64 } => "Int64",
        { SpecialType: SpecialType.System_UInt64 } => "UInt64",
        { SpecialType: SpecialType.System_Single } => "Single",
        { SpecialType: SpecialType.System_Double } => "Double",
        { SpecialType: SpecialType.System_String } => "String",
        IArrayTypeSymbol { IsSZArray: true, ElementType.SpecialType: SpecialType.System_Byte } => "Bytes",
        _ => null,
    };

    private static Nullness NullnessOf(ITypeSymbol type) => type switch
    {
        { IsReferenceType: false } or { NullableAnnotation: NullableAnnotation.Annotated } => Nullness.Declared,
        { NullableAnnotation: NullableAnnotation.NotAnnotated } => Nullness.Never,
        _ => Nullness.Unknown,
    };
}
