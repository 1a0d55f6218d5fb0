//! Values as the original shows them in its reasons.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::{Display, LowerExp};
use std::sync::Arc;

use bytes::Bytes;

use super::HasLength;

/// How much of a value is shown, in bytes: the error has to fit into the metadata of a reply.
const MOST_SHOWN: usize = 1024;

/// The beginning of what would be too long to be told.
pub(super) fn shorten(text: &str) -> Cow<'_, str> {
    if text.len() <= MOST_SHOWN {
        return Cow::Borrowed(text);
    }
    let mut end = MOST_SHOWN;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (start, rest) = text.split_at(end);
    Cow::Owned(format!("{start}... ({} bytes more)", rest.len()))
}

/// A float as Go's `%v` writes it: shortest, with an exponent when that is far from zero.
pub(super) fn float(value: f64, written: &(impl Display + LowerExp)) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{written:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..21).contains(&exponent) {
        return written.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// Asks how a value is shown; for macro output.
#[derive(Debug)]
pub struct Show<'a, T>(pub &'a T);

/// Tells how a value is shown: its contents where they are known, else how many they are.
pub trait PickShow {
    /// The text.
    fn __tp_show(self) -> String;
}

impl<T: Shown> PickShow for &&Show<'_, T> {
    fn __tp_show(self) -> String {
        let mut text = String::new();
        self.0.show(&mut text);
        text
    }
}

impl<T: HasLength> PickShow for &Show<'_, T> {
    fn __tp_show(self) -> String {
        format!("{} items", self.0.length().unwrap_or_default())
    }
}

/// What can be shown.
#[allow(unnameable_types, reason = "for macro output")]
pub trait Shown {
    /// Appends the value, or as much of it as anybody will see.
    fn show(&self, out: &mut String);
}

macro_rules! shown_as_written {
    ($($ty:ty)*) => {$(
        impl Shown for $ty {
            fn show(&self, out: &mut String) {
                out.push_str(&self.to_string());
            }
        }
    )*};
}

shown_as_written! { bool i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }

macro_rules! shown_as_text {
    ($($ty:ty)*) => {$(
        impl Shown for $ty {
            fn show(&self, out: &mut String) {
                out.push_str(self);
            }
        }
    )*};
}

shown_as_text! { str String Box<str> Arc<str> Cow<'_, str> }

impl Shown for f32 {
    fn show(&self, out: &mut String) {
        out.push_str(&float((*self).into(), self));
    }
}

impl Shown for f64 {
    fn show(&self, out: &mut String) {
        out.push_str(&float(*self, self));
    }
}

/// Appends what is between brackets, until nobody will see more of it.
fn show_each<T>(
    (open, close): (&str, char),
    values: impl Iterator<Item = T>,
    out: &mut String,
    show: impl Fn(T, &mut String),
) {
    out.push_str(open);
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.push(' ');
        }
        show(value, out);
        if out.len() > MOST_SHOWN {
            break;
        }
    }
    out.push(close);
}

macro_rules! shown_lists {
    ($([$($generics:tt)*] $ty:ty;)*) => {$(
        impl<$($generics)*> Shown for $ty {
            fn show(&self, out: &mut String) {
                show_each(("[", ']'), self.iter(), out, |value, out| value.show(out));
            }
        }
    )*};
}

shown_lists! {
    [] Bytes;
    [T: Shown] Vec<T>;
    [T: Shown] VecDeque<T>;
    [T: Shown] BTreeSet<T>;
    [T: Shown, S] HashSet<T, S>;
    [T: Shown, const N: usize] [T; N];
}

impl<K: Shown, V: Shown> Shown for BTreeMap<K, V> {
    fn show(&self, out: &mut String) {
        show_each(("map[", ']'), self.iter(), out, show_pair);
    }
}

impl<K: Shown + Ord, V: Shown, S> Shown for HashMap<K, V, S> {
    fn show(&self, out: &mut String) {
        let mut pairs: Vec<_> = self.iter().collect();
        pairs.sort_unstable_by_key(|(key, _)| *key);
        show_each(("map[", ']'), pairs.into_iter(), out, show_pair);
    }
}

fn show_pair<K: Shown, V: Shown>((key, value): (&K, &V), out: &mut String) {
    key.show(out);
    out.push(':');
    value.show(out);
}

impl<T: Shown> Shown for Option<T> {
    fn show(&self, out: &mut String) {
        match self {
            Some(value) => value.show(out),
            None => out.push_str("<nil>"),
        }
    }
}
