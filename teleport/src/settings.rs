//! Settings as files have them: times are numbers with units, as in `1m30s`.

use std::fmt;
use std::time::Duration;

use serde::Deserializer;
use serde::de::{Error, Visitor};

const EXPECTED: &str = "a time such as \"500ms\" or \"1m30s\" (units: ns, us, ms, s, m, h)";

/// The units and their nanoseconds; what begins another stands behind it.
const UNITS: [(&str, u128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a time: numbers with units, whole or broken, or 0 alone. `None`: it is none, or too long.
fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos = 0_u128;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (part, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        let (unit, behind) = UNITS
            .iter()
            .find_map(|(name, nanos)| Some((*nanos, behind.strip_prefix(name)?)))?;
        if !whole.is_empty() {
            nanos = nanos.checked_add(whole.parse::<u128>().ok()?.checked_mul(unit)?)?;
        }
        let mut place = unit;
        for digit in part.chars() {
            place /= 10;
            nanos = nanos.checked_add(u128::from(digit.to_digit(10)?) * place)?;
        }
        rest = behind.trim_start();
    }
    let secs = u64::try_from(nanos / 1_000_000_000).ok()?;
    let below = u32::try_from(nanos % 1_000_000_000).ok()?;
    (!text.trim().is_empty()).then(|| Duration::new(secs, below))
}

/// The digits at the start of a text, and what follows.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// Reads a time.
pub(crate) fn time<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    source.deserialize_str(Time)
}

/// Reads a time that may be left out.
pub(crate) fn optional_time<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<Duration>, D::Error> {
    source.deserialize_option(Perhaps)
}

struct Time;

impl Visitor<'_> for Time {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).ok_or_else(|| E::custom(format_args!("{text:?} is no time; write {EXPECTED}")))
    }
}

struct Perhaps;

impl<'de> Visitor<'de> for Perhaps {
    type Value = Option<Duration>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        time(source).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_units() {
        for (text, want) in [
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("500ms", Duration::from_millis(500)),
            ("1m30s", Duration::from_secs(90)),
            ("1min 30s", Duration::from_secs(90)),
            ("1.5h", Duration::from_secs(5400)),
            (".5s", Duration::from_millis(500)),
            ("3\u{b5}s2ns", Duration::from_nanos(3002)),
            ("1us", Duration::from_micros(1)),
            (" 2s ", Duration::from_secs(2)),
            ("0.1ns", Duration::ZERO),
            ("18446744073709551615s", Duration::from_secs(u64::MAX)),
        ] {
            assert_eq!(parse(text), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            " ",
            "5",
            "s",
            ".s",
            "-1s",
            "+1s",
            "1 s",
            "1x",
            "1.2.3s",
            "1s5",
            "1e3s",
            "\u{663}s",
            "18446744073709551616s",
            "99999999999999999999999999999999999999999h",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
