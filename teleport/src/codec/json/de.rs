//! Reads JSON as Go does where serde_json is stricter.
//!
//! Every deserializer, visitor and access is wrapped on the way down, so that the wrapped type sees
//! a zero instead of `null`, the declared name of a struct's key instead of one in another case,
//! and bytes instead of base64. The wrappers hold no data of the input and vanish in optimised
//! code.
//!
//! serde_json refuses a `null` or a string where it was asked for something else, so it is asked
//! for whatever there is. Only numbers are asked for by their type, which decides how they are
//! parsed; their `null` is caught by asking for an option first.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use super::super::zero::{Nothing, Zero};
use super::base64;

/// What differs from reading to reading.
#[derive(Clone, Copy, Default)]
pub(super) struct Rules {
    /// Fields of structs that are missing are zero.
    pub(super) fill: bool,
}

/// A deserializer, or a seed, that follows the rules.
pub(super) struct Lenient<D> {
    inner: D,
    rules: Rules,
}

impl<D> Lenient<D> {
    pub(super) fn new(inner: D, rules: Rules) -> Self {
        Self { inner, rules }
    }
}

/// What was asked for, hence what `null` stands for.
#[derive(Clone, Copy)]
enum Due {
    Any,
    Bool,
    Char,
    Str,
    Bytes,
    Seq,
    Tuple(usize),
    Map,
    Struct(&'static [&'static str]),
}

macro_rules! due {
    ($($method:ident $due:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.whatever(Due::$due, visitor)
        })*
    };
}

macro_rules! numbers {
    ($($method:ident $number:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.deserialize_option(OrZero { visitor, number: Number::$number })
        })*
    };
}

