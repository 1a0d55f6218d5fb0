//! Parameters that are written as text: those of the query and the metadata.

use std::any::type_name;
use std::num::IntErrorKind;

use bytes::Bytes;

use super::invalid::quote;
use super::shown::shorten;

/// A type that a parameter in a query or in metadata can have.
///
/// Implement [`from_param`](Self::from_param) for a type of your own:
///
/// ```
/// use teleport::binder::FromParam;
///
/// struct Color([u8; 3]);
///
/// impl FromParam for Color {
///     fn from_param(value: &[u8]) -> Result<Self, String> {
///         match value {
///             b"red" => Ok(Self([255, 0, 0])),
///             _ => Err("not a color".to_owned()),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from the text of a query or of metadata",
    label = "does not implement `FromParam`",
    note = "numbers, `bool`, `String`, bytes, and lists and options of them can; implement \
            `teleport::binder::FromParam` for others"
)]
pub trait FromParam: Sized {
    /// Reads one value.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the value, in a few words.
    fn from_param(value: &[u8]) -> Result<Self, String>;

    /// Reads the values of one key, of which there is at least one: by default the first.
    ///
    /// # Errors
    ///
    /// Says which value is wrong, and why.
    fn from_params(values: &[&[u8]]) -> Result<Self, String> {
        let first = values.first().copied().unwrap_or_default();
        Self::from_param(first).map_err(|why| unread(first, kind_of::<Self>(), &why))
    }

    /// Reads the values of one key as a list.
    ///
    /// # Errors
    ///
    /// Says which value is wrong, and why.
    fn list_from_params(values: &[&[u8]]) -> Result<Vec<Self>, String> {
        let read =
            |value: &&[u8]| Self::from_param(value).map_err(|why| unread(value, "slice", &why));
        values.iter().map(read).collect()
    }
}

/// Says that a value cannot be read, in the original's words.
#[cold]
fn unread(value: &[u8], kind: &str, why: &str) -> String {
    let value = String::from_utf8_lossy(value);
    let mut text = String::from("converting type []string (");
    quote(&shorten(&value), &mut text);
    text + ") to a " + kind + ": " + why
}

/// The original's name of a type, where it has the type.
pub(super) fn kind_of<T>() -> &'static str {
    let name = type_name::<T>();
    match name.rsplit("::").next().unwrap_or(name) {
        "i8" => "int8",
        "i16" => "int16",
        "i32" => "int32",
        "i64" => "int64",
        "isize" => "int",
        "u8" => "uint8",
        "u16" => "uint16",
        "u32" => "uint32",
        "u64" => "uint64",
        "usize" => "uint",
        "f32" => "float32",
        "f64" => "float64",
        "String" => "string",
        _ if name.contains('<') => name,
        last => last,
    }
}

const SYNTAX: &str = "invalid syntax";
const RANGE: &str = "value out of range";

fn as_text(value: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(value).map_err(|_| SYNTAX.to_owned())
}

macro_rules! ints {
    ($($plus:literal: $($ty:ty)*;)*) => {$($(
        impl FromParam for $ty {
            fn from_param(value: &[u8]) -> Result<Self, String> {
                let text = as_text(value)?;
                if !$plus && text.starts_with('+') {
                    return Err(SYNTAX.to_owned());
                }
                text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
                    IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => RANGE.to_owned(),
                    _ => SYNTAX.to_owned(),
                })
            }
        }
    )*)*};
}

// Whether a number may have a plus in front, as in the original.
ints! {
    true: i8 i16 i32 i64 i128 isize;
    false: u16 u32 u64 u128 usize;
}

impl FromParam for u8 {
    fn from_param(value: &[u8]) -> Result<Self, String> {
        let value = u16::from_param(value)?;
        value.try_into().map_err(|_| RANGE.to_owned())
    }

    /// A list of bytes is the first text itself.
    fn list_from_params(values: &[&[u8]]) -> Result<Vec<Self>, String> {
        Ok(values.first().copied().unwrap_or_default().to_vec())
    }
}

macro_rules! floats {
    ($($ty:ty)*) => {$(
        impl FromParam for $ty {
            fn from_param(value: &[u8]) -> Result<Self, String> {
                let text = as_text(value)?;
                match text.parse::<Self>() {
                    Ok(value) if value.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) => {
                        Err(RANGE.to_owned())
                    }
                    Ok(value) => Ok(value),
                    Err(_) => Err(SYNTAX.to_owned()),
                }
            }
        }
    )*};
}

floats! { f32 f64 }

impl FromParam for bool {
    /// `true`, `on` and `1` are true, in any case; all else is false.
    fn from_param(value: &[u8]) -> Result<Self, String> {
        let value = value.trim_ascii();
        Ok(["true", "on", "1"]
            .iter()
            .any(|text| value.eq_ignore_ascii_case(text.as_bytes())))
    }
}

impl FromParam for String {
    fn from_param(value: &[u8]) -> Result<Self, String> {
        match std::str::from_utf8(value) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err("not UTF-8".to_owned()),
        }
    }
}

impl FromParam for Bytes {
    fn from_param(value: &[u8]) -> Result<Self, String> {
        Ok(Self::copy_from_slice(value))
    }
}

impl<T: FromParam> FromParam for Vec<T> {
    fn from_param(value: &[u8]) -> Result<Self, String> {
        T::list_from_params(&[value])
    }

    fn from_params(values: &[&[u8]]) -> Result<Self, String> {
        T::list_from_params(values)
    }
}

impl<T: FromParam> FromParam for Option<T> {
    fn from_param(value: &[u8]) -> Result<Self, String> {
        T::from_param(value).map(Some)
    }

    fn from_params(values: &[&[u8]]) -> Result<Self, String> {
        T::from_params(values).map(Some)
    }
}
