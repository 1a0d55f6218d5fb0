//! What macro output relies on: the choice by type, under a crate that is as unhelpful as it can
//! be to macros (no prelude, another name for `teleport`, strict lints).
#![no_implicit_prelude]
#![deny(
    warnings,
    unused_qualifications,
    trivial_casts,
    single_use_lifetimes,
    clippy::all,
    clippy::pedantic
)]

extern crate teleport as wire_up;

use ::bytes::{Bytes, BytesMut};
use ::core::assert_eq;
use ::std::convert::{From, Into};
use ::std::default::Default;
use ::std::option::Option::{self, None, Some};
use ::std::result::Result::{self, Err, Ok};
use ::std::string::{String, ToString};
use ::std::vec::Vec;

use wire_up::__private::{BodyRef, ReplyBody, Rerror, decode_arg, outcome, push_outcome};
use wire_up::codec::{
    CodecError, CodecErrorKind, Codecs, FORM, JSON, NONE, PLAIN, PROTOBUF, Protobuf, Raw,
};

#[derive(Clone, PartialEq, ::prost::Message, ::serde::Serialize, ::serde::Deserialize)]
struct Both {
    #[prost(int32, tag = "1")]
    a: i32,
    #[prost(int32, tag = "2")]
    b: i32,
}

#[derive(Clone, PartialEq, ::prost::Message)]
struct MessageOnly {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, Debug, Default, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
struct SerdeOnly {
    name: String,
}

#[derive(Debug)]
struct OwnError;

impl From<OwnError> for Rerror {
    fn from(_: OwnError) -> Self {
        Self::new(7, "own", "")
    }
}

macro_rules! read {
    ($ty:ty, $codec:expr, $body:expr) => {{
        let result: Result<$ty, CodecError> =
            decode_arg!($ty, &Codecs::default(), $codec, BodyRef::new($body));
        result
    }};
}

/// The bytes and whether they were taken as they are.
fn written(body: impl ReplyBody, codec: u8) -> Result<(Vec<u8>, bool), CodecError> {
    let mut body = body;
    if let Some(bytes) = body.take_bytes() {
        return Ok((bytes.into(), true));
    }
    let mut dst = BytesMut::new();
    body.encode(&Codecs::default(), codec, &mut dst)?;
    Ok((dst.into(), false))
}

macro_rules! write {
    ($value:expr, $codec:expr) => {
        written(outcome!($value).unwrap(), $codec)
    };
}

#[test]
fn arguments_are_read_by_their_type() {
    assert_eq!(read!(Bytes, 200, b"raw").unwrap(), &b"raw"[..]);
    assert_eq!(read!(Vec<u8>, NONE, b"raw").unwrap(), b"raw");
    assert_eq!(read!(i64, JSON, b"5").unwrap(), 5);
    assert_eq!(read!(String, PLAIN, b"text").unwrap(), "text");
    assert_eq!(read!(Vec<i64>, JSON, b"[1,2]").unwrap().len(), 2);
    assert_eq!(
        read!(Both, PROTOBUF, b"\x08\x0a\x10\x02").unwrap(),
        Both { a: 10, b: 2 }
    );
    assert_eq!(
        read!(Both, JSON, b"{\"a\":10}").unwrap(),
        Both { a: 10, b: 0 }
    );
    assert_eq!(read!(Both, FORM, b"b=1").unwrap(), Both { a: 0, b: 1 });
    assert_eq!(read!(MessageOnly, PROTOBUF, b"\n\x01x").unwrap().name, "x");
    assert_eq!(
        read!(SerdeOnly, JSON, b"{\"name\":\"x\"}").unwrap().name,
        "x"
    );
    assert_eq!(read!(Raw<Bytes>, JSON, b"x").unwrap().0, &b"x"[..]);
    assert_eq!(
        read!(Protobuf<MessageOnly>, PROTOBUF, b"\n\x01x")
            .unwrap()
            .0
            .name,
        "x"
    );
    read!((), JSON, b"{\"ignored\":1}").unwrap();
}

#[test]
fn an_empty_body_is_zero_under_any_codec() {
    assert_eq!(read!(Both, 200, b"").unwrap(), Both::default());
    assert_eq!(
        read!(MessageOnly, JSON, b"").unwrap(),
        MessageOnly::default()
    );
    assert_eq!(read!(SerdeOnly, NONE, b"").unwrap(), SerdeOnly::default());
    assert_eq!(read!(Option<Both>, JSON, b"").unwrap(), None);
    assert_eq!(read!(f64, PLAIN, b"").unwrap().to_bits(), 0);
}

#[test]
fn an_unsupported_pair_names_codec_and_type() {
    for (error, text) in [
        (
            read!(i64, PROTOBUF, b"\x08\x01").unwrap_err(),
            "protobuf codec: unsupported type i64",
        ),
        (
            read!(MessageOnly, JSON, b"{}").unwrap_err(),
            "json codec: unsupported type MessageOnly",
        ),
        (
            read!(SerdeOnly, PLAIN, b"x").unwrap_err(),
            "plain codec: unsupported type SerdeOnly",
        ),
        (
            write!(SerdeOnly::default(), PROTOBUF).unwrap_err(),
            "protobuf codec: unsupported type SerdeOnly",
        ),
        (
            write!(MessageOnly::default(), FORM).unwrap_err(),
            "form codec: unsupported type MessageOnly",
        ),
    ] {
        assert_eq!(error.kind(), CodecErrorKind::UnsupportedType);
        ::core::assert!(error.to_string().starts_with(text), "{error}");
    }
    let error = read!(i64, 200, b"1").unwrap_err();
    assert_eq!(error.to_string(), "unsupported codec id: 200");
}

#[test]
fn results_are_written_by_their_type() {
    assert_eq!(
        write!(Bytes::from("raw"), 200).unwrap(),
        (b"raw".to_vec(), true)
    );
    assert_eq!(
        write!(b"raw".to_vec(), JSON).unwrap(),
        (b"raw".to_vec(), true)
    );
    assert_eq!(
        write!(Raw(Bytes::from("raw")), JSON).unwrap(),
        (b"raw".to_vec(), true)
    );
    assert_eq!(write!(Raw("raw"), JSON).unwrap(), (b"raw".to_vec(), false));
    assert_eq!(write!(5_i64, JSON).unwrap().0, b"5");
    assert_eq!(write!("text", JSON).unwrap().0, b"\"text\"");
    assert_eq!(write!(String::from("text"), PLAIN).unwrap().0, b"text");
    assert_eq!(write!((), NONE).unwrap().0, b"");
    assert_eq!(write!(None::<i32>, JSON).unwrap().0, b"");
    assert_eq!(
        write!(Both { a: 10, b: 2 }, PROTOBUF).unwrap().0,
        b"\x08\x0a\x10\x02"
    );
    assert_eq!(
        write!(Both { a: 10, b: 2 }, JSON).unwrap().0,
        b"{\"a\":10,\"b\":2}"
    );
    assert_eq!(write!(Both { a: 10, b: 2 }, FORM).unwrap().0, b"a=10&b=2");
    let message = || MessageOnly {
        name: "x".to_string(),
    };
    assert_eq!(write!(message(), PROTOBUF).unwrap().0, b"\n\x01x");
    assert_eq!(write!(Protobuf(message()), PROTOBUF).unwrap().0, b"\n\x01x");
}

#[test]
fn handlers_may_fail_or_not() {
    let fails: Result<i32, OwnError> = Err(OwnError);
    assert_eq!(outcome!(fails).err().map(|error| error.code()), Some(7));
    let works: Result<i32, OwnError> = Ok(5);
    assert_eq!(write!(works, JSON).unwrap().0, b"5");
    let direct: Result<(), Rerror> = Err(Rerror::new(8, "direct", ""));
    assert_eq!(
        push_outcome!(direct).err().map(|error| error.code()),
        Some(8)
    );
    let pushed: Result<(), OwnError> = Err(OwnError);
    assert_eq!(
        push_outcome!(pushed).err().map(|error| error.code()),
        Some(7)
    );
    push_outcome!(()).unwrap();
}

/// In a generic handler the bounds decide.
fn generic<T: ::serde::de::DeserializeOwned + ::serde::Serialize + ::core::marker::Send>(
    body: &[u8],
) -> Vec<u8> {
    let value: T = read!(T, JSON, body).unwrap();
    write!(value, JSON).unwrap().0
}

#[test]
fn generic_types_work() {
    assert_eq!(
        generic::<SerdeOnly>(b"{\"name\":\"x\"}"),
        b"{\"name\":\"x\"}"
    );
    assert_eq!(generic::<Vec<u8>>(b"[1]"), b"[1]");
}
