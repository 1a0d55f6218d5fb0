//! Numbers as text, as Go writes them.

use std::fmt;

use bytes::BytesMut;

/// What text is appended to.
pub(super) trait Sink {
    /// Appends the bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

struct Text<'a, S>(&'a mut S);

impl<S: Sink> fmt::Write for Text<'_, S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text.as_bytes());
        Ok(())
    }
}

/// The digits of `u64::MAX`.
const DIGITS: usize = 20;

pub(super) fn put_u64(dst: &mut impl Sink, mut number: u64) {
    let mut digits = [b'0'; DIGITS];
    let mut start = DIGITS;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    dst.put(digits.get(start..).unwrap_or_default());
}

pub(super) fn put_i64(dst: &mut impl Sink, number: i64) {
    if number < 0 {
        dst.put(b"-");
    }
    put_u64(dst, number.unsigned_abs());
}

/// Appends anything by its `Display`, which must not fail.
pub(super) fn put_display(dst: &mut impl Sink, value: impl fmt::Display) {
    let _ = fmt::write(&mut Text(dst), format_args!("{value}"));
}

/// What a float is to these functions.
pub(super) trait Float:
    Copy + fmt::Display + fmt::LowerExp + Into<f64> + serde::Serialize
{
    /// Whether json writes the number with an exponent.
    #[cfg(feature = "json")]
    fn wants_exponent(self) -> bool;
}

impl Float for f64 {
    #[cfg(feature = "json")]
    fn wants_exponent(self) -> bool {
        let size = self.abs();
        size != 0.0 && !(1e-6..1e21).contains(&size)
    }
}

impl Float for f32 {
    #[cfg(feature = "json")]
    fn wants_exponent(self) -> bool {
        let size = self.abs();
        size != 0.0 && !(1e-6..1e21).contains(&size)
    }
}

/// Appends the shortest text that reads back the same, with the exponent that json gives to very
/// large and very small numbers: `1e+21`, `1e-7`. The number must be finite.
#[cfg(feature = "json")]
pub(super) fn put_json_float<F: Float>(dst: &mut impl Sink, number: F) {
    if !number.wants_exponent() {
        return put_decimal(dst, number);
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            put_display(dst, format_args!("{digits}e+{exponent}"));
        }
        _ => dst.put(text.as_bytes()),
    }
}

/// `Display` gives the same digits, but takes three times as long.
#[cfg(feature = "json")]
fn put_decimal<F: Float>(dst: &mut impl Sink, number: F) {
    let mut text = [0; 40];
    let mut left = &mut text[..];
    if serde_json::to_writer(&mut left, &number).is_ok() {
        let used = 40 - left.len();
        let text = text.get(..used).unwrap_or_default();
        if !text.contains(&b'e') {
            return dst.put(text.strip_suffix(b".0").unwrap_or(text));
        }
    }
    put_display(dst, number);
}

/// Appends the shortest text that reads back the same, never with an exponent.
#[cfg(any(feature = "plain", feature = "form"))]
pub(super) fn put_plain_float<F: Float>(dst: &mut impl Sink, number: F) {
    let wide: f64 = number.into();
    if wide.is_infinite() {
        dst.put(if wide > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        put_display(dst, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(put: impl FnOnce(&mut BytesMut)) -> String {
        let mut dst = BytesMut::new();
        put(&mut dst);
        String::from_utf8_lossy(&dst).into_owned()
    }

    #[test]
    fn integers() {
        for number in [0, 1, -1, 9, 10, -10, 99, 100, i64::MAX, i64::MIN] {
            assert_eq!(text(|dst| put_i64(dst, number)), number.to_string());
        }
        assert_eq!(text(|dst| put_u64(dst, u64::MAX)), u64::MAX.to_string());
    }

    #[cfg(feature = "json")]
    #[test]
    fn floats_of_json_have_an_exponent_when_far_from_one() {
        for (number, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (2.0, "2"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (-1e21, "-1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-10, "1.25e-10"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(text(|dst| put_json_float(dst, number)), want);
        }
        assert_eq!(text(|dst| put_json_float(dst, 0.1_f32)), "0.1");
        assert_eq!(text(|dst| put_json_float(dst, 1e21_f32)), "1e+21");
        assert_eq!(text(|dst| put_json_float(dst, 16_777_216_f32)), "16777216");
    }

    #[cfg(any(feature = "plain", feature = "form"))]
    #[test]
    fn plain_floats_never_have_an_exponent() {
        for (number, want) in [
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(|dst| put_plain_float(dst, number)), want);
        }
    }
}
