//! Writes the keys of maps.

use std::fmt::Display;

use serde::ser;

use super::super::super::fail::Fail;
use super::super::super::shapes::{refuse_to_write, write_variant_names, write_wrapped};
use super::super::escape::{put_quoted, put_string};
use super::super::out::Out;
use super::check_finite;

/// Writes a key: strings, and what has a short text, in quotes.
pub(super) struct Key<'a, 'b> {
    pub(super) dst: &'a mut Out<'b>,
}

macro_rules! key_texts {
    ($($method:ident($ty:ty))*) => {
        $(fn $method(self, value: $ty) -> Result<(), Fail> {
            put_quoted(self.dst, &value)
        })*
    };
}

const KEY: &str = "a map key must be a string or a number";

impl ser::Serializer for Key<'_, '_> {
    type Ok = ();
    type Error = Fail;

    write_wrapped!();
    write_variant_names!();
    refuse_to_write! { Fail::other(KEY) =>
        bytes nothing lists maps structs full_variants
    }

    key_texts! {
        serialize_bool(bool) serialize_char(char)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_u128(u128)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Fail> {
        check_finite(value)?;
        put_quoted(self.dst, &value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Fail> {
        check_finite(value)?;
        put_quoted(self.dst, &value)
    }

    fn serialize_str(self, value: &str) -> Result<(), Fail> {
        put_string(self.dst, value);
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Fail> {
        put_quoted(self.dst, value)
    }
}
