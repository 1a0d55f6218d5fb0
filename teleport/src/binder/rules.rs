//! What the rules ask of a value, and how they word what they find.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::ends::Bound;
use super::pattern::Pattern;
use super::shown::shorten;

/// A number of any type, as [`HasRange`] tells it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Number {
    /// An integer.
    Int(i128),
    /// A number of single precision; it is compared at that precision.
    Single(f32),
    /// A number of double precision.
    Double(f64),
}

/// What `range` goes on: numbers, and what holds numbers.
///
/// Implement it for a type of your own to let it have a range.
#[diagnostic::on_unimplemented(
    message = "`range` goes on numbers, and `{Self}` is none",
    label = "not a number, and no list or option of numbers",
    note = "remove `range(..)`, or implement `teleport::binder::HasRange` for `{Self}`"
)]
pub trait HasRange {
    /// Shows each number to `see`, until it finds one wrong.
    ///
    /// # Errors
    ///
    /// Those of `see`.
    fn numbers(&self, see: &mut dyn FnMut(Number) -> Result<(), String>) -> Result<(), String>;
}

/// What `len` goes on: texts, lists and maps.
#[diagnostic::on_unimplemented(
    message = "`len` goes on texts, lists and maps, and `{Self}` is none",
    label = "has no length",
    note = "remove `len(..)`, or implement `teleport::binder::HasLength` for `{Self}`"
)]
pub trait HasLength {
    /// The number of characters or items; `None` if there is nothing to count.
    fn length(&self) -> Option<usize>;
}

/// What `nonzero` goes on.
#[diagnostic::on_unimplemented(
    message = "`nonzero` goes on what has a zero, and `{Self}` has none",
    label = "has no zero",
    note = "remove `nonzero`, or implement `teleport::binder::HasZero` for `{Self}`"
)]
pub trait HasZero {
    /// Whether this is the zero of its type: 0, false, nothing, an empty text or list.
    fn is_zero(&self) -> bool;
}

/// What `regex` goes on: texts, and what holds texts.
#[diagnostic::on_unimplemented(
    message = "`regex` goes on texts, and `{Self}` is none",
    label = "not a text, and no list or option of texts",
    note = "remove `regex`, or implement `teleport::binder::HasText` for `{Self}`"
)]
pub trait HasText {
    /// Shows each text to `see`, until it finds one wrong.
    ///
    /// # Errors
    ///
    /// Those of `see`.
    fn texts(&self, see: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), String>;
}

/// What `required` goes on: what a caller can leave out.
#[diagnostic::on_unimplemented(
    message = "`required` goes on options, texts, lists and maps; a `{Self}` is always there",
    label = "cannot be missing",
    note = "make it an `Option<{Self}>`, or write `nonzero` in the place of `required`"
)]
pub trait MayBeMissing {
    /// Whether the value is not there, or empty.
    fn is_missing(&self) -> bool;
}

impl Number {
    pub(super) fn shown(self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Single(value) => super::shown::float(value.into(), &value),
            Self::Double(value) => super::shown::float(value, &value),
        }
    }
}

/// Checks that all numbers are between the ends.
#[allow(clippy::missing_errors_doc, reason = "for macro output")]
pub fn range<T: HasRange + ?Sized>(
    value: &T,
    min: Option<Bound>,
    max: Option<Bound>,
) -> Result<(), String> {
    value.numbers(&mut |number| {
        if let Some(min) = min
            && !matches!(
                number.compare(min.number),
                Some(Ordering::Greater | Ordering::Equal)
            )
        {
            return Err(format!("smaller than {}: {}", min.text(), number.shown()));
        }
        if let Some(max) = max {
            match number.compare(max.number) {
                Some(Ordering::Less) => {}
                Some(Ordering::Equal) if !max.excluded => {}
                Some(Ordering::Equal) => {
                    return Err(format!(
                        "not smaller than {}: {}",
                        max.text(),
                        number.shown()
                    ));
                }
                _ => return Err(format!("bigger than {}: {}", max.text(), number.shown())),
            }
        }
        Ok(())
    })
}

/// Checks the number of characters or items.
#[allow(clippy::missing_errors_doc, reason = "for macro output")]
pub fn length<T: HasLength + ?Sized>(
    value: &T,
    min: Option<usize>,
    max: Option<usize>,
    shown: impl FnOnce() -> String,
) -> Result<(), String> {
    let Some(length) = value.length() else {
        return Ok(());
    };
    if let Some(min) = min.filter(|min| length < *min) {
        return Err(format!("shorter than {min}: {}", shorten(&shown())));
    }
    if let Some(max) = max.filter(|max| length > *max) {
        return Err(format!("longer than {max}: {}", shorten(&shown())));
    }
    Ok(())
}

/// Checks that there is more than a zero.
#[allow(clippy::missing_errors_doc, reason = "for macro output")]
pub fn nonzero<T: HasZero + ?Sized>(value: &T) -> Result<(), String> {
    if value.is_zero() {
        return Err("zero value".to_owned());
    }
    Ok(())
}

/// Checks that something is there.
#[allow(clippy::missing_errors_doc, reason = "for macro output")]
pub fn required<T: MayBeMissing + ?Sized>(value: &T) -> Result<(), String> {
    if value.is_missing() {
        return Err("zero value".to_owned());
    }
    Ok(())
}

