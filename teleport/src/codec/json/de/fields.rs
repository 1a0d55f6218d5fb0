//! The keys of structs, in any case, and the fields that are missing.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use super::super::super::zero::Zero;
use super::{Lenient, Rules};

/// The entries of an object that becomes a struct.
pub(super) struct Fields<A> {
    inner: A,
    rules: Rules,
    keys: Keys,
    /// The input is at its end, and the fields it lacked follow.
    filling: bool,
}

impl<A> Fields<A> {
    pub(super) fn new(inner: A, rules: Rules, fields: &'static [&'static str]) -> Self {
        let keys = Keys {
            fields,
            next: 0,
            seen: 0,
        };
        Self {
            inner,
            rules,
            keys,
            filling: false,
        }
    }
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