impl<D> Lenient<D> {
    fn whatever<'de, V: Visitor<'de>>(self, due: Due, visitor: V) -> Result<V::Value, D::Error>
    where
        D: Deserializer<'de>,
    {
        self.inner.deserialize_any(Wrap {
            visitor,
            rules: self.rules,
            due,
        })
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Lenient<D> {
    type Error = D::Error;

    due! {
        deserialize_any Any
        deserialize_bool Bool
        deserialize_char Char
        deserialize_str Str
        deserialize_string Str
        deserialize_bytes Bytes
        deserialize_byte_buf Bytes
        deserialize_seq Seq
        deserialize_map Map
    }

    numbers! {
        deserialize_i8 I8
        deserialize_i16 I16
        deserialize_i32 I32
        deserialize_i64 I64
        deserialize_i128 I128
        deserialize_u8 U8
        deserialize_u16 U16
        deserialize_u32 U32
        deserialize_u64 U64
        deserialize_u128 U128
        deserialize_f32 F32
        deserialize_f64 F64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, rules } = self;
        inner.deserialize_option(Wrap {
            visitor,
            rules,
            due: Due::Any,
        })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(IgnoredAny)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let Self { inner, rules } = self;
        inner.deserialize_newtype_struct(
            name,
            Wrap {
                visitor,
                rules,
                due: Due::Any,
            },
        )
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.whatever(Due::Tuple(len), visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.whatever(Due::Tuple(len), visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.whatever(Due::Struct(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let Self { inner, rules } = self;
        inner.deserialize_enum(
            name,
            variants,
            Wrap {
                visitor,
                rules,
                due: Due::Any,
            },
        )
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_identifier(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Lenient<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Lenient {
            inner: deserializer,
            rules: self.rules,
        })
    }
}

/// A visitor that follows the rules.
struct Wrap<V> {
    visitor: V,
    rules: Rules,
    due: Due,
}

macro_rules! pass {
    ($($method:ident($ty:ty))*) => {
        $(fn $method<E: de::Error>(self, value: $ty) -> Result<V::Value, E> {
            self.visitor.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Wrap<V> {
    fn base64<E: de::Error>(self, text: &[u8]) -> Result<V::Value, E> {
        let Some(bytes) = base64::read(text) else {
            return Err(E::custom("illegal base64"));
        };
        match self.due {
            Due::Seq => self.visitor.visit_seq(ByteSeq::new(&bytes)),
            _ => self.visitor.visit_byte_buf(bytes),
        }
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Wrap<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    pass! {
        visit_bool(bool)
        visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128)
        visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128)
        visit_f32(f32) visit_f64(f64) visit_char(char) visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8])
        visit_byte_buf(Vec<u8>)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<V::Value, E> {
        match self.due {
            Due::Bytes | Due::Seq => self.base64(value.as_bytes()),
            _ => self.visitor.visit_str(value),
        }
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<V::Value, E> {
        match self.due {
            Due::Bytes | Due::Seq => self.base64(value.as_bytes()),
            _ => self.visitor.visit_borrowed_str(value),
        }
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<V::Value, E> {
        match self.due {
            Due::Bytes | Due::Seq => self.base64(value.as_bytes()),
            _ => self.visitor.visit_string(value),
        }
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Lenient {
            inner,
            rules: self.rules,
        })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Lenient {
            inner,
            rules: self.rules,
        })
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        let visitor = self.visitor;
        let zero = Zero::<E>::new();
        match self.due {
            Due::Any => visitor.visit_unit(),
            Due::Bool => visitor.visit_bool(false),
            Due::Char => visitor.visit_char('\0'),
            Due::Str => visitor.visit_borrowed_str(""),
            Due::Bytes => visitor.visit_borrowed_bytes(b""),
            Due::Seq => visitor.visit_seq(Nothing::new()),
            Due::Map => visitor.visit_map(Nothing::new()),
            Due::Tuple(len) => zero.deserialize_tuple(len, visitor),
            Due::Struct(fields) => zero.deserialize_struct("", fields, visitor),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        if matches!(self.due, Due::Bool | Due::Char | Due::Str | Due::Map) {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        self.visitor.visit_seq(Lenient {
            inner,
            rules: self.rules,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let rules = self.rules;
        match self.due {
            Due::Struct(fields) => self.visitor.visit_map(Fields {
                inner,
                rules,
                keys: Keys {
                    fields,
                    next: 0,
                    seen: 0,
                },
                filling: false,
            }),
            Due::Any | Due::Map => self.visitor.visit_map(Lenient { inner, rules }),
            Due::Bool | Due::Char | Due::Str | Due::Bytes | Due::Seq | Due::Tuple(_) => {
                Err(A::Error::invalid_type(Unexpected::Map, &self))
            }
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Lenient {
            inner,
            rules: self.rules,
        })
    }
}

/// How a number is parsed.
#[derive(Clone, Copy)]
enum Number {
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
}

/// Takes a number, or the zero for `null`.
struct OrZero<V> {
    visitor: V,
    number: Number,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for OrZero<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        match self.number {
            Number::U8 | Number::U16 | Number::U32 | Number::U64 | Number::U128 => {
                self.visitor.visit_u64(0)
            }
            Number::I8 | Number::I16 | Number::I32 | Number::I64 | Number::I128 => {
                self.visitor.visit_i64(0)
            }
            Number::F32 | Number::F64 => self.visitor.visit_f64(0.0),
        }
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let visitor = self.visitor;
        match self.number {
            Number::I8 => inner.deserialize_i8(visitor),
            Number::I16 => inner.deserialize_i16(visitor),
            Number::I32 => inner.deserialize_i32(visitor),
            Number::I64 => inner.deserialize_i64(visitor),
            Number::I128 => inner.deserialize_i128(visitor),
            Number::U8 => inner.deserialize_u8(visitor),
            Number::U16 => inner.deserialize_u16(visitor),
            Number::U32 => inner.deserialize_u32(visitor),
            Number::U64 => inner.deserialize_u64(visitor),
            Number::U128 => inner.deserialize_u128(visitor),
            Number::F32 => inner.deserialize_f32(InRange { visitor }),
            Number::F64 => inner.deserialize_f64(visitor),
        }
    }
}

/// Takes a float that is due in 32 bits, and refuses one that would become infinite.
struct InRange<V> {
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for InRange<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    pass! { visit_i64(i64) visit_u64(u64) visit_f32(f32) }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<V::Value, E> {
        if value.abs() > f64::from(f32::MAX) {
            return Err(E::invalid_value(
                Unexpected::Float(value),
                &"a 32-bit float",
            ));
        }
        self.visitor.visit_f64(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(map)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Lenient<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.inner.next_element_seed(Lenient {
            inner: seed,
            rules: self.rules,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Lenient<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.next_value_seed(Lenient {
            inner: seed,
            rules: self.rules,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Lenient<A> {
    type Error = A::Error;
    type Variant = Lenient<A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self::Variant), A::Error> {
        let (value, inner) = self.inner.variant_seed(seed)?;
        Ok((
            value,
            Lenient {
                inner,
                rules: self.rules,
            },
        ))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Lenient<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.newtype_variant_seed(Lenient {
            inner: seed,
            rules: self.rules,
        })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let Self { inner, rules } = self;
        inner.tuple_variant(
            len,
            Wrap {
                visitor,
                rules,
                due: Due::Tuple(len),
            },
        )
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let Self { inner, rules } = self;
        inner.struct_variant(
            fields,
            Wrap {
                visitor,
                rules,
                due: Due::Struct(fields),
            },
        )
    }
}

/// The entries of an object that becomes a struct.
struct Fields<A> {
    inner: A,
    rules: Rules,
    keys: Keys,
    /// The input is at its end, and the fields it lacked follow.
    filling: bool,
}

/// Which declared field a key means.
struct Keys {
    fields: &'static [&'static str],
    /// Where the next key is expected: writers keep the order.
    next: usize,
    /// The fields that came, by their place; those behind the 128th are not followed.
    seen: u128,
}

impl Keys {
    fn bit(index: usize) -> u128 {
        u32::try_from(index)
            .ok()
            .and_then(|index| 1_u128.checked_shl(index))
            .unwrap_or(0)
    }

    /// The declared name that the key means, if it is not spelt so itself.
    fn declared(&mut self, key: &str) -> Option<&'static str> {
        if self
            .fields
            .get(self.next)
            .is_some_and(|field| *field == key)
        {
            self.seen |= Self::bit(self.next);
            self.next += 1;
            return None;
        }
        if let Some(index) = self.fields.iter().position(|field| *field == key) {
            self.seen |= Self::bit(index);
            self.next = index + 1;
            return None;
        }
        let (index, field) = self
            .fields
            .iter()
            .enumerate()
            .find(|(_, field)| field.eq_ignore_ascii_case(key))?;
        let bit = Self::bit(index);
        if self.seen & bit != 0 {
            return None;
        }
        self.seen |= bit;
        self.next = index + 1;
        Some(field)
    }

    fn next_missing(&mut self) -> Option<&'static str> {
        let (index, field) = self
            .fields
            .iter()
            .enumerate()
            .find(|(index, _)| Self::bit(*index) & !self.seen != 0)?;
        self.seen |= Self::bit(index);
        Some(field)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        if !self.filling {
            let key = KeySeed {
                seed: &mut seed,
                keys: &mut self.keys,
            };
            if let Some(key) = self.inner.next_key_seed(key)? {
                return Ok(Some(key));
            }
        }
        if !self.rules.fill {
            return Ok(None);
        }
        self.filling = true;
        match (self.keys.next_missing(), seed) {
            (Some(field), Some(seed)) => seed
                .deserialize(de::value::BorrowedStrDeserializer::new(field))
                .map(Some),
            _ => Ok(None),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        if self.filling {
            return seed.deserialize(Zero::new());
        }
        self.inner.next_value_seed(Lenient {
            inner: seed,
            rules: self.rules,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct KeySeed<'a, K> {
    seed: &'a mut Option<K>,
    keys: &'a mut Keys,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<'_, K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<K::Value, D::Error> {
        match self.seed.take() {
            Some(seed) => seed.deserialize(KeyReader {
                inner,
                keys: self.keys,
            }),
            None => Err(D::Error::custom("a key was read twice")),
        }
    }
}

struct KeyReader<'a, D> {
    inner: D,
    keys: &'a mut Keys,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for KeyReader<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_identifier(KeyVisitor {
            visitor,
            keys: self.keys,
        })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

struct KeyVisitor<'a, V> {
    visitor: V,
    keys: &'a mut Keys,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for KeyVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<V::Value, E> {
        match self.keys.declared(key) {
            Some(field) => self.visitor.visit_borrowed_str(field),
            None => self.visitor.visit_str(key),
        }
    }

    fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<V::Value, E> {
        match self.keys.declared(key) {
            Some(field) => self.visitor.visit_borrowed_str(field),
            None => self.visitor.visit_borrowed_str(key),
        }
    }

    fn visit_string<E: de::Error>(self, key: String) -> Result<V::Value, E> {
        match self.keys.declared(&key) {
            Some(field) => self.visitor.visit_borrowed_str(field),
            None => self.visitor.visit_string(key),
        }
    }
}

/// The bytes of a base64 text, for elements that ask for a byte and for nothing else.
struct ByteSeq<'a, E> {
    bytes: std::slice::Iter<'a, u8>,
    asked: bool,
    error: PhantomData<fn() -> E>,
}

impl<'a, E> ByteSeq<'a, E> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: bytes.iter(),
            asked: false,
            error: PhantomData,
        }
    }
}

impl<'de, E: de::Error> SeqAccess<'de> for ByteSeq<'_, E> {
    type Error = E;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, E> {
        let byte = self.bytes.next();
        if byte.is_none() && !self.asked {
            // An empty text too must be refused where the elements are no bytes.
            seed.deserialize(Byte {
                byte: 0,
                error: PhantomData,
            })?;
            return Ok(None);
        }
        self.asked = true;
        byte.map(|byte| {
            seed.deserialize(Byte {
                byte: *byte,
                error: PhantomData,
            })
        })
        .transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.bytes.len())
    }
}

struct Byte<E> {
    byte: u8,
    error: PhantomData<fn() -> E>,
}

impl<'de, E: de::Error> Deserializer<'de> for Byte<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::invalid_type(Unexpected::Other("string"), &"a list"))
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_u8(self.byte)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}
