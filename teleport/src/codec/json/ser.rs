//! Writes JSON with the bytes that Go's encoder gives.

mod key;
mod ready;

use std::fmt::Display;
use std::ops::Range;

use bytes::BytesMut;
use serde::ser::{self, Serialize};

use self::key::Key;
use self::ready::ReadyText;
use super::super::fail::Fail;
use super::super::number::{Float, Sink as _, put_display, put_i64, put_json_float, put_u64};
use super::super::shapes::{write_variant_names, write_widened, write_wrapped};
use super::base64;
use super::escape::{put_quoted, put_string};
use super::out::Out;

/// How serde_json hands over text that is JSON already.
const RAW_VALUE: &str = "$serde_json::private::RawValue";
/// How serde_json hands over a number of any length.
const NUMBER: &str = "$serde_json::private::Number";

/// Writes one value.
pub(super) struct Serializer<'a> {
    dst: Out<'a>,
}

impl<'a> Serializer<'a> {
    pub(super) fn new(dst: &'a mut BytesMut) -> Self {
        Self { dst: Out::new(dst) }
    }

    /// Hands over the last of the text.
    pub(super) fn finish(mut self) {
        self.dst.flush();
    }

    fn float<F: Float>(&mut self, number: F) -> Result<(), Fail> {
        check_finite(number)?;
        put_json_float(&mut self.dst, number);
        Ok(())
    }

    /// Opens `{"variant":` and what the variant holds.
    fn variant(&mut self, name: &str, open: u8) {
        self.dst.put_u8(b'{');
        put_string(&mut self.dst, name);
        self.dst.put_u8(b':');
        self.dst.put_u8(open);
    }
}

fn check_finite<F: Float>(number: F) -> Result<(), Fail> {
    if number.into().is_finite() {
        Ok(())
    } else {
        Err(Fail::other(format!("unsupported value: {number}")))
    }
}

impl<'s, 'a> ser::Serializer for &'s mut Serializer<'a> {
    type Ok = ();
    type Error = Fail;
    type SerializeSeq = List<'s, 'a>;
    type SerializeTuple = List<'s, 'a>;
    type SerializeTupleStruct = List<'s, 'a>;
    type SerializeTupleVariant = List<'s, 'a>;
    type SerializeMap = Map<'s, 'a>;
    type SerializeStruct = Fields<'s, 'a>;
    type SerializeStructVariant = Fields<'s, 'a>;

    write_widened!();
    write_wrapped!();
    write_variant_names!();