/// Checks that the pattern is found in all texts.
#[allow(clippy::missing_errors_doc, reason = "for macro output")]
pub fn regex<T: HasText + ?Sized>(value: &T, pattern: &Pattern) -> Result<(), String> {
    value.texts(&mut |text| {
        if pattern.is_match(text) {
            return Ok(());
        }
        Err(format!(
            "not match {}: {}",
            pattern.written(),
            shorten(text)
        ))
    })
}

macro_rules! numbers {
    ($($ty:ty => |$value:ident| $number:expr;)*) => {$(
        impl HasRange for $ty {
            #[inline]
            fn numbers(
                &self,
                see: &mut dyn FnMut(Number) -> Result<(), String>,
            ) -> Result<(), String> {
                let $value = *self;
                see($number)
            }
        }
    )*};
}

numbers! {
    i8 => |v| Number::Int(v.into());
    i16 => |v| Number::Int(v.into());
    i32 => |v| Number::Int(v.into());
    i64 => |v| Number::Int(v.into());
    i128 => |v| Number::Int(v);
    isize => |v| Number::Int(v as i128);
    u8 => |v| Number::Int(v.into());
    u16 => |v| Number::Int(v.into());
    u32 => |v| Number::Int(v.into());
    u64 => |v| Number::Int(v.into());
    usize => |v| Number::Int(v as i128);
    // No end of a range is as large as that.
    u128 => |v| Number::Int(v.try_into().unwrap_or(i128::MAX));
    f32 => |v| Number::Single(v);
    f64 => |v| Number::Double(v);
}

/// `HasRange` and `HasText` of what holds values that have it.
macro_rules! each {
    ($([$($generics:tt)*] $ty:ty;)*) => {$(
        impl<T: HasRange, $($generics)*> HasRange for $ty {
            fn numbers(
                &self,
                see: &mut dyn FnMut(Number) -> Result<(), String>,
            ) -> Result<(), String> {
                self.iter().try_for_each(|value| value.numbers(see))
            }
        }

        impl<T: HasText, $($generics)*> HasText for $ty {
            fn texts(
                &self,
                see: &mut dyn FnMut(&str) -> Result<(), String>,
            ) -> Result<(), String> {
                self.iter().try_for_each(|value| value.texts(see))
            }
        }
    )*};
}

each! {
    [] Option<T>;
    [] Vec<T>;
    [] VecDeque<T>;
    [] BTreeSet<T>;
    [S] HashSet<T, S>;
    [const N: usize] [T; N];
}

macro_rules! lists {
    ($([$($generics:tt)*] $ty:ty;)*) => {$(
        impl<$($generics)*> HasLength for $ty {
            #[inline]
            fn length(&self) -> Option<usize> {
                Some(self.len())
            }
        }

        impl<$($generics)*> HasZero for $ty {
            #[inline]
            fn is_zero(&self) -> bool {
                self.is_empty()
            }
        }

        impl<$($generics)*> MayBeMissing for $ty {
            #[inline]
            fn is_missing(&self) -> bool {
                self.is_empty()
            }
        }
    )*};
}

lists! {
    [] Bytes;
    [T] Vec<T>;
    [T] VecDeque<T>;
    [T] BTreeSet<T>;
    [T, S] HashSet<T, S>;
    [K, V] BTreeMap<K, V>;
    [K, V, S] HashMap<K, V, S>;
    [T, const N: usize] [T; N];
}

macro_rules! texts {
    ($($ty:ty),*) => {$(
        impl HasLength for $ty {
            fn length(&self) -> Option<usize> {
                Some(self.chars().count())
            }
        }

        impl HasZero for $ty {
            #[inline]
            fn is_zero(&self) -> bool {
                self.is_empty()
            }
        }

        impl MayBeMissing for $ty {
            #[inline]
            fn is_missing(&self) -> bool {
                self.is_empty()
            }
        }

        impl HasText for $ty {
            #[inline]
            fn texts(
                &self,
                see: &mut dyn FnMut(&str) -> Result<(), String>,
            ) -> Result<(), String> {
                see(self)
            }
        }
    )*};
}

texts! { str, String, Box<str>, Arc<str>, Cow<'_, str> }

macro_rules! zeros {
    ($($zero:expr => $($ty:ty)*;)*) => {$($(
        impl HasZero for $ty {
            #[inline]
            fn is_zero(&self) -> bool {
                *self == $zero
            }
        }
    )*)*};
}

zeros! {
    0 => i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize;
    0.0 => f32 f64;
    false => bool;
    '\0' => char;
}

impl<T: HasLength> HasLength for Option<T> {
    #[inline]
    fn length(&self) -> Option<usize> {
        self.as_ref().and_then(T::length)
    }
}

impl<T: HasZero> HasZero for Option<T> {
    #[inline]
    fn is_zero(&self) -> bool {
        self.as_ref().is_none_or(T::is_zero)
    }
}

impl<T> MayBeMissing for Option<T> {
    #[inline]
    fn is_missing(&self) -> bool {
        self.is_none()
    }
}
