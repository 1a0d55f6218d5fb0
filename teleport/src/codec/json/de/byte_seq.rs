//! Bytes as a list.

use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Unexpected, Visitor};

/// The bytes of a base64 text, for elements that ask for a byte and for nothing else.
pub(super) struct ByteSeq<'a, E> {
    bytes: std::slice::Iter<'a, u8>,
    asked: bool,
    error: PhantomData<fn() -> E>,
}

impl<'a, E> ByteSeq<'a, E> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
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
