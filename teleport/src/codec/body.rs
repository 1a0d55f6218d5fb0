//! Bodies and the types that can be one.

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::registry::Choice;
use super::{CodecError, Codecs, nil, zero};

/// The body of a received message, as a decoder sees it.
#[derive(Clone, Copy, Debug)]
pub struct BodyRef<'a> {
    bytes: &'a [u8],
    shared: Option<&'a Bytes>,
}

impl<'a> BodyRef<'a> {
    /// A body that lies somewhere in a buffer.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            shared: None,
        }
    }

    /// A body that can be kept without a copy.
    #[must_use]
    pub fn shared(bytes: &'a Bytes) -> Self {
        Self {
            bytes,
            shared: Some(bytes),
        }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_slice(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes to keep, without a copy where the body is shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self.shared {
            Some(bytes) => bytes.clone(),
            None => Bytes::copy_from_slice(self.bytes),
        }
    }

    /// Whether there is no byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl<'a> From<&'a [u8]> for BodyRef<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(bytes)
    }
}

impl<'a> From<&'a Bytes> for BodyRef<'a> {
    fn from(bytes: &'a Bytes) -> Self {
        Self::shared(bytes)
    }
}

/// A value that can be sent as a body.
///
/// Every serde type is one as it is, a prost message as `Protobuf(&message)`, and ready bytes as
/// `Raw(bytes)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a body",
    label = "neither a serde type, nor `Protobuf`, nor `Raw`",
    note = "derive `serde::Serialize` for it, or send a prost message as `Protobuf(&message)`, \
            or ready bytes as `Raw(bytes)`"
)]
pub trait ToBody: Send + Sync {
    /// Appends the value in the codec with the id.
    ///
    /// # Errors
    ///
    /// The codec is not known, cannot carry the type, or cannot write this value. Then `dst` is as
    /// it was.
    fn encode_body(&self, codecs: &Codecs, codec: u8, dst: &mut BytesMut)
    -> Result<(), CodecError>;

