//! Values that are nothing: `()` and `None` are an empty body under any codec.

use serde::ser::{Serialize, Serializer};

use super::fail::Fail;
use super::shapes::{refuse_to_write, write_wrapped};

const WHY: &str = "the value is something";

/// Whether the value is `()`, `None` or a wrapper of these.
pub(super) fn is_nil<T: Serialize + ?Sized>(value: &T) -> bool {
    value
        .serialize(Nil {
            empty_struct: false,
        })
        .is_ok()
}

/// The same, and structs without fields: protobuf's empty message.
#[cfg(feature = "protobuf")]
pub(super) fn is_empty_message<T: Serialize + ?Sized>(value: &T) -> bool {
    value.serialize(Nil { empty_struct: true }).is_ok()
}

struct Nil {
    empty_struct: bool,
}

impl Serializer for Nil {
    type Ok = ();
    type Error = Fail;
    type SerializeStruct = NoFields;

    write_wrapped!();
    refuse_to_write! { Fail::unsupported(WHY) =>
        scalars strings bytes lists maps unit_variants full_variants
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

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<NoFields, Fail> {
        if self.empty_struct && len == 0 {
            Ok(NoFields)
        } else {
            Err(Fail::unsupported(WHY))
        }
    }
}

struct NoFields;

impl serde::ser::SerializeStruct for NoFields {
    type Ok = ();
    type Error = Fail;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Fail> {
        Err(Fail::unsupported(WHY))
    }

    fn end(self) -> Result<(), Fail> {
        Ok(())
    }
}
