//! Passes on text that is JSON already.

use serde::ser::{self, Serialize};

use super::super::super::fail::Fail;
use super::super::super::number::Sink as _;
use super::super::escape::put_escaped;
use super::super::out::Out;
use super::No;

/// Writes the one string of a value that is JSON already, escaped as Go escapes it.
pub(super) struct ReadyText<'a, 'b> {
    pub(super) dst: &'a mut Out<'b>,
}

macro_rules! not_ready {
    ($($method:ident($($ty:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $(_: $ty),*) -> Result<$ok, Fail> {
            Err(Fail::other("raw JSON must be a string"))
        })*
    };
}

impl ser::Serializer for ReadyText<'_, '_> {
    type Ok = ();
    type Error = Fail;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    not_ready! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> No;
        serialize_tuple(usize) -> No;
        serialize_tuple_struct(&'static str, usize) -> No;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No;
        serialize_map(Option<usize>) -> No;
        serialize_struct(&'static str, usize) -> No;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> No;
    }

    fn serialize_str(self, value: &str) -> Result<(), Fail> {
        let mut in_string = false;
        let mut escaped = false;
        let mut rest = value;
        while let Some(letter) = rest.chars().next() {
            let (head, tail) = rest.split_at(letter.len_utf8());
            rest = tail;
            if !in_string && letter.is_ascii_whitespace() {
                continue;
            }
            if in_string && matches!(letter, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
                put_escaped(self.dst, head);
            } else {
                self.dst.put(head.as_bytes());
            }
            if letter == '"' && !escaped {
                in_string = !in_string;
            }
            escaped = letter == '\\' && !escaped;
        }
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fail> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Fail> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Fail> {
        value.serialize(self)
    }
}
