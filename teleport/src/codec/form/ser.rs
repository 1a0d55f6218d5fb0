//! Writes forms: the keys sorted, the values of a key in their order.

use std::fmt::Display;

use bytes::{BufMut, BytesMut};
use serde::ser::{self, Serialize, Serializer};

use super::super::fail::Fail;
use super::super::number::{put_display, put_i64, put_plain_float, put_u64};
use super::super::shapes::{refuse_to_write, write_variant_names, write_widened, write_wrapped};
use super::{NESTED, WHY};

const LISTS: &str = "a map must hold lists to be a form";

/// The pairs of a form, before they are sorted.
#[derive(Default)]
pub(super) struct Pairs(Vec<(String, BytesMut)>);

impl Pairs {
    pub(super) fn put(mut self, dst: &mut BytesMut) {
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                dst.put_u8(b'&');
            }
            put_escaped(dst, key.as_bytes());
            dst.put_u8(b'=');
            put_escaped(dst, value);
        }
    }
}

fn put_escaped(dst: &mut BytesMut, text: &[u8]) {
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                dst.put_u8(*byte);
            }
            b' ' => dst.put_u8(b'+'),
            _ => put_display(dst, format_args!("%{byte:02X}")),
        }
    }
}

/// Writes a whole form.
pub(super) struct Writer<'a> {
    pub(super) pairs: &'a mut Pairs,
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Fail;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Entries<'a>;

    write_wrapped!();
    refuse_to_write! { Fail::unsupported(WHY) =>
        scalars strings bytes lists unit_variants full_variants
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

    fn serialize_map(self, len: Option<usize>) -> Result<Entries<'a>, Fail> {
        // Without a length it is a struct with flattened fields.
        Ok(Entries {
            pairs: self.pairs,
            key: String::new(),
            lists_only: len.is_some(),
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Entries<'a>, Fail> {
        Ok(Entries {
            pairs: self.pairs,
            key: String::new(),
            lists_only: false,
        })
    }
}

/// The entries of a map and the fields of a struct.
pub(super) struct Entries<'a> {
    pairs: &'a mut Pairs,
    key: String,
    lists_only: bool,
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Fail;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fail> {
        // A key is written like a value, and must be one text.
        let mut written = Pairs::default();
        key.serialize(Value {
            pairs: &mut written,
            key: "",
            place: Place::Element,
        })?;
        match written.0.pop() {
            Some((_, text)) if written.0.is_empty() => {
                self.key = String::from_utf8_lossy(&text).into_owned();
                Ok(())
            }
            _ => Err(Fail::other("a key must be one text")),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fail> {
        let place = if self.lists_only {
            Place::Map
        } else {
            Place::Field
        };
        value.serialize(Value {
            pairs: self.pairs,
            key: &self.key,
            place,
        })
    }

    fn end(self) -> Result<(), Fail> {
        Ok(())
    }
}

impl ser::SerializeStruct for Entries<'_> {
    type Ok = ();
    type Error = Fail;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Fail> {
        value.serialize(Value {
            pairs: self.pairs,
            key,
            place: Place::Field,
        })
    }

    fn end(self) -> Result<(), Fail> {
        Ok(())
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Field,
    Map,
    Element,
}

/// Writes the value, or the values, of one key.
struct Value<'a> {
    pairs: &'a mut Pairs,
    key: &'a str,
    place: Place,
}

impl<'a> Value<'a> {
    fn push(self, put: impl FnOnce(&mut BytesMut)) -> Result<(), Fail> {
        if self.place == Place::Map {
            return Err(Fail::unsupported(LISTS));
        }
        self.push_element(put);
        Ok(())
    }

    fn push_element(self, put: impl FnOnce(&mut BytesMut)) {
        let mut text = BytesMut::new();
        put(&mut text);
        self.pairs.0.push((self.key.to_owned(), text));
    }

    fn elements(self) -> Result<Elements<'a>, Fail> {
        if self.place == Place::Element {
            return Err(Fail::unsupported(NESTED));
        }
        Ok(Elements {
            pairs: self.pairs,
            key: self.key,
        })
    }
}

impl<'a> Serializer for Value<'a> {
    type Ok = ();
    type Error = Fail;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Elements<'a>;

    write_widened!();
    write_wrapped!();
    write_variant_names!();
    refuse_to_write! { Fail::unsupported(NESTED) => maps structs full_variants }

    fn serialize_i64(self, value: i64) -> Result<(), Fail> {
        self.push(|text| put_i64(text, value))
    }

    fn serialize_u64(self, value: u64) -> Result<(), Fail> {
        self.push(|text| put_u64(text, value))
    }

    fn serialize_i128(self, value: i128) -> Result<(), Fail> {
        self.push(|text| put_display(text, value))
    }

    fn serialize_u128(self, value: u128) -> Result<(), Fail> {
        self.push(|text| put_display(text, value))
    }

    fn serialize_bool(self, value: bool) -> Result<(), Fail> {
        self.push(|text| put_display(text, value))
    }

    fn serialize_f32(self, value: f32) -> Result<(), Fail> {
        self.push(|text| put_plain_float(text, value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Fail> {
        self.push(|text| put_plain_float(text, value))
    }

    fn serialize_char(self, value: char) -> Result<(), Fail> {
        self.push(|text| put_display(text, value))
    }

    fn serialize_str(self, value: &str) -> Result<(), Fail> {
        self.push(|text| text.put_slice(value.as_bytes()))
    }

    /// Bytes are a list of numbers.
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Fail> {
        let mut elements = self.elements()?;
        value.iter().try_for_each(|byte| elements.element(byte))
    }

    fn serialize_none(self) -> Result<(), Fail> {
        if self.place == Place::Map {
            return Ok(());
        }
        self.push_element(|_| ());
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Fail> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Fail> {
        self.serialize_none()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a>, Fail> {
        self.elements()
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements<'a>, Fail> {
        self.elements()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements<'a>, Fail> {
        self.elements()
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Fail> {
        self.push(|text| put_display(text, value))
    }
}

/// The values of one key.
struct Elements<'a> {
    pairs: &'a mut Pairs,
    key: &'a str,
}

impl Elements<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fail> {
        value.serialize(Value {
            pairs: self.pairs,
            key: self.key,
            place: Place::Element,
        })
    }
}

macro_rules! elements {
    ($($trait:ident $method:ident)*) => {
        $(impl ser::$trait for Elements<'_> {
            type Ok = ();
            type Error = Fail;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fail> {
                self.element(value)
            }

            fn end(self) -> Result<(), Fail> {
                Ok(())
            }
        })*
    };
}

elements! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
}
