//! The ends of ranges, and what is asked of them when they are compiled.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Number;

/// One end of a range, with the text that it is written as.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub(super) number: Number,
    text: Option<&'static str>,
    pub(super) excluded: bool,
}

impl Bound {
    /// An end that belongs to the range.
    #[must_use]
    pub const fn included(number: Number, text: Option<&'static str>) -> Self {
        Self {
            number,
            text,
            excluded: false,
        }
    }

    /// An end that does not.
    #[must_use]
    pub const fn excluded(number: Number, text: Option<&'static str>) -> Self {
        Self {
            number,
            text,
            excluded: true,
        }
    }

    /// As it is written, or what a constant is.
    pub(super) fn text(&self) -> Cow<'static, str> {
        match self.text {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(self.number.shown()),
        }
    }
}

/// A constant that ends a range.
#[derive(Clone, Copy, Debug)]
pub struct RangeEnd<T>(pub T);

macro_rules! const_numbers {
    ($($ty:ty => |$value:ident| $number:expr;)*) => {$(
        impl RangeEnd<$ty> {
            /// The number, known when it is compiled.
            #[must_use]
            pub const fn number(self) -> Number {
                let $value = self.0;
                $number
            }
        }
    )*};
}

const_numbers! {
    i8 => |v| Number::Int(v as i128);
    i16 => |v| Number::Int(v as i128);
    i32 => |v| Number::Int(v as i128);
    i64 => |v| Number::Int(v as i128);
    i128 => |v| Number::Int(v);
    isize => |v| Number::Int(v as i128);
    u8 => |v| Number::Int(v as i128);
    u16 => |v| Number::Int(v as i128);
    u32 => |v| Number::Int(v as i128);
    u64 => |v| Number::Int(v as i128);
    usize => |v| Number::Int(v as i128);
    f32 => |v| Number::Single(v);
    f64 => |v| Number::Double(v);
}

/// The order of two values of one type, when it is compiled.
macro_rules! order {
    ($a:expr, $b:expr) => {{
        let (a, b) = ($a, $b);
        if a < b {
            Some(Ordering::Less)
        } else if a > b {
            Some(Ordering::Greater)
        } else if a == b {
            Some(Ordering::Equal)
        } else {
            None
        }
    }};
}

impl Number {
    /// How it stands to the end of a range; `None` for what is no number.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "an end is compared at the precision of the value"
    )]
    pub(super) const fn compare(self, end: Self) -> Option<Ordering> {
        let double = match end {
            Self::Int(end) => end as f64,
            Self::Single(end) => end as f64,
            Self::Double(end) => end,
        };
        match (self, end) {
            (Self::Int(value), Self::Int(end)) => order!(value, end),
            (Self::Int(value), _) => order!(value as f64, double),
            (Self::Single(value), _) => order!(value, double as f32),
            (Self::Double(value), _) => order!(value, double),
        }
    }
}

/// Whether it can be compared.
#[must_use]
pub const fn is_number(end: Number) -> bool {
    end.compare(end).is_some()
}

/// Whether there may be something between the ends.
#[must_use]
pub const fn in_order(min: Number, max: Number, excluded: bool) -> bool {
    match min.compare(max) {
        Some(Ordering::Less) => true,
        Some(Ordering::Equal) => !excluded,
        Some(Ordering::Greater) | None => false,
    }
}

/// Whether there are lengths between the ends.
#[must_use]
pub const fn lengths_in_order(min: usize, max: usize, excluded: bool) -> bool {
    min < max || min == max && !excluded
}

/// The longest length that is shorter.
#[must_use]
pub const fn below(length: usize) -> usize {
    length.saturating_sub(1)
}

/// Ends the compilation for what cannot hold.
#[track_caller]
#[allow(
    clippy::missing_panics_doc,
    reason = "for macro output, when it is compiled"
)]
pub const fn assert_holds(holds: bool, otherwise: &'static str) {
    assert!(holds, "{}", otherwise);
}
