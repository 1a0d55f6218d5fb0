//! Values of a shape that is known at run time only.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;
use teleport_tests::vectors::unhex;

use super::shape::{Field, Shape};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Any(Json),
    Bool(bool),
    Int(i64),
    Uint(u64),
    /// The bits of a float of 64 bits, so that zeros differ by their sign and NaN is itself.
    Float(u64),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    RawJson(String),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
    Struct(Vec<Self>),
}

/// A value with its shape: a Rust type made at run time.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) shape: Shape,
    pub(super) value: Value,
}

thread_local! {
    /// The shape that the next [`Typed`] is read as.
    static SHAPE: RefCell<Shape> = const { RefCell::new(Shape::Nil) };
}

pub(super) fn with_shape<R>(shape: &Shape, read: impl FnOnce() -> R) -> R {
    SHAPE.set(shape.clone());
    read()
}

impl Value {
    pub(super) fn zero(shape: &Shape) -> Self {
        match shape {
            Shape::Nil | Shape::Pointer(_) => Self::Nil,
            Shape::Any => Self::Any(Json::Null),
            Shape::Bool => Self::Bool(false),
            Shape::Int(_) => Self::Int(0),
            Shape::Uint(_) => Self::Uint(0),
            Shape::Float(_) => Self::Float(0),
            Shape::Text => Self::Text(Vec::new()),
            Shape::Bytes => Self::Bytes(Vec::new()),
            Shape::RawJson => Self::RawJson("null".to_owned()),
            Shape::List(_) => Self::List(Vec::new()),
            Shape::Array(len, inner) => Self::List(vec![Self::zero(inner); *len]),
            Shape::Map(..) => Self::Map(BTreeMap::new()),
            Shape::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|field| Self::zero(&field.shape))
                    .collect(),
            ),
        }
    }

    /// Reads the `value` of a row.
    pub(super) fn build(shape: &Shape, json: &Json) -> Result<Self, String> {
        if json.is_null() {
            return Ok(match shape {
                // Nil to Go; `None` in Rust.
                Shape::List(_) | Shape::Map(..) | Shape::Bytes => Self::Nil,
                _ => Self::zero(shape),
            });
        }
        let no = || format!("{json} is no {shape:?}");
        let list = |inner: &Shape| {
            let list = json.as_array().ok_or_else(no)?;
            list.iter()
                .map(|json| Self::build(inner, json))
                .collect::<Result<_, String>>()
        };
        Ok(match shape {
            Shape::Nil => Self::Nil,
            Shape::Any => Self::Any(plain_numbers(json)),
            Shape::Bool => Self::Bool(json.as_bool().ok_or_else(no)?),
            Shape::Int(_) => Self::Int(json.as_i64().ok_or_else(no)?),
            Shape::Uint(_) => Self::Uint(json.as_u64().ok_or_else(no)?),
            Shape::Float(bits) => {
                let value = match json.as_str() {
                    Some(special) => special.parse().map_err(|_| no())?,
                    None => json.as_f64().ok_or_else(no)?,
                };
                Self::float(if *bits == 32 {
                    f64::from(value as f32)
                } else {
                    value
                })
            }
            Shape::Text => Self::Text(match json.as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => unhex(json["hex"].as_str().ok_or_else(no)?),
            }),
            Shape::Bytes => Self::Bytes(match json.as_str() {
                // Within a struct the rows hold bytes as Go's JSON does.
                Some(text) => super::messages::unbase64(text),
                None => unhex(json["hex"].as_str().ok_or_else(no)?),
            }),
            Shape::RawJson => {
                let text = unhex(json["hex"].as_str().ok_or_else(no)?);
                Self::RawJson(String::from_utf8(text).map_err(|_| no())?)
            }
            Shape::Pointer(inner) => Self::build(inner, json)?,
            Shape::List(inner) | Shape::Array(_, inner) => Self::List(list(inner)?),
            Shape::Map(_, inner) => Self::Map(
                json.as_object()
                    .ok_or_else(no)?
                    .iter()
                    .map(|(key, json)| Ok((key.clone(), Self::build(inner, json)?)))
                    .collect::<Result<_, String>>()?,
            ),
            Shape::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|field| {
                        let parent = match &field.value_parent {
                            Some(parent) => &json[parent],
                            None => json,
                        };
                        Self::build(&field.shape, &parent[&field.value_name])
                    })
                    .collect::<Result<_, String>>()?,
            ),
        })
    }

    /// The value with zeros for the nils of Go that have one.
    pub(super) fn settled(self, shape: &Shape) -> Self {
        match (self, shape) {
            (Self::Nil, shape) => Self::zero(shape),
            (Self::Struct(values), Shape::Struct(fields)) => Self::Struct(
                values
                    .into_iter()
                    .zip(fields)
                    .map(|(value, field)| value.settled(&field.shape))
                    .collect(),
            ),
            (Self::List(list), Shape::List(inner)) => {
                Self::List(list.into_iter().map(|value| value.settled(inner)).collect())
            }
            (other, _) => other,
        }
    }

    fn float(value: f64) -> Self {
        Self::Float(if value.is_nan() {
            f64::NAN.to_bits()
        } else {
            value.to_bits()
        })
    }
}

