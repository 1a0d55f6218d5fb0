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

mod byte_seq;
mod fields;
mod number;

use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use self::byte_seq::ByteSeq;
use self::fields::Fields;
use self::number::{Number, OrZero};
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
            Due::Struct(fields) => self.visitor.visit_map(Fields::new(inner, rules, fields)),
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
