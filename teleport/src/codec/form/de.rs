//! Reads forms.

use std::borrow::Cow;

use serde::de::{self, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::super::fail::Fail;
use super::super::shapes::{read_units_and_wrapped, refuse_to_read};
use super::super::text;
use super::super::zero::Zero;
use super::{NESTED, WHY};

type Text<'a> = Cow<'a, [u8]>;

/// The pairs of a form, sorted by key; the values of a key keep their order.
pub(super) struct Form<'a> {
    keys: Vec<Text<'a>>,
    values: Vec<Text<'a>>,
}

impl<'a> Form<'a> {
    pub(super) fn parse(src: &'a [u8]) -> Result<Self, Fail> {
        let mut pairs = Vec::new();
        for pair in src
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            if pair.contains(&b';') {
                return Err(Fail::other("invalid semicolon separator"));
            }
            let end = pair
                .iter()
                .position(|byte| *byte == b'=')
                .unwrap_or(pair.len());
            let (key, value) = pair.split_at(end);
            let value = value.strip_prefix(b"=").unwrap_or(value);
            pairs.push((unescape(key)?, unescape(value)?));
        }
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (keys, values) = pairs.into_iter().unzip();
        Ok(Self { keys, values })
    }

    /// A deserializer; `fill` makes the fields that are missing zero.
    pub(super) fn reader(&self, fill: bool) -> Reader<'_> {
        Reader { form: self, fill }
    }

    fn has(&self, key: &str) -> bool {
        self.keys
            .binary_search_by(|have| have.as_ref().cmp(key.as_bytes()))
            .is_ok()
    }
}

fn unescape(text: &[u8]) -> Result<Text<'_>, Fail> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'%' => {
                let (digits, after) = tail.split_at_checked(2).unwrap_or((tail, &[]));
                out.push(hex(digits).ok_or_else(|| bad_escape(digits))?);
                rest = after;
            }
            b'+' => out.push(b' '),
            byte => out.push(*byte),
        }
    }
    Ok(Cow::Owned(out))
}

fn hex(digits: &[u8]) -> Option<u8> {
    let &[high, low] = digits else {
        return None;
    };
    let digit = |letter: u8| char::from(letter).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cold]
fn bad_escape(digits: &[u8]) -> Fail {
    Fail::other(format!(
        "invalid URL escape \"%{}\"",
        String::from_utf8_lossy(digits)
    ))
}

/// Reads a whole form.
pub(super) struct Reader<'a> {
    form: &'a Form<'a>,
    fill: bool,
}

impl<'a> Reader<'a> {
    fn entries(&self, fields: &'static [&'static str], untyped: bool) -> Entries<'a> {
        Entries {
            form: self.form,
            start: 0,
            end: 0,
            untyped,
            missing: if self.fill { fields.iter() } else { [].iter() },
            filling: false,
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Fail;

    refuse_to_read! { Fail::unsupported(WHY) => scalars strings lists enums }
    read_units_and_wrapped!();

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_map(self.entries(&[], true))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_map(self.entries(&[], false))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fail> {
        visitor.visit_map(self.entries(fields, false))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_some(self)
    }
}

/// The keys of a form, each with its values.
struct Entries<'a> {
    form: &'a Form<'a>,
    /// The pairs of the key at hand.
    start: usize,
    end: usize,
    /// Nobody says what the values are, so they are lists.
    untyped: bool,
    /// The fields that may have to be filled in.
    missing: std::slice::Iter<'static, &'static str>,
    filling: bool,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fail;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fail> {
        self.start = self.end;
        let rest = self.form.keys.get(self.start..).unwrap_or_default();
        if let Some(key) = rest.first() {
            self.end += rest.iter().take_while(|other| *other == key).count();
            let list = std::slice::from_ref(key);
            return seed
                .deserialize(Values {
                    list,
                    untyped: false,
                    element: true,
                })
                .map(Some);
        }
        self.filling = true;
        let form = self.form;
        match self.missing.find(|field| !form.has(field)) {
            Some(field) => seed
                .deserialize(de::value::BorrowedStrDeserializer::new(field))
                .map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fail> {
        if self.filling {
            return seed.deserialize(Zero::new());
        }
        let list = self
            .form
            .values
            .get(self.start..self.end)
            .unwrap_or_default();
        seed.deserialize(Values {
            list,
            untyped: self.untyped,
            element: false,
        })
    }
}

/// The values of one key: a list, or the first of them.
struct Values<'a> {
    list: &'a [Text<'a>],
    untyped: bool,
    /// One of a list, which can be no list itself.
    element: bool,
}

impl<'a> Values<'a> {
    fn first(&self) -> &'a [u8] {
        self.list.first().map(AsRef::as_ref).unwrap_or_default()
    }
}

macro_rules! scalars {
    ($($method:ident $visit:ident $zero:literal $read:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
            let text = self.first();
            visitor.$visit(if text.is_empty() { $zero } else { $read(text)? })
        })*
    };
}

impl<'de> Deserializer<'de> for Values<'_> {
    type Error = Fail;

    scalars! {
        deserialize_bool visit_bool false text::boolean;
        deserialize_i8 visit_i8 0 |text| text::integer(text, true);
        deserialize_i16 visit_i16 0 |text| text::integer(text, true);
        deserialize_i32 visit_i32 0 |text| text::integer(text, true);
        deserialize_i64 visit_i64 0 |text| text::integer(text, true);
        deserialize_i128 visit_i128 0 |text| text::integer(text, true);
        deserialize_u8 visit_u8 0 |text| text::integer(text, false);
        deserialize_u16 visit_u16 0 |text| text::integer(text, false);
        deserialize_u32 visit_u32 0 |text| text::integer(text, false);
        deserialize_u64 visit_u64 0 |text| text::integer(text, false);
        deserialize_u128 visit_u128 0 |text| text::integer(text, false);
        deserialize_f32 visit_f32 0.0 |text| text::float(text, text::narrow);
        deserialize_f64 visit_f64 0.0 |text| text::float(text, |wide| wide);
        deserialize_char visit_char '\0' text::character;
    }

    refuse_to_read! { Fail::unsupported(NESTED) => maps structs }
    read_units_and_wrapped!();

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        if self.untyped || self.list.len() != 1 {
            return self.deserialize_seq(visitor);
        }
        text::visit_text(self.first(), visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        text::visit_text(self.first(), visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        text::visit_text(self.first(), visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        text::visit_text(self.first(), visitor)
    }

    /// Bytes are a list of numbers.
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        let numbers = self.list.iter().map(|text| text::integer(text, false));
        visitor.visit_byte_buf(numbers.collect::<Result<_, _>>()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        match self.list {
            [only] if only.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        if self.element {
            return Err(Fail::unsupported(NESTED));
        }
        let mut elements = Elements {
            left: self.list.iter(),
        };
        let value = visitor.visit_seq(&mut elements)?;
        match elements.left.len() {
            0 => Ok(value),
            more => Err(Fail::custom(format_args!("{more} values too many"))),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fail> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fail> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fail> {
        visitor.visit_enum(text::Variant(self.first()))
    }
}

struct Elements<'a> {
    left: std::slice::Iter<'a, Text<'a>>,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Fail;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fail> {
        self.left
            .next()
            .map(|text| {
                let list = std::slice::from_ref(text);
                seed.deserialize(Values {
                    list,
                    untyped: false,
                    element: true,
                })
            })
            .transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}