/// Go reads every number without a type as a float.
fn plain_numbers(json: &Json) -> Json {
    match json {
        Json::Number(number) => number.as_f64().into(),
        Json::Array(list) => list.iter().map(plain_numbers).collect(),
        Json::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), plain_numbers(value)))
            .collect(),
        other => other.clone(),
    }
}

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Pair(&self.shape, &self.value).serialize(serializer)
    }
}

struct Pair<'a>(&'a Shape, &'a Value);

impl Serialize for Pair<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Self(shape, value) = *self;
        match (shape, value) {
            (Shape::Nil, _) => s.serialize_unit(),
            (_, Value::Nil) => s.serialize_none(),
            (Shape::Pointer(inner), value) => s.serialize_some(&Pair(inner, value)),
            (Shape::Any, Value::Any(json)) => json.serialize(s),
            (Shape::Bool, Value::Bool(value)) => s.serialize_bool(*value),
            (Shape::Int(8), Value::Int(n)) => s.serialize_i8(*n as i8),
            (Shape::Int(16), Value::Int(n)) => s.serialize_i16(*n as i16),
            (Shape::Int(32), Value::Int(n)) => s.serialize_i32(*n as i32),
            (Shape::Int(_), Value::Int(n)) => s.serialize_i64(*n),
            (Shape::Uint(8), Value::Uint(n)) => s.serialize_u8(*n as u8),
            (Shape::Uint(16), Value::Uint(n)) => s.serialize_u16(*n as u16),
            (Shape::Uint(32), Value::Uint(n)) => s.serialize_u32(*n as u32),
            (Shape::Uint(_), Value::Uint(n)) => s.serialize_u64(*n),
            (Shape::Float(32), Value::Float(bits)) => s.serialize_f32(f64::from_bits(*bits) as f32),
            (Shape::Float(_), Value::Float(bits)) => s.serialize_f64(f64::from_bits(*bits)),
            (Shape::Text, Value::Text(text)) => match std::str::from_utf8(text) {
                Ok(text) => s.serialize_str(text),
                Err(_) => s.serialize_bytes(text),
            },
            (Shape::Bytes, Value::Bytes(bytes)) => s.serialize_bytes(bytes),
            (Shape::RawJson, Value::RawJson(text)) => RawValue::from_string(text.clone())
                .map_err(serde::ser::Error::custom)?
                .serialize(s),
            (Shape::List(inner), Value::List(list)) => {
                let mut seq = s.serialize_seq(Some(list.len()))?;
                for value in list {
                    seq.serialize_element(&Pair(inner, value))?;
                }
                seq.end()
            }
            (Shape::Array(len, inner), Value::List(list)) => {
                let mut tuple = s.serialize_tuple(*len)?;
                for value in list {
                    tuple.serialize_element(&Pair(inner, value))?;
                }
                tuple.end()
            }
            (Shape::Map(key, inner), Value::Map(entries)) => {
                // Backwards, so that the order of keys is the codec's doing.
                let mut map = s.serialize_map(Some(entries.len()))?;
                for (name, value) in entries.iter().rev() {
                    match **key {
                        Shape::Int(_) | Shape::Uint(_) => {
                            let number: i64 = name.parse().map_err(serde::ser::Error::custom)?;
                            map.serialize_entry(&number, &Pair(inner, value))?;
                        }
                        _ => map.serialize_entry(name, &Pair(inner, value))?,
                    }
                }
                map.end()
            }
            (Shape::Struct(fields), Value::Struct(values)) => {
                let omit = |field: &Field, value: &Value| {
                    field.omit_empty
                        && value.clone().settled(&field.shape) == Value::zero(&field.shape)
                };
                let mut out = s.serialize_struct("Struct", fields.len())?;
                for (field, value) in fields.iter().zip(values) {
                    if !omit(field, value) {
                        out.serialize_field(field.name, &Pair(&field.shape, value))?;
                    }
                }
                out.end()
            }
            (shape, value) => Err(serde::ser::Error::custom(format_args!(
                "{value:?} is no {shape:?}"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shape = SHAPE.with_borrow(Clone::clone);
        let value = Seed(&shape).deserialize(deserializer)?;
        Ok(Self { shape, value })
    }
}

struct Seed<'a>(&'a Shape);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        let int = |value: i64| Value::Int(value);
        let uint = |value: u64| Value::Uint(value);
        Ok(match self.0 {
            Shape::Nil => <()>::deserialize(d).map(|()| Value::Nil)?,
            Shape::Any => Value::Any(plain_numbers(&Json::deserialize(d)?)),
            Shape::Bool => Value::Bool(bool::deserialize(d)?),
            Shape::Int(8) => int(i8::deserialize(d)?.into()),
            Shape::Int(16) => int(i16::deserialize(d)?.into()),
            Shape::Int(32) => int(i32::deserialize(d)?.into()),
            Shape::Int(_) => int(i64::deserialize(d)?),
            Shape::Uint(8) => uint(u8::deserialize(d)?.into()),
            Shape::Uint(16) => uint(u16::deserialize(d)?.into()),
            Shape::Uint(32) => uint(u32::deserialize(d)?.into()),
            Shape::Uint(_) => uint(u64::deserialize(d)?),
            Shape::Float(32) => Value::float(f32::deserialize(d)?.into()),
            Shape::Float(_) => Value::float(f64::deserialize(d)?),
            Shape::Text => Value::Text(d.deserialize_string(Blob)?),
            Shape::Bytes => Value::Bytes(d.deserialize_byte_buf(Blob)?),
            Shape::RawJson => Value::RawJson(Box::<RawValue>::deserialize(d)?.get().to_owned()),
            Shape::Pointer(inner) => d.deserialize_option(Shaped(self.0, inner))?,
            Shape::List(inner) => d.deserialize_seq(Shaped(self.0, inner))?,
            Shape::Array(len, inner) => d.deserialize_tuple(*len, Shaped(self.0, inner))?,
            Shape::Map(_, inner) => d.deserialize_map(Shaped(self.0, inner))?,
            Shape::Struct(fields) => {
                let names: Vec<_> = fields.iter().map(|field| field.name).collect();
                d.deserialize_struct("Struct", names.leak(), Fields(fields))?
            }
        })
    }
}

