//! How long a handler may take, and what becomes of it then.

use std::time::Duration;

use crate::parse::{Args, Problems, Rule, Takes, nearest};

pub(super) const AGE: Rule = Rule {
    name: "age",
    takes: Takes::Text,
    example: "age = \"200ms\"",
};

pub(super) const ON_CANCEL: Rule = Rule {
    name: "on_cancel",
    takes: Takes::Text,
    example: "on_cancel = \"abort\"",
};

/// What becomes of a handler whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnCancel {
    Abort,
    Notify,
    Finish,
}

/// What an attribute says about the time of its handlers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Zero: no limit.
    pub(crate) age: Option<Duration>,
    pub(crate) on_cancel: Option<OnCancel>,
}

impl Limits {
    pub(super) fn read(args: &Args, problems: &mut Problems) -> Self {
        let mut limits = Self::default();
        if let Some(text) = args.text(AGE.name) {
            match age(&text.value()) {
                Ok(age) => limits.age = Some(age),
                Err(message) => problems.at(text, message),
            }
        }
        if let Some(text) = args.text(ON_CANCEL.name) {
            match on_cancel(&text.value()) {
                Ok(on_cancel) => limits.on_cancel = Some(on_cancel),
                Err(message) => problems.at(text, message),
            }
        }
        limits
    }

    /// What a handler says itself, else what its block says.
    pub(super) fn or(self, block: Self) -> Self {
        Self {
            age: self.age.or(block.age),
            on_cancel: self.on_cancel.or(block.on_cancel),
        }
    }
}

fn on_cancel(text: &str) -> Result<OnCancel, String> {
    match text {
        "abort" => Ok(OnCancel::Abort),
        "notify" => Ok(OnCancel::Notify),
        "finish" => Ok(OnCancel::Finish),
        other => Err(match nearest(other, ["abort", "notify", "finish"]) {
            Some(near) => format!("{other:?} is no choice, did you mean {near:?}?"),
            None => {
                "write `\"abort\"` (the handler is dropped where it waits), `\"notify\"` (it is \
                 told) or `\"finish\"` (it goes on)"
                    .to_owned()
            }
        }),
    }
}

/// The units, and how many nanoseconds they have.
const UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads `200ms`, `1.5s`, `1min 30s`; `none` is zero.
fn age(text: &str) -> Result<Duration, String> {
    if text == "none" {
        return Ok(Duration::ZERO);
    }
    let write = "write a number with a unit, such as \"200ms\", \"1.5s\" or \"1min 30s\" (units: \
                 ns, us, ms, s, min, h), or \"none\" for no limit";
    let mut rest = text.trim();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'));
        let (number, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_alphabetic());
        let (unit, behind) = behind.split_at(end.unwrap_or(behind.len()));
        if number.is_empty() {
            return Err(format!("{text:?} is no time; {write}"));
        }
        if unit.is_empty() {
            return Err(format!("{number} of what? {write}"));
        }
        let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("{unit:?} is no unit of time; {write}"));
        };
        total = scaled(number, *nanos)
            .ok_or_else(|| format!("{number:?} is no number of {unit}; {write}"))?
            .checked_add(total)
            .ok_or_else(|| format!("{text:?} is too long; write \"none\" for no limit"))?;
        rest = behind.trim_start();
    }
    if total == 0 {
        return Err(format!("{text:?} leaves no time at all; {write}"));
    }
    Ok(Duration::from_nanos(total))
}

/// A decimal number of so many nanoseconds; parts of one are cut off.
fn scaled(number: &str, nanos: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().ok()?;
    let digits = part.get(..part.len().min(9))?;
    let part: u64 = digits.parse().ok()?;
    let scale = 10_u64.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let part = u128::from(part) * u128::from(nanos) / u128::from(scale);
    whole
        .checked_mul(nanos)?
        .checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_numbers_with_units() {
        for (text, nanos) in [
            ("200ms", 200_000_000),
            ("1.5s", 1_500_000_000),
            ("1min 30s", 90_000_000_000),
            ("1h2min", 3_720_000_000_000),
            ("10 us", 10_000),
            ("0.25ms", 250_000),
            ("none", 0),
        ] {
            assert_eq!(age(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_age_is_refused_with_what_to_write() {
        for text in [
            "",
            "200",
            "ms",
            "0ms",
            "-1s",
            "1.2.3s",
            "1.s",
            ".5s",
            "2weeks",
            "soon",
            "9999999999h",
            "5000000h 5000000h",
            "200ms,",
            "٣s",
        ] {
            let error = age(text).unwrap_err();
            assert!(error.contains("write"), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_misspelt_choice_gets_the_one_that_was_meant() {
        assert_eq!(on_cancel("abort"), Ok(OnCancel::Abort));
        assert!(on_cancel("abrot").unwrap_err().contains("\"abort\""));
        assert!(on_cancel("").unwrap_err().contains("`\"notify\"`"));
    }
}
