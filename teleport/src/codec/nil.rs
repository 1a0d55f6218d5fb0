//! Values that are nothing: `()` and `None` are an empty body under any codec.

use serde::ser::{Impossible, Serialize, Serializer};

use super::fail::Fail;

const WHY: &str = "the value is something";

/// Whether the value is `()`, `None` or a wrapper of these.
pub(super) fn is_nil<T: Serialize + ?Sized>(value: &T) -> bool {
    value
        .serialize(Nil {
            empty_struct: false,
        })
        .is_ok()
}

/// The same, and structs without fields: protobuf's empty message.
#[cfg(feature = "protobuf")]
pub(super) fn is_empty_message<T: Serialize + ?Sized>(value: &T) -> bool {
    value.serialize(Nil { empty_struct: true }).is_ok()
}

struct Nil {
    empty_struct: bool,
}

/// Refuses the kinds of value that hold something.
macro_rules! refuse {
    ($($method:ident($($ty:ty),*)),* $(,)?) => {
        $(fn $method(self, $(_: $ty),*) -> Result<(), Fail> {
            Err(Fail::unsupported(WHY))
        })*
    };
}

macro_rules! refuse_compound {
    ($($method:ident($($ty:ty),*) -> $assoc:ident),* $(,)?) => {
        $(fn $method(self, $(_: $ty),*) -> Result<Self::$assoc, Fail> {
            Err(Fail::unsupported(WHY))
        })*
    };
}

impl Serializer for Nil {
    type Ok = ();
    type Error = Fail;
    type SerializeSeq = Impossible<(), Fail>;
    type SerializeTuple = Impossible<(), Fail>;
    type SerializeTupleStruct = Impossible<(), Fail>;
    type SerializeTupleVariant = Impossible<(), Fail>;
    type SerializeMap = Impossible<(), Fail>;
    type SerializeStruct = NoFields;
    type SerializeStructVariant = Impossible<(), Fail>;

    refuse! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32),
        serialize_i64(i64), serialize_i128(i128), serialize_u8(u8), serialize_u16(u16),
        serialize_u32(u32), serialize_u64(u64), serialize_u128(u128), serialize_f32(f32),
        serialize_f64(f64), serialize_char(char), serialize_str(&str), serialize_bytes(&[u8]),
        serialize_unit_variant(&'static str, u32, &'static str),
    }

    refuse_compound! {
        serialize_seq(Option<usize>) -> SerializeSeq,
        serialize_tuple(usize) -> SerializeTuple,
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant,
        serialize_map(Option<usize>) -> SerializeMap,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant,
    }

    fn serialize_none(self) -> Result<(), Fail> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fail> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Fail> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Fail> {
        Ok(())
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
        _: &T,
    ) -> Result<(), Fail> {
        Err(Fail::unsupported(WHY))
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<NoFields, Fail> {
        if self.empty_struct && len == 0 {
            Ok(NoFields)
        } else {
            Err(Fail::unsupported(WHY))
        }
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, _: &T) -> Result<(), Fail> {
        Err(Fail::unsupported(WHY))
    }
}

struct NoFields;

impl serde::ser::SerializeStruct for NoFields {
    type Ok = ();
    type Error = Fail;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Fail> {
        Err(Fail::unsupported(WHY))
    }

    fn end(self) -> Result<(), Fail> {
        Ok(())
    }
}
