//! The urlencoded form codec.

mod de;
mod ser;

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fail::Fail;
use super::{Codec, CodecError, FORM};

const WHY: &str = "a form is a struct or a map of lists";
const NESTED: &str = "a form holds no structs, maps or lists of lists";

/// The built-in form codec, id `f`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FormCodec;

impl Codec for FormCodec {
    fn id(&self) -> u8 {
        FORM
    }

    fn name(&self) -> &'static str {
        "form"
    }

    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
        dst: &mut BytesMut,
    ) -> Result<(), CodecError> {
        encode(value, dst).map_err(|fail| CodecError::encode(format_args!("form codec: {fail}")))
    }

    fn decode(
        &self,
        src: &[u8],
        seed: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError> {
        let failed =
            |text: &dyn std::fmt::Display| CodecError::decode(format_args!("form codec: {text}"));
        let form = de::Form::parse(src).map_err(|fail| failed(&fail))?;
        seed(&mut <dyn erased_serde::Deserializer<'_>>::erase(
            form.reader(false),
        ))
        .map_err(|error| failed(&error))
    }
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T, dst: &mut BytesMut) -> Result<(), Fail> {
    let mut pairs = ser::Pairs::default();
    value.serialize(ser::Writer { pairs: &mut pairs })?;
    pairs.put(dst);
    Ok(())
}

/// Reads a form; fields that are missing and have no default are zero, since an empty list is
/// written as nothing.
pub(super) fn decode<T: DeserializeOwned>(src: &[u8]) -> Result<T, Fail> {
    let form = de::Form::parse(src)?;
    T::deserialize(form.reader(false)).or_else(|fail| {
        if !fail.is_missing_field() {
            return Err(fail);
        }
        T::deserialize(form.reader(true)).map_err(|_| fail)
    })
}

#[cfg(test)]
mod tests;
