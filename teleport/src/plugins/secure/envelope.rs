//! The body of an encrypted message: `Encrypt`, in the codec of the message itself.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::codec::{self, BodyRef, CodecError, Codecs, FromBody, ToBody};

/// What an encrypted body is: the version of its key, and the hex text of what it was encrypted to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) version: String,
    pub(super) ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Fields<'a> {
    #[serde(default, alias = "Cipherversion")]
    cipherversion: std::borrow::Cow<'a, str>,
    #[serde(default, alias = "Ciphertext")]
    ciphertext: std::borrow::Cow<'a, str>,
}

/// The original's form codec names a field without a tag of its own as the struct does.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FormFields<'a> {
    cipherversion: &'a str,
    ciphertext: &'a str,
}

#[cfg(feature = "protobuf")]
#[derive(Clone, PartialEq, ::prost::Message)]
struct Proto {
    #[prost(string, tag = "1")]
    cipherversion: String,
    #[prost(string, tag = "2")]
    ciphertext: String,
}

impl Envelope {
    /// Encodes it; a codec that cannot carry two texts by name says so.
    pub(super) fn pack(self, codecs: &Codecs, codec: u8) -> Result<Bytes, CodecError> {
        let mut body = BytesMut::new();
        let (cipherversion, ciphertext) = (self.version, self.ciphertext);
        match codec {
            #[cfg(feature = "protobuf")]
            codec::PROTOBUF => codec::Protobuf(&Proto {
                cipherversion,
                ciphertext,
            })
            .encode_body(codecs, codec, &mut body)?,
            codec::FORM => FormFields {
                cipherversion: &cipherversion,
                ciphertext: &ciphertext,
            }
            .encode_body(codecs, codec, &mut body)?,
            _ => Fields {
                cipherversion: cipherversion.into(),
                ciphertext: ciphertext.into(),
            }
            .encode_body(codecs, codec, &mut body)?,
        }
        Ok(body.freeze())
    }

    /// Reads one; what is missing in it is empty.
    pub(super) fn unpack(codecs: &Codecs, codec: u8, body: &Bytes) -> Result<Self, CodecError> {
        let body = BodyRef::shared(body);
        Ok(match codec {
            #[cfg(feature = "protobuf")]
            codec::PROTOBUF => {
                let codec::Protobuf(read) =
                    codec::Protobuf::<Proto>::from_body(codecs, codec, body)?;
                Self {
                    version: read.cipherversion,
                    ciphertext: read.ciphertext,
                }
            }
            _ => {
                let read = Fields::from_body(codecs, codec, body)?;
                Self {
                    version: read.cipherversion.into_owned(),
                    ciphertext: read.ciphertext.into_owned(),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn sample() -> Envelope {
        Envelope {
            version: "v1".to_owned(),
            ciphertext: "00ff".to_owned(),
        }
    }

    #[test]
    fn json_form_and_protobuf_carry_it_and_plain_says_that_it_cannot() {
        let codecs = Codecs::default();
        for (codec, due) in [
            (
                codec::JSON,
                &br#"{"cipherversion":"v1","ciphertext":"00ff"}"#[..],
            ),
            (codec::PROTOBUF, b"\x0a\x02v1\x12\x0400ff"),
            (codec::FORM, b"Ciphertext=00ff&Cipherversion=v1"),
        ] {
            let body = sample().pack(&codecs, codec).unwrap();
            assert_eq!(body, due, "{codec}");
            assert_eq!(Envelope::unpack(&codecs, codec, &body).unwrap(), sample());
        }
        let error = sample().pack(&codecs, codec::PLAIN).unwrap_err();
        assert!(error.to_string().contains("plain"), "{error}");
        assert!(sample().pack(&codecs, 7).is_err());
    }

    #[test]
    fn what_is_missing_is_empty_and_another_value_an_error() {
        let codecs = Codecs::default();
        let empty = Envelope::unpack(&codecs, codec::JSON, &Bytes::from_static(b"{}")).unwrap();
        assert_eq!((&*empty.version, &*empty.ciphertext), ("", ""));
        for bad in ["[1]", "7", "{", r#"{"ciphertext":7}"#] {
            let body = Bytes::from_static(bad.as_bytes());
            assert!(
                Envelope::unpack(&codecs, codec::JSON, &body).is_err(),
                "{bad}"
            );
        }
    }
}