    fn serialize_i64(self, value: i64) -> Result<(), Fail> {
        put_i64(&mut self.dst, value);
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Fail> {
        put_u64(&mut self.dst, value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Fail> {
        put_display(&mut self.dst, value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Fail> {
        put_display(&mut self.dst, value);
        Ok(())
    }

    fn serialize_bool(self, value: bool) -> Result<(), Fail> {
        self.dst.put(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Fail> {
        self.float(value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Fail> {
        self.float(value)
    }

    fn serialize_char(self, value: char) -> Result<(), Fail> {
        put_string(&mut self.dst, value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Fail> {
        put_string(&mut self.dst, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Fail> {
        self.dst.put_u8(b'"');
        base64::put(&mut self.dst, value);
        self.dst.put_u8(b'"');
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Fail> {
        self.serialize_unit()
    }

    fn serialize_unit(self) -> Result<(), Fail> {
        self.dst.put(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Fail> {
        self.serialize_unit()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Fail> {
        self.dst.put_u8(b'{');
        put_string(&mut self.dst, variant);
        self.dst.put_u8(b':');
        value.serialize(&mut *self)?;
        self.dst.put_u8(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'s, 'a>, Fail> {
        self.dst.put_u8(b'[');
        Ok(List {
            ser: self,
            first: true,
            close: b"]",
        })
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'s, 'a>, Fail> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'s, 'a>, Fail> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'s, 'a>, Fail> {
        self.variant(variant, b'[');
        Ok(List {
            ser: self,
            first: true,
            close: b"]}",
        })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Map<'s, 'a>, Fail> {
        self.dst.put_u8(b'{');
        // Without a length it is a struct with flattened fields, which keep their order.
        let order = len.map(|_| Order {
            start: self.dst.len(),
            entries: Vec::new(),
        });
        Ok(Map {
            ser: self,
            first: true,
            order,
        })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'s, 'a>, Fail> {
        let kind = match name {
            RAW_VALUE | NUMBER => FieldsKind::Ready,
            _ => FieldsKind::Struct,
        };
        if kind == FieldsKind::Struct {
            self.dst.put_u8(b'{');
        }
        Ok(Fields {
            ser: self,
            first: true,
            kind,
        })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'s, 'a>, Fail> {
        self.variant(variant, b'{');
        Ok(Fields {
            ser: self,
            first: true,
            kind: FieldsKind::Variant,
        })
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Fail> {
        put_quoted(&mut self.dst, value)
    }
}

/// The elements of a list.
pub(super) struct List<'s, 'a> {
    ser: &'s mut Serializer<'a>,
    first: bool,
    close: &'static [u8],
}

impl List<'_, '_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fail> {
        if !self.first {
            self.ser.dst.put_u8(b',');
        }
        self.first = false;
        value.serialize(&mut *self.ser)
    }

    fn close(self) {
        self.ser.dst.put(self.close);
    }
}

macro_rules! list {
    ($($trait:ident $method:ident)*) => {
        $(impl ser::$trait for List<'_, '_> {
            type Ok = ();
            type Error = Fail;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fail> {
                self.element(value)
            }

            fn end(self) -> Result<(), Fail> {
                self.close();
                Ok(())
            }
        })*
    };
}

list! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

/// The fields of a struct.
pub(super) struct Fields<'s, 'a> {
    ser: &'s mut Serializer<'a>,
    first: bool,
    kind: FieldsKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldsKind {
    Struct,
    Variant,
    /// The one field is text to be written as it is.
    Ready,
}

impl Fields<'_, '_> {
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Fail> {
        if self.kind == FieldsKind::Ready {
            return value.serialize(ReadyText {
                dst: &mut self.ser.dst,
            });
        }
        if !self.first {
            self.ser.dst.put_u8(b',');
        }
        self.first = false;
        put_string(&mut self.ser.dst, key);
        self.ser.dst.put_u8(b':');
        value.serialize(&mut *self.ser)
    }

    fn close(self) {
        match self.kind {
            FieldsKind::Struct => self.ser.dst.put_u8(b'}'),
            FieldsKind::Variant => self.ser.dst.put(b"}}"),
            FieldsKind::Ready => {}
        }
    }
}

macro_rules! fields {
    ($($trait:ident)*) => {
        $(impl ser::$trait for Fields<'_, '_> {
            type Ok = ();
            type Error = Fail;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Fail> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), Fail> {
                self.close();
                Ok(())
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }

/// The entries of a map, which Go sorts by their keys.
pub(super) struct Map<'s, 'a> {
    ser: &'s mut Serializer<'a>,
    first: bool,
    order: Option<Order>,
}

/// Where the entries written so far lie.
struct Order {
    start: usize,
    entries: Vec<Entry>,
}

struct Entry {
    /// The key with its quotes, and the value.
    whole: Range<usize>,
    /// The key without its quotes.
    key: Range<usize>,
}

impl ser::SerializeMap for Map<'_, '_> {
    type Ok = ();
    type Error = Fail;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fail> {
        if !self.first {
            self.ser.dst.put_u8(b',');
        }
        self.first = false;
        let start = self.ser.dst.len();
        key.serialize(Key {
            dst: &mut self.ser.dst,
        })?;
        let end = self.ser.dst.len();
        if let Some(order) = &mut self.order {
            order.entries.push(Entry {
                whole: start..end,
                key: start + 1..end - 1,
            });
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fail> {
        self.ser.dst.put_u8(b':');
        value.serialize(&mut *self.ser)?;
        if let Some(entry) = self
            .order
            .as_mut()
            .and_then(|order| order.entries.last_mut())
        {
            entry.whole.end = self.ser.dst.len();
        }
        Ok(())
    }

    fn end(self) -> Result<(), Fail> {
        if let Some(order) = self.order {
            order.sort(self.ser.dst.flush());
        }
        self.ser.dst.put_u8(b'}');
        Ok(())
    }
}

impl Order {
    /// Puts the entries in the order of their keys, unless they are in it.
    fn sort(mut self, dst: &mut BytesMut) {
        let key = |entry: &Entry| dst.get(entry.key.clone()).unwrap_or_default();
        let escaped = self.entries.iter().any(|entry| key(entry).contains(&b'\\'));
        if !escaped && self.entries.is_sorted_by_key(key) {
            return;
        }
        self.entries.sort_by_cached_key(|entry| {
            let quoted = entry.key.start - 1..entry.key.end + 1;
            let quoted = dst.get(quoted).unwrap_or_default();
            serde_json::from_slice::<String>(quoted).unwrap_or_default()
        });
        let mut sorted = Vec::with_capacity(dst.len() - self.start);
        for entry in &self.entries {
            if !sorted.is_empty() {
                sorted.push(b',');
            }
            sorted.extend_from_slice(dst.get(entry.whole.clone()).unwrap_or_default());
        }
        dst.truncate(self.start);
        dst.extend_from_slice(&sorted);
    }
}
