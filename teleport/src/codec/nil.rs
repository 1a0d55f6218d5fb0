//! Values that are nothing: `()` and `None` are an empty body under any codec.

use serde::de::{self, DeserializeOwned, Visitor};
use serde::ser::{Impossible, Serialize, Serializer};

use super::fail::Fail;
use super::zero::Nothing;

pub(super) const WHY: &str = "it carries prost messages only";

/// Whether the value is `()`, `None` or a wrapper of these.
pub(super) fn is_nil<T: Serialize + ?Sized>(value: &T) -> bool {
    value
        .serialize(Nil {
            empty_struct: false,
        })
        .is_ok()
}

/// The same, and structs without fields: protobuf's empty message.
pub(super) fn is_empty_message<T: Serialize + ?Sized>(value: &T) -> bool {
    value.serialize(Nil { empty_struct: true }).is_ok()
}

/// Reads a body that is ignored into a type that holds nothing.
pub(super) fn ignore_body<T: DeserializeOwned>() -> Result<T, Fail> {
    T::deserialize(Ignored)
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

/// A body that nobody looks at.
pub(super) struct Ignored;

macro_rules! refuse_read {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fail> {
            Err(Fail::unsupported(WHY))
        })*
    };
}

impl<'de> de::Deserializer<'de> for Ignored {
    type Error = Fail;

    refuse_read! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_seq
        deserialize_map deserialize_identifier
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fail> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fail> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fail> {
        Err(Fail::unsupported(WHY))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Fail> {
        Err(Fail::unsupported(WHY))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fail> {
        if !fields.is_empty() {
            return Err(Fail::unsupported(WHY));
        }
        visitor.visit_map(Nothing::new())
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fail> {
        Err(Fail::unsupported(WHY))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_unit()
    }
}
