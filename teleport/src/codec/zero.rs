//! The zero value of a type: what an empty body, and a JSON `null`, stands for.

use std::marker::PhantomData;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor,
};

use super::CodecError;
use super::fail::Fail;
use super::shapes::read_units_and_wrapped;

/// The zero value of `T`, which is the user's own default where its fields name one.
pub(super) fn zero<T: DeserializeOwned>() -> Result<T, CodecError> {
    [Structs::Defaults, Structs::Positions, Structs::Names]
        .into_iter()
        .find_map(|structs| T::deserialize(Zero::<Fail>::with(structs)).ok())
        .ok_or_else(CodecError::empty_body::<T>)
}

/// How a struct of zeros is given to a visitor, which is used up by one attempt.
#[derive(Clone, Copy)]
enum Structs {
    /// No field at all: right when every field has a default.
    Defaults,
    /// All fields by position: what derived code takes.
    Positions,
    /// All fields by name: what code by hand may insist on.
    Names,
}

/// Reads zeros, endlessly.
pub(super) struct Zero<E> {
    structs: Structs,
    error: PhantomData<fn() -> E>,
}

impl<E> Zero<E> {
    pub(super) fn new() -> Self {
        Self::with(Structs::Positions)
    }

    fn with(structs: Structs) -> Self {
        Self {
            structs,
            error: PhantomData,
        }
    }

    fn again(&self) -> Self {
        Self::with(self.structs)
    }
}

macro_rules! scalars {
    ($($deserialize:ident $visit:ident $zero:expr),* $(,)?) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
            visitor.$visit($zero)
        })*
    };
}

impl<'de, E: de::Error> Deserializer<'de> for Zero<E> {
    type Error = E;

    scalars! {
        deserialize_bool visit_bool false,
        deserialize_i8 visit_i8 0,
        deserialize_i16 visit_i16 0,
        deserialize_i32 visit_i32 0,
        deserialize_i64 visit_i64 0,
        deserialize_i128 visit_i128 0,
        deserialize_u8 visit_u8 0,
        deserialize_u16 visit_u16 0,
        deserialize_u32 visit_u32 0,
        deserialize_u64 visit_u64 0,
        deserialize_u128 visit_u128 0,
        deserialize_f32 visit_f32 0.0,
        deserialize_f64 visit_f64 0.0,
        deserialize_char visit_char '\0',
        deserialize_str visit_borrowed_str "",
        deserialize_string visit_borrowed_str "",
        deserialize_identifier visit_borrowed_str "",
        deserialize_bytes visit_borrowed_bytes b"",
        deserialize_byte_buf visit_borrowed_bytes b"",
    }

    read_units_and_wrapped!();

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_seq(Nothing::new())
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_map(Nothing::new())
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, E> {
        visitor.visit_seq(Zeros {
            left: len,
            zero: self,
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, E> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        match self.structs {
            Structs::Defaults => visitor.visit_map(Nothing::new()),
            // Names may count aliases too; a visitor takes no more than it has fields.
            Structs::Positions => visitor.visit_seq(Zeros {
                left: fields.len(),
                zero: self,
            }),
            Structs::Names => visitor.visit_map(ZeroFields {
                left: fields.iter(),
                zero: self,
            }),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, E> {
        Err(E::custom(format_args!("the enum {name} has no zero value")))
    }
}

struct Zeros<E> {
    left: usize,
    zero: Zero<E>,
}

impl<'de, E: de::Error> SeqAccess<'de> for Zeros<E> {
    type Error = E;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, E> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(self.zero.again()).map(Some)
    }
}

struct ZeroFields<E> {
    left: std::slice::Iter<'static, &'static str>,
    zero: Zero<E>,
}

impl<'de, E: de::Error> MapAccess<'de> for ZeroFields<E> {
    type Error = E;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, E> {
        self.left
            .next()
            .map(|field| seed.deserialize(de::value::BorrowedStrDeserializer::new(field)))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, E> {
        seed.deserialize(self.zero.again())
    }
}

/// An empty list, and an empty map.
pub(super) struct Nothing<E>(PhantomData<fn() -> E>);

impl<E> Nothing<E> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, E: de::Error> SeqAccess<'de> for Nothing<E> {
    type Error = E;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, _: T) -> Result<Option<T::Value>, E> {
        Ok(None)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(0)
    }
}

impl<'de, E: de::Error> MapAccess<'de> for Nothing<E> {
    type Error = E;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, E> {
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, _: V) -> Result<V::Value, E> {
        Err(E::custom("a value without a key"))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::CodecErrorKind;
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        #[serde(alias = "number")]
        n: i32,
        text: String,
        list: Vec<Self>,
        map: BTreeMap<String, u8>,
        inner: (f64, [bool; 2]),
        maybe: Option<Box<Self>>,
        wrapped: Wrapped,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(char);

    #[test]
    fn structs_of_zeros() {
        assert_eq!(
            zero::<Outer>().unwrap(),
            Outer {
                n: 0,
                text: String::new(),
                list: vec![],
                map: BTreeMap::new(),
                inner: (0.0, [false; 2]),
                maybe: None,
                wrapped: Wrapped('\0'),
            }
        );
    }

    #[test]
    fn a_default_of_the_users_own_wins() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(default)]
        struct Settings {
            retries: u32,
        }
        impl Default for Settings {
            fn default() -> Self {
                Self { retries: 3 }
            }
        }
        assert_eq!(zero::<Settings>().unwrap(), Settings { retries: 3 });
    }

    #[test]
    fn enums_and_non_zero_numbers_have_no_zero() {
        #[derive(Debug, Deserialize)]
        enum Colour {
            Red,
        }
        let error = zero::<Vec<Colour>>();
        assert!(error.unwrap().is_empty());
        let error = zero::<(i32, Colour)>()
            .map(|(n, Colour::Red)| n)
            .unwrap_err();
        assert_eq!(error.kind(), CodecErrorKind::EmptyBody);
        assert!(error.to_string().starts_with("empty body"));
        assert!(zero::<std::num::NonZeroU8>().is_err());
    }
}
