//! Numbers, whose `null` is zero.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Unexpected, Visitor};

/// How a number is parsed.
#[derive(Clone, Copy)]
pub(super) enum Number {
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
pub(super) struct OrZero<V> {
    pub(super) visitor: V,
    pub(super) number: Number,
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

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<V::Value, E> {
        self.visitor.visit_i64(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<V::Value, E> {
        self.visitor.visit_u64(value)
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<V::Value, E> {
        self.visitor.visit_f32(value)
    }

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
