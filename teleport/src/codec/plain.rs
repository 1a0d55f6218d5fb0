//! The plain text codec: one string, number or bool, as its text.

use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde::de::{self, DeserializeOwned, Visitor};
use serde::ser;

use super::fail::Fail;
use super::number::{put_display, put_i64, put_plain_float, put_u64};
use super::shapes::{
    read_units_and_wrapped, refuse_to_read, refuse_to_write, write_variant_names, write_widened,
    write_wrapped,
};
use super::{Codec, CodecError, PLAIN, text};

const WHY: &str = "only strings, bytes, bools and numbers have a plain text";

/// The built-in plain text codec, id `s`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainCodec;

impl Codec for PlainCodec {
    fn id(&self) -> u8 {
        PLAIN
    }

    fn name(&self) -> &'static str {
        "plain"
    }

    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
        dst: &mut BytesMut,
    ) -> Result<(), CodecError> {
        encode(value, dst).map_err(|fail| CodecError::encode(format_args!("plain codec: {fail}")))
    }

    fn decode(
        &self,
        src: &[u8],
        seed: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError> {
        seed(&mut <dyn erased_serde::Deserializer<'_>>::erase(Reader {
            src,
        }))
        .map_err(|error| CodecError::decode(format_args!("plain codec: {error}")))
    }
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T, dst: &mut BytesMut) -> Result<(), Fail> {
    value.serialize(Writer { dst })
}

pub(super) fn decode<T: DeserializeOwned>(src: &[u8]) -> Result<T, Fail> {
    T::deserialize(Reader { src })
}

struct Writer<'a> {
    dst: &'a mut BytesMut,
}

impl ser::Serializer for Writer<'_> {
    type Ok = ();
    type Error = Fail;

    write_widened!();
    write_wrapped!();
    write_variant_names!();
    refuse_to_write! { Fail::unsupported(WHY) => lists maps structs full_variants }

    fn serialize_i64(self, value: i64) -> Result<(), Fail> {
        put_i64(self.dst, value);
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Fail> {
        put_u64(self.dst, value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Fail> {
        put_display(self.dst, value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Fail> {
        put_display(self.dst, value);
        Ok(())
    }

    fn serialize_bool(self, value: bool) -> Result<(), Fail> {
        self.dst.put_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Fail> {
        put_plain_float(self.dst, value);
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Fail> {
        put_plain_float(self.dst, value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Fail> {
        put_display(self.dst, value);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Fail> {
        self.dst.put_slice(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Fail> {
        self.dst.put_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Fail> {
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Fail> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Fail> {
        Ok(())
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), Fail> {
        put_display(self.dst, value);
        Ok(())
    }
}

struct Reader<'a> {
    src: &'a [u8],
}

macro_rules! read_numbers {
    ($($method:ident $visit:ident $signed:literal)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
            visitor.$visit(text::integer(self.src, $signed)?)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = Fail;

    read_numbers! {
        deserialize_i8 visit_i8 true
        deserialize_i16 visit_i16 true
        deserialize_i32 visit_i32 true
        deserialize_i64 visit_i64 true
        deserialize_i128 visit_i128 true
        deserialize_u8 visit_u8 false
        deserialize_u16 visit_u16 false
        deserialize_u32 visit_u32 false
        deserialize_u64 visit_u64 false
        deserialize_u128 visit_u128 false
    }

    refuse_to_read! { Fail::unsupported(WHY) => anything lists maps structs }
    read_units_and_wrapped!();

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_bool(text::boolean(self.src)?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_f32(text::float(self.src, text::narrow)?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_f64(text::float(self.src, |wide| wide)?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_char(text::character(self.src)?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        text::visit_text(self.src, visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        text::visit_text(self.src, visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        text::visit_text(self.src, visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_bytes(self.src)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_bytes(self.src)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fail> {
        visitor.visit_enum(text::Variant(self.src))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde::Deserialize;

    use super::*;

    fn text<T: Serialize + ?Sized>(value: &T) -> String {
        let mut dst = BytesMut::new();
        encode(value, &mut dst).unwrap();
        String::from_utf8(dst.to_vec()).unwrap()
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Colour {
        Red,
        Mixed(u8),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Name(String);

    #[test]
    fn values_are_their_text() {
        assert_eq!(text("你好\0\""), "你好\0\"");
        assert_eq!(text(&-15), "-15");
        assert_eq!(text(&u128::MAX), u128::MAX.to_string());
        assert_eq!(text(&true), "true");
        assert_eq!(text(&1e21), "1000000000000000000000");
        assert_eq!(text(&f64::INFINITY), "+Inf");
        assert_eq!(text(&'x'), "x");
        assert_eq!(text(&Some(Name("n".into()))), "n");
        assert_eq!(text(&Colour::Red), "Red");
        assert_eq!(text(&()), "");
        assert_eq!(text(&None::<i32>), "");
    }

    #[test]
    fn text_is_read_back() {
        assert_eq!(decode::<i8>(b"-128").unwrap(), -128);
        assert!(decode::<i8>(b"300").is_err());
        assert_eq!(decode::<Name>(b"x y").unwrap(), Name("x y".into()));
        assert_eq!(decode::<Option<bool>>(b"1").unwrap(), Some(true));
        assert_eq!(decode::<Colour>(b"Red").unwrap(), Colour::Red);
        assert!(decode::<Colour>(b"Mixed").is_err());
        assert!(decode::<String>(b"\xff").is_err());
        decode::<()>(b"whatever").unwrap();
    }

    #[test]
    fn lists_maps_and_structs_are_refused() {
        let mut dst = BytesMut::new();
        assert!(encode(&[1, 2], &mut dst).unwrap_err().is_unsupported());
        assert!(
            encode(&Colour::Mixed(1), &mut dst)
                .unwrap_err()
                .is_unsupported()
        );
        assert!(decode::<Vec<i32>>(b"1").unwrap_err().is_unsupported());
        assert!(decode::<(i32, i32)>(b"1").unwrap_err().is_unsupported());
    }
}
