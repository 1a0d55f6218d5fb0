//! The json codec: serde_json reads, and a serializer of our own writes what Go would.

mod base64;
mod de;
mod escape;
mod out;
mod ser;

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::de::{Lenient, Rules};
use super::fail::Fail;
use super::{Codec, CodecError, JSON};

/// The built-in json codec, id `j`.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonCodec;

impl Codec for JsonCodec {
    fn id(&self) -> u8 {
        JSON
    }

    fn name(&self) -> &'static str {
        "json"
    }

    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
        dst: &mut BytesMut,
    ) -> Result<(), CodecError> {
        encode(value, dst).map_err(|fail| CodecError::encode(format_args!("json codec: {fail}")))
    }

    fn decode(
        &self,
        src: &[u8],
        seed: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError> {
        let mut json = serde_json::Deserializer::from_slice(src);
        let lenient = Lenient::new(&mut json, Rules::default());
        seed(&mut <dyn erased_serde::Deserializer<'_>>::erase(lenient))
            .map_err(|error| CodecError::decode(format_args!("json codec: {error}")))?;
        json.end()
            .map_err(|error| CodecError::decode(format_args!("json codec: {error}")))
    }
}

/// Appends the value; `()` and `None` append nothing.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T, dst: &mut BytesMut) -> Result<(), Fail> {
    let start = dst.len();
    let mut json = ser::Serializer::new(dst);
    value.serialize(&mut json)?;
    json.finish();
    if dst.get(start..) == Some(b"null") {
        dst.truncate(start);
    }
    Ok(())
}

/// Reads one value; `fill` makes the fields of structs that are missing zero.
pub(super) fn decode<T: DeserializeOwned>(src: &[u8], fill: bool) -> Result<T, Fail> {
    let error = match read(src, Rules::default()) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // Filling knows nothing of defaults and aliases, so it is done only where it must be.
    if fill
        && error.is_data()
        && let Ok(value) = read(src, Rules { fill: true })
    {
        return Ok(value);
    }
    Err(Fail::other(error.to_string()))
}

fn read<T: DeserializeOwned>(src: &[u8], rules: Rules) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_slice(src);
    let value = T::deserialize(Lenient::new(&mut json, rules))?;
    json.end()?;
    Ok(value)
}

#[cfg(test)]
mod tests;
