//! Reads a protobuf body into a serde type, of which only those that hold nothing will do.

use serde::de::{self, DeserializeOwned, Visitor};

use super::super::fail::Fail;
use super::super::shapes::{read_units_and_wrapped, refuse_to_read};
use super::super::zero::Nothing;
use super::NO_MESSAGE as WHY;

pub(in super::super) fn ignore_body<T: DeserializeOwned>() -> Result<T, Fail> {
    T::deserialize(Ignored)
}

/// A body that nobody looks at.
pub(super) struct Ignored;

impl<'de> de::Deserializer<'de> for Ignored {
    type Error = Fail;

    refuse_to_read! { Fail::unsupported(WHY) => anything scalars strings lists maps enums }
    read_units_and_wrapped!();

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fail> {
        visitor.visit_some(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fail> {
        if !fields.is_empty() {
            return Err(Fail::unsupported(WHY));
        }
        visitor.visit_map(Nothing::new())
    }
}
