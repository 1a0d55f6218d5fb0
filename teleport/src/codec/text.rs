//! Reads single values from their text, as Go's strconv does.

use std::str::FromStr;

use serde::de::{self, Unexpected, VariantAccess, Visitor};

use super::fail::Fail;

#[cold]
fn invalid(text: &[u8], expected: &str) -> Fail {
    let shown = String::from_utf8_lossy(text);
    de::Error::invalid_value(Unexpected::Str(&shown), &expected)
}

/// Reads an integer: decimal digits, and a sign where the type has one.
pub(super) fn integer<T: FromStr>(text: &[u8], signed: bool) -> Result<T, Fail> {
    let expected = || invalid(text, std::any::type_name::<T>());
    if !signed && text.starts_with(b"+") {
        return Err(expected());
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(expected)
}

pub(super) fn boolean(text: &[u8]) -> Result<bool, Fail> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Ok(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Ok(false),
        _ => Err(invalid(text, "a bool")),
    }
}

pub(super) fn character(text: &[u8]) -> Result<char, Fail> {
    let expected = || invalid(text, "one character");
    let mut letters = std::str::from_utf8(text).map_err(|_| expected())?.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(letter),
        _ => Err(expected()),
    }
}

/// Reads a float: decimal, hexadecimal, infinite or none; too large a number is refused.
pub(super) fn float<T: FromStr + Copy + Into<f64>>(
    text: &[u8],
    narrow: impl FnOnce(f64) -> T,
) -> Result<T, Fail> {
    let expected = || invalid(text, "a float");
    let string = std::str::from_utf8(text).map_err(|_| expected())?;
    let (negative, digits) = match string.strip_prefix(['-', '+']) {
        Some(digits) => (string.starts_with('-'), digits),
        None => (false, string),
    };
    let value = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) => {
            let size = hexadecimal(hex).ok_or_else(expected)?;
            narrow(if negative { -size } else { size })
        }
        None => string.parse::<T>().map_err(|_| expected())?,
    };
    let named = digits.starts_with(['i', 'I']);
    if !named && value.into().is_infinite() {
        return Err(expected());
    }
    Ok(value)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the nearest f32 is what is wanted"
)]
pub(super) fn narrow(wide: f64) -> f32 {
    wide as f32
}

/// Reads what follows `0x`: hex digits, perhaps with a point, and an exponent of two.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let mut exponent: i32 = exponent.parse::<i16>().ok()?.into();
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    // More digits than a float can hold are refused: nobody writes them.
    let mut mantissa = 0_u64;
    for digit in whole.chars().chain(part.chars()) {
        mantissa = mantissa
            .checked_mul(16)?
            .checked_add(digit.to_digit(16)?.into())?;
    }
    if mantissa >= 1 << f64::MANTISSA_DIGITS {
        return None;
    }
    exponent = exponent.checked_sub(i32::try_from(part.len().checked_mul(4)?).ok()?)?;
    // Exact below 2^53, and scaled in steps that stay in range.
    let mut value = mantissa as f64;
    while exponent != 0 && value != 0.0 && value.is_finite() {
        let step = exponent.clamp(-512, 512);
        value *= 2.0_f64.powi(step);
        exponent -= step;
    }
    Some(value)
}

/// Gives a text to a visitor, as bytes when it is not UTF-8.
pub(super) fn visit_text<'de, V: Visitor<'de>>(text: &[u8], visitor: V) -> Result<V::Value, Fail> {
    match std::str::from_utf8(text) {
        Ok(text) => visitor.visit_str(text),
        Err(_) => visitor.visit_bytes(text),
    }
}

/// The text of a variant without content.
pub(super) struct Variant<'a>(pub(super) &'a [u8]);

impl<'de> de::EnumAccess<'de> for Variant<'_> {
    type Error = Fail;
    type Variant = UnitOnly;

    fn variant_seed<T: de::DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, UnitOnly), Fail> {
        seed.deserialize(de::value::BytesDeserializer::new(self.0))
            .map(|value| (value, UnitOnly))
    }
}

pub(super) struct UnitOnly;

const CONTENT: &str = "a variant with content has no text";

impl<'de> VariantAccess<'de> for UnitOnly {
    type Error = Fail;

    fn unit_variant(self) -> Result<(), Fail> {
        Ok(())
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Fail> {
        Err(Fail::unsupported(CONTENT))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fail> {
        Err(Fail::unsupported(CONTENT))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fail> {
        Err(Fail::unsupported(CONTENT))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp, reason = "tests")]

    use super::*;

    fn float64(text: &str) -> Option<f64> {
        float(text.as_bytes(), |wide| wide).ok()
    }

    #[test]
    fn integers_are_checked_against_their_width() {
        assert_eq!(integer::<i8>(b"-128", true).unwrap(), -128);
        assert_eq!(integer::<i64>(b"+42", true).unwrap(), 42);
        for bad in ["300", "", " 1", "1 ", "abc", "1.0", "0x1", "1_0"] {
            assert!(integer::<i8>(bad.as_bytes(), true).is_err(), "{bad}");
        }
        assert!(integer::<u8>(b"+1", false).is_err());
        assert!(integer::<u8>(b"-1", false).is_err());
        assert!(integer::<u8>(b"256", false).is_err());
    }

    #[test]
    fn floats_in_every_spelling() {
        for (text, want) in [
            ("3.25", 3.25),
            ("-1e3", -1000.0),
            (".5", 0.5),
            ("-Inf", f64::NEG_INFINITY),
            ("+infinity", f64::INFINITY),
            ("0x1p-2", 0.25),
            ("-0X1.8P1", -3.0),
            ("0x1p-1074", 5e-324),
        ] {
            assert_eq!(float64(text), Some(want), "{text}");
        }
        assert!(float64("nan").unwrap().is_nan());
        for bad in ["", "x", "1e400", "0x1", "0xp1", "0x1p99999", "1,5", "--1"] {
            assert_eq!(float64(bad), None, "{bad}");
        }
        assert!(float::<f32>(b"1e39", narrow).is_err());
    }

    #[test]
    fn bools_and_characters() {
        assert!(boolean(b"T").unwrap());
        assert!(!boolean(b"0").unwrap());
        assert!(boolean(b"maybe").is_err());
        assert_eq!(character("你".as_bytes()).unwrap(), '你');
        assert!(character(b"ab").is_err());
    }
}