    /// The body, where it is ready and shared.
    fn as_bytes(&self) -> Option<&Bytes> {
        None
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + Send + Sync + ?Sized> ToBody for T {
    #[inline]
    fn encode_body(
        &self,
        codecs: &Codecs,
        codec: u8,
        dst: &mut BytesMut,
    ) -> Result<(), CodecError> {
        encode_serde(codecs, codec, self, dst)
    }
}

/// A value that a body can be read into.
///
/// Every owned serde type is one as it is, a prost message as `Protobuf<Message>`, and the bytes
/// themselves come as `Raw<Bytes>`.
#[diagnostic::on_unimplemented(
    message = "a body cannot be read into `{Self}`",
    label = "neither an owned serde type, nor `Protobuf`, nor `Raw`",
    note = "derive `serde::Deserialize` for it, or read a prost message as `Protobuf<Message>`, \
            or the bytes as `Raw<Bytes>`",
    note = "if it is `!` or `_`, say what the reply is: `call::<T>(..)` or `let reply: T = ..`"
)]
pub trait FromBody: Sized + Send {
    /// Reads the body, which is in the codec with the id.
    ///
    /// # Errors
    ///
    /// The codec is not known, cannot carry the type, or cannot read these bytes; or the body is
    /// empty and the type has no zero value.
    fn from_body(codecs: &Codecs, codec: u8, body: BodyRef<'_>) -> Result<Self, CodecError>;
}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + Send> FromBody for T {
    #[inline]
    fn from_body(codecs: &Codecs, codec: u8, body: BodyRef<'_>) -> Result<Self, CodecError> {
        decode_serde(codecs, codec, body)
    }
}

/// Bytes that are a body as they are, whatever the codec id says.
///
/// Sent from `Bytes`, `Vec<u8>`, `String`, arrays and references to these; received as
/// `Raw<Bytes>`, which may share the buffer that was read, or `Raw<Vec<u8>>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Raw<B>(pub B);

impl ToBody for Raw<Bytes> {
    fn encode_body(&self, _: &Codecs, _: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
        dst.extend_from_slice(&self.0);
        Ok(())
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        Some(&self.0)
    }
}

impl ToBody for Raw<&Bytes> {
    fn encode_body(&self, _: &Codecs, _: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
        dst.extend_from_slice(self.0);
        Ok(())
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        Some(self.0)
    }
}

macro_rules! raw {
    ($($(const $len:ident)? $ty:ty),* $(,)?) => {
        $(impl$(<const $len: usize>)? ToBody for Raw<$ty> {
            fn encode_body(&self, _: &Codecs, _: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
                dst.extend_from_slice(self.0.as_ref());
                Ok(())
            }
        })*
    };
}

raw! {
    Vec<u8>, &Vec<u8>, &[u8], String, &String, &str, BytesMut, &BytesMut,
    const N [u8; N], const N &[u8; N],
}

impl FromBody for Raw<Bytes> {
    fn from_body(_: &Codecs, _: u8, body: BodyRef<'_>) -> Result<Self, CodecError> {
        Ok(Self(body.to_bytes()))
    }
}

impl FromBody for Raw<Vec<u8>> {
    fn from_body(_: &Codecs, _: u8, body: BodyRef<'_>) -> Result<Self, CodecError> {
        Ok(Self(body.as_slice().to_vec()))
    }
}

/// Appends a serde value; after an error `dst` is as it was.
#[inline]
pub(super) fn encode_serde<T: Serialize + ?Sized>(
    codecs: &Codecs,
    codec: u8,
    value: &T,
    dst: &mut BytesMut,
) -> Result<(), CodecError> {
    let start = dst.len();
    let done = match codecs.choose(codec) {
        #[cfg(feature = "json")]
        Choice::Json => super::json::encode(value, dst)
            .map_err(|fail| CodecError::encode_failed::<T>("json", &fail)),
        #[cfg(feature = "plain")]
        Choice::Plain => super::plain::encode(value, dst)
            .map_err(|fail| CodecError::encode_failed::<T>("plain", &fail)),
        #[cfg(feature = "form")]
        Choice::Form => super::form::encode(value, dst)
            .map_err(|fail| CodecError::encode_failed::<T>("form", &fail)),
        #[cfg(feature = "protobuf")]
        Choice::Protobuf => {
            if nil::is_empty_message(value) {
                Ok(())
            } else {
                Err(CodecError::unsupported_type::<T>(
                    "protobuf",
                    super::protobuf::NO_MESSAGE,
                ))
            }
        }
        // Nothing is an empty body, which no codec sees, so that none need be known.
        Choice::Own(_) | Choice::Unknown if nil::is_nil(value) => Ok(()),
        Choice::Own(own) => own.encode(&value, dst),
        Choice::Unknown => Err(CodecError::unsupported_codec(codec)),
    };
    if done.is_err() {
        dst.truncate(start);
    }
    done
}

/// Reads a serde value.
#[inline]
pub(super) fn decode_serde<T: DeserializeOwned>(
    codecs: &Codecs,
    codec: u8,
    body: BodyRef<'_>,
) -> Result<T, CodecError> {
    decode(codecs, codec, body, false)
}

/// Reads a serde value; `fill` makes the fields that JSON leaves out zero.
#[inline]
pub(super) fn decode<T: DeserializeOwned>(
    codecs: &Codecs,
    codec: u8,
    body: BodyRef<'_>,
    fill: bool,
) -> Result<T, CodecError> {
    let src = body.as_slice();
    if src.is_empty() {
        return zero::zero();
    }
    let _ = fill;
    match codecs.choose(codec) {
        #[cfg(feature = "json")]
        Choice::Json => super::json::decode(src, fill)
            .map_err(|fail| CodecError::decode_failed::<T>("json", &fail)),
        #[cfg(feature = "plain")]
        Choice::Plain => {
            super::plain::decode(src).map_err(|fail| CodecError::decode_failed::<T>("plain", &fail))
        }
        #[cfg(feature = "form")]
        Choice::Form => {
            super::form::decode(src).map_err(|fail| CodecError::decode_failed::<T>("form", &fail))
        }
        #[cfg(feature = "protobuf")]
        Choice::Protobuf => super::protobuf::ignore_body()
            .map_err(|fail| CodecError::decode_failed::<T>("protobuf", &fail)),
        Choice::Own(own) => {
            let mut value = None;
            own.decode(src, &mut |reader| {
                value = Some(erased_serde::deserialize(reader)?);
                Ok(())
            })?;
            value.ok_or_else(|| CodecError::decode(format_args!("{} codec: no value", own.name())))
        }
        Choice::Unknown => Err(CodecError::unsupported_codec(codec)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    #[cfg(feature = "json")]
    use super::super::CodecErrorKind;
    use super::super::JSON;
    use super::*;

    #[test]
    fn raw_bytes_pass_under_any_codec() {
        let codecs = Codecs::empty();
        let mut dst = BytesMut::new();
        let bytes = Bytes::from_static(b"1");
        Raw(bytes.clone())
            .encode_body(&codecs, 0, &mut dst)
            .unwrap();
        Raw(&bytes).encode_body(&codecs, 200, &mut dst).unwrap();
        Raw(b"2").encode_body(&codecs, JSON, &mut dst).unwrap();
        Raw("3").encode_body(&codecs, JSON, &mut dst).unwrap();
        Raw(vec![b'4'])
            .encode_body(&codecs, JSON, &mut dst)
            .unwrap();
        Raw(&[b'5'][..])
            .encode_body(&codecs, JSON, &mut dst)
            .unwrap();
        assert_eq!(dst, "112345");
        assert_eq!(Raw(bytes.clone()).as_bytes(), Some(&bytes));
        assert_eq!(Raw("3").as_bytes(), None);
        let shared = Raw::<Bytes>::from_body(&codecs, 7, BodyRef::shared(&bytes)).unwrap();
        assert_eq!(shared.0.as_ptr(), bytes.as_ptr());
        assert_eq!(
            Raw::<Vec<u8>>::from_body(&codecs, 7, BodyRef::new(b"x"))
                .unwrap()
                .0,
            b"x"
        );
    }

    #[cfg(feature = "json")]
    #[test]
    fn an_error_leaves_the_buffer_as_it_was() {
        let mut dst = BytesMut::from("before");
        let error = [1.0, f64::NAN]
            .encode_body(&Codecs::default(), JSON, &mut dst)
            .unwrap_err();
        assert_eq!(error.kind(), CodecErrorKind::Encode);
        assert_eq!(dst, "before");
    }

    #[cfg(feature = "json")]
    #[test]
    fn unsized_and_dynamic_values_can_be_bodies() {
        let codecs = Codecs::default();
        let mut dst = BytesMut::new();
        let bodies: [&dyn ToBody; 4] = [&"a", &[1, 2][..].to_vec(), &Raw("!"), &()];
        for body in bodies {
            body.encode_body(&codecs, JSON, &mut dst).unwrap();
        }
        let list: &[i32] = &[3];
        list.encode_body(&codecs, JSON, &mut dst).unwrap();
        assert_eq!(dst, "\"a\"[1,2]![3]");
    }

    #[cfg(feature = "json")]
    #[test]
    fn bodies_that_cannot_be_read_say_why() {
        let error = i64::from_body(&Codecs::default(), JSON, BodyRef::new(b"x")).unwrap_err();
        assert_eq!(error.kind(), CodecErrorKind::Decode);
        assert_eq!(
            error.to_string(),
            "json codec: expected value at line 1 column 1"
        );
    }
}
