//! Calls of the standard routes: what goes in and what comes out, by path.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use teleport::codec::{
    BodyRef, CodecError, Codecs, FORM, FromBody, JSON, PLAIN, PROTOBUF, Protobuf, Raw, ToBody,
};
use teleport::message::{Seq, Uri};
use teleport::{Error, Session};

use super::routes::PbTest;
use crate::vectors::{Pairs, hex};

/// What an argument or a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A list of integers.
    Ints,
    /// An integer.
    Int,
    /// A text.
    Text,
    /// A [`PbTest`].
    PbTest,
    /// The body as it is.
    Bytes,
    /// Whatever the codec says that it is.
    Any,
}

/// The path of a uri, in lower case.
fn route(uri: &[u8]) -> String {
    Uri::new(uri).path().to_lowercase()
}

/// What the route takes.
pub fn kind_of_arg(uri: &[u8]) -> Kind {
    match route(uri).as_str() {
        "/math/add" => Kind::Ints,
        "/test/sleep" => Kind::Int,
        "/test/div" | "/test/pb_add" => Kind::PbTest,
        "/test/bytes" => Kind::Bytes,
        "/test/echo" | "/test/fail" | "/test/boom" | "/test/nothing" | "/test/meta_echo"
        | "/test/pipe_add" | "/test/codec_set" | "/test/call_back" | "/client/hello"
        | "/push/status" | "/push/fail" | "/push/boom" => Kind::Text,
        _ => Kind::Any,
    }
}

/// What the route answers with.
pub fn kind_of_result(uri: &[u8]) -> Kind {
    match route(uri).as_str() {
        "/math/add" | "/test/sleep" | "/test/div" | "/bind/divide" => Kind::Int,
        "/test/pb_add" => Kind::PbTest,
        "/test/bytes" => Kind::Bytes,
        "/test/echo" | "/test/fail" | "/test/boom" | "/test/meta_echo" | "/test/pipe_add"
        | "/test/codec_set" | "/test/call_back" | "/client/hello" => Kind::Text,
        _ => Kind::Any,
    }
}

/// An argument.
#[derive(Clone, Debug)]
pub enum Arg {
    /// A list of integers.
    Ints(Vec<i64>),
    /// An integer.
    Int(i64),
    /// A text.
    Text(String),
    /// A message that is protobuf or serde, as the codec has it.
    PbTest(PbTest),
    /// Any JSON value.
    Value(Value),
    /// The body as it is.
    Raw(Bytes),
}

impl ToBody for Arg {
    fn encode_body(
        &self,
        codecs: &Codecs,
        codec: u8,
        dst: &mut BytesMut,
    ) -> Result<(), CodecError> {
        match self {
            Self::Ints(numbers) => numbers.encode_body(codecs, codec, dst),
            Self::Int(number) => number.encode_body(codecs, codec, dst),
            Self::Text(text) => text.encode_body(codecs, codec, dst),
            Self::PbTest(message) if codec == PROTOBUF => {
                Protobuf(message).encode_body(codecs, codec, dst)
            }
            Self::PbTest(message) => message.encode_body(codecs, codec, dst),
            Self::Value(value) => value.encode_body(codecs, codec, dst),
            Self::Raw(bytes) => Raw(bytes).encode_body(codecs, codec, dst),
        }
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Raw(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl Arg {
    /// The argument of a call line, for the codec that it is to be sent in.
    ///
    /// # Errors
    ///
    /// The codec cannot carry it; the text says what it can.
    pub fn of_json(uri: &[u8], codec: u8, arg: &Value) -> Result<Self, String> {
        match (codec, arg) {
            (_, Value::Null) => Ok(Self::Raw(Bytes::new())),
            (JSON | FORM, value) => Ok(Self::Value(value.clone())),
            (PLAIN, Value::String(text)) => Ok(Self::Text(text.clone())),
            (PLAIN, value) => Ok(Self::Value(value.clone())),
            (PROTOBUF, Value::Object(_)) if kind_of_arg(uri) == Kind::PbTest => {
                serde_json::from_value(arg.clone())
                    .map(Self::PbTest)
                    .map_err(|error| format!("arg is no {{a, b}}: {error}"))
            }
            (PROTOBUF, _) => Err(
                "with codec protobuf, arg is {\"a\":..,\"b\":..} for /test/div and /test/pb_add, \
                 or null"
                    .to_owned(),
            ),
            (_, Value::String(text)) => Ok(Self::Raw(text.clone().into())),
            _ => Err(format!("with codec {codec}, arg is a text, sent as it is")),
        }
    }

    /// A recorded body as the argument that it must have been made of; the bytes themselves where
    /// that cannot be told.
    pub fn of_body(codecs: &Codecs, uri: &[u8], codec: u8, body: &[u8]) -> Self {
        let read = BodyRef::new(body);
        let typed = match kind_of_arg(uri) {
            Kind::Ints => Vec::from_body(codecs, codec, read).map(Self::Ints),
            Kind::Int => i64::from_body(codecs, codec, read).map(Self::Int),
            Kind::Text => String::from_body(codecs, codec, read).map(Self::Text),
            Kind::PbTest => AnyPbTest::from_body(codecs, codec, read).map(|m| Self::PbTest(m.0)),
            Kind::Bytes | Kind::Any => return Self::Raw(Bytes::copy_from_slice(body)),
        };
        let mut again = BytesMut::new();
        match typed {
            Ok(arg) if arg.encode_body(codecs, codec, &mut again).is_ok() && again == body => arg,
            _ => Self::Raw(Bytes::copy_from_slice(body)),
        }
    }
}

/// A [`PbTest`] out of protobuf or whatever else the codec says.
struct AnyPbTest(PbTest);

impl FromBody for AnyPbTest {
    fn from_body(codecs: &Codecs, codec: u8, body: BodyRef<'_>) -> Result<Self, CodecError> {
        if codec == PROTOBUF {
            return Protobuf::from_body(codecs, codec, body).map(|message| Self(message.0));
        }
        PbTest::from_body(codecs, codec, body).map(Self)
    }
}

/// A call or push that is to be made.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Path and query.
    pub uri: String,
    /// The argument.
    pub arg: Arg,
    /// The codec of the body.
    pub codec: u8,
    /// Metadata, in order.
    pub meta: Pairs,
    /// Transfer filters, outermost first.
    pub xfer: Vec<u8>,
    /// The sequence text, if it is set by hand.
    pub seq: Option<Vec<u8>>,
}

/// What a call was answered with.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The result.
    pub result: Shown,
    /// The codec of the body.
    pub body_codec: u8,
    /// The metadata.
    pub meta: Pairs,
}

/// A result that can be shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// As JSON.
    Json(Value),
    /// Bytes that are neither JSON nor text.
    Bytes(Bytes),
}