/// Text that need not be UTF-8, and bytes.
struct Blob;

impl<'de> Visitor<'de> for Blob {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

/// A list, a map or an option of values of the inner shape.
struct Shaped<'a>(&'a Shape, &'a Shape);

impl<'de> Visitor<'de> for Shaped<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        Seed(self.1).deserialize(d)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let most = if let Shape::Array(len, _) = self.0 {
            *len
        } else {
            usize::MAX
        };
        let mut list = Vec::new();
        while list.len() < most
            && let Some(value) = seq.next_element_seed(Seed(self.1))?
        {
            list.push(value);
        }
        if most != usize::MAX && list.len() < most {
            return Err(de::Error::invalid_length(list.len(), &self));
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key()? {
            entries.insert(key, map.next_value_seed(Seed(self.1))?);
        }
        Ok(Value::Map(entries))
    }
}

/// A struct whose fields all have defaults.
struct Fields<'a>(&'a [Field]);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a struct")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values: Vec<_> = self
            .0
            .iter()
            .map(|field| Value::zero(&field.shape))
            .collect();
        while let Some(key) = map.next_key::<String>()? {
            match self.0.iter().position(|field| field.name == key) {
                Some(at) => values[at] = map.next_value_seed(Seed(&self.0[at].shape))?,
                None => {
                    map.next_value::<de::IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Struct(values))
    }
}
