//! The protobuf codec, by prost.

mod ignored;

use bytes::BytesMut;
use prost::Message;

pub(super) use self::ignored::ignore_body;
use super::registry::Choice;
use super::{BodyRef, Codec, CodecError, Codecs, FromBody, PROTOBUF, ToBody, nil};

/// Why a serde type is refused.
pub(super) const NO_MESSAGE: &str = "it carries prost messages only";
/// Why a prost message is refused.
const NOT_SERDE: &str = "a prost message without serde travels as protobuf only";

/// A prost message as a body.
///
/// Wrap it to send it (`Protobuf(&message)`) and to read it (`Protobuf<Message>`) where the type is
/// not seen by a macro. A handler may take and return it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protobuf<M>(pub M);

impl<M: Message> ToBody for &Protobuf<M> {
    fn encode_body(
        &self,
        codecs: &Codecs,
        codec: u8,
        dst: &mut BytesMut,
    ) -> Result<(), CodecError> {
        encode_message(codecs, codec, &self.0, dst)
    }
}

impl<M: Message> ToBody for Protobuf<&M> {
    fn encode_body(
        &self,
        codecs: &Codecs,
        codec: u8,
        dst: &mut BytesMut,
    ) -> Result<(), CodecError> {
        encode_message(codecs, codec, self.0, dst)
    }
}

impl<M: Message + Default> FromBody for Protobuf<M> {
    fn from_body(codecs: &Codecs, codec: u8, body: BodyRef<'_>) -> Result<Self, CodecError> {
        decode_message(codecs, codec, body).map(Self)
    }
}

/// The built-in protobuf codec, id `p`.
///
/// Prost messages never pass through this type: [`Codecs`] calls prost itself where it is
/// registered. What comes here is a serde value, of which protobuf can carry nothing but nothing:
/// `()`, `None` and structs without fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProtobufCodec;

impl Codec for ProtobufCodec {
    fn id(&self) -> u8 {
        PROTOBUF
    }

    fn name(&self) -> &'static str {
        "protobuf"
    }

    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
        _: &mut BytesMut,
    ) -> Result<(), CodecError> {
        if nil::is_empty_message(value) {
            Ok(())
        } else {
            Err(CodecError::unsupported_type::<dyn erased_serde::Serialize>(
                "protobuf", NO_MESSAGE,
            ))
        }
    }

    fn decode(
        &self,
        _: &[u8],
        seed: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError> {
        seed(&mut <dyn erased_serde::Deserializer<'_>>::erase(
            ignored::Ignored,
        ))
        .map_err(|error| CodecError::decode(format_args!("protobuf codec: {error}")))
    }
}

/// Appends a message, under the protobuf codec only.
#[inline]
pub(super) fn encode_message<M: Message>(
    codecs: &Codecs,
    codec: u8,
    message: &M,
    dst: &mut BytesMut,
) -> Result<(), CodecError> {
    match codecs.choose(codec) {
        Choice::Protobuf => encode(message, dst),
        _ => Err(refuse::<M>(codecs, codec)),
    }
}

/// Reads a message, under the protobuf codec only; an empty body is the default message.
#[inline]
pub(super) fn decode_message<M: Message + Default>(
    codecs: &Codecs,
    codec: u8,
    body: BodyRef<'_>,
) -> Result<M, CodecError> {
    if body.is_empty() {
        return Ok(M::default());
    }
    match codecs.choose(codec) {
        Choice::Protobuf => decode(body.as_slice()),
        _ => Err(refuse::<M>(codecs, codec)),
    }
}

#[inline]
pub(super) fn encode<M: Message>(message: &M, dst: &mut BytesMut) -> Result<(), CodecError> {
    message
        .encode(dst)
        .map_err(|error| CodecError::encode(format_args!("protobuf codec: {error}")))
}

#[inline]
pub(super) fn decode<M: Message + Default>(src: &[u8]) -> Result<M, CodecError> {
    M::decode(src).map_err(|error| CodecError::decode(format_args!("protobuf codec: {error}")))
}

#[cold]
fn refuse<M>(codecs: &Codecs, codec: u8) -> CodecError {
    match codecs.get(codec) {
        Some(known) => CodecError::unsupported_type::<M>(known.name(), NOT_SERDE),
        None => CodecError::unsupported_codec(codec),
    }
}