impl Shown {
    /// The object of a result line.
    pub fn to_line(&self) -> Value {
        match self {
            Self::Json(value) => json!({ "result": value }),
            Self::Bytes(bytes) => json!({ "result_hex": hex(bytes) }),
        }
    }

    fn text(bytes: &Bytes) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Json(text.into()),
            Err(_) => Self::Bytes(bytes.clone()),
        }
    }

    /// What the codec makes of a body of unknown type.
    fn any(codec: u8, bytes: &Bytes) -> Self {
        match codec {
            _ if bytes.is_empty() => Self::Json(Value::Null),
            JSON => match serde_json::from_slice(bytes) {
                Ok(value) => Self::Json(value),
                Err(_) => Self::Bytes(bytes.clone()),
            },
            PROTOBUF => Self::Bytes(bytes.clone()),
            _ => Self::text(bytes),
        }
    }
}

/// Makes a call and waits for its answer, of the kind that is wanted.
///
/// # Errors
///
/// Those of the call; [`ErrorKind::Decode`](teleport::ErrorKind::Decode) when the answer is of
/// another kind.
pub async fn call(session: &Session, spec: &Spec, kind: Kind) -> Result<Answer, Error> {
    match kind {
        Kind::Int => run(session, spec, |_, number: i64| Shown::Json(number.into())).await,
        Kind::Text => run(session, spec, |_, text: String| Shown::Json(text.into())).await,
        Kind::PbTest => {
            run(session, spec, |_, AnyPbTest(PbTest { a, b })| {
                Shown::Json(json!({ "a": a, "b": b }))
            })
            .await
        }
        Kind::Ints => run(session, spec, |_, list: Vec<i64>| Shown::Json(list.into())).await,
        Kind::Bytes => {
            run(session, spec, |_, Raw(bytes): Raw<Bytes>| {
                Shown::text(&bytes)
            })
            .await
        }
        Kind::Any => {
            run(session, spec, |codec, Raw(bytes): Raw<Bytes>| {
                Shown::any(codec, &bytes)
            })
            .await
        }
    }
}

async fn run<R: FromBody>(
    session: &Session,
    spec: &Spec,
    show: impl FnOnce(u8, R) -> Shown,
) -> Result<Answer, Error> {
    let mut call = session
        .call::<R>(&spec.uri, spec.arg.clone())
        .body_codec(spec.codec)
        .xfer(&spec.xfer);
    for (key, value) in &spec.meta {
        call = call.meta(key, value);
    }
    if let Some(seq) = &spec.seq {
        call = call.seq(Seq::from(seq.as_slice()));
    }
    let reply = call.send().await?.reply().await?;
    Ok(Answer {
        result: show(reply.body_codec, reply.body),
        body_codec: reply.body_codec,
        meta: reply
            .meta
            .iter()
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect(),
    })
}

/// Makes a push.
///
/// # Errors
///
/// Those of the push.
pub async fn push(session: &Session, spec: &Spec) -> Result<(), Error> {
    let mut push = session
        .push(&spec.uri, spec.arg.clone())
        .body_codec(spec.codec)
        .xfer(&spec.xfer);
    for (key, value) in &spec.meta {
        push = push.meta(key, value);
    }
    if let Some(seq) = &spec.seq {
        push = push.seq(Seq::from(seq.as_slice()));
    }
    push.await
}
