//! Good and bad bytes of each protocol, against the rows of `decode.json`.

use bytes::Bytes;
use serde_json::Value;
use teleport::{
    codec::{BodyRef, Codecs, FromBody, Protobuf, Raw},
    message::Frame,
    proto::Proto,
};
use teleport_tests::standard::spoken::Spoken;
use teleport_tests::vectors::{Check, Tally, bytes, left_out, load, pairs, same, text, unhex};

use crate::frames::{byte, env, ids, meta_of};

#[test]
fn decode_vectors() {
    let mut tally = Tally::new("decode");
    for row in &load("decode") {
        tally.row(row, check);
    }
    tally.finish();
}

fn check(row: &Value) -> Check {
    let name = text(&row["proto"]);
    let Some(spoken) = Spoken::of(name) else {
        return left_out(format!("the protocol {name} is not built yet"));
    };
    let env = env(row);
    let wire = unhex(text(&row["wire_hex"]));
    let mut unpack = spoken.proto().split().1;
    let read = match unpack.unpack(&env, &wire, false) {
        // The stream of a row ends where its bytes do.
        Ok(None) => Err("the frame is incomplete".to_owned()),
        Ok(Some((frame, used))) => {
            if let Some(decoded) = decoded(row) {
                same_head(decoded, &frame)?;
                same("bytes used", Value::from(used), row["consumed"].clone())?;
            }
            if row["target"] == "string" && str::from_utf8(frame.body).is_err() {
                same(
                    "body",
                    Some(frame.body),
                    bytes(&row["decoded"], "body").as_deref(),
                )?;
                return left_out("its body is compared as bytes: strings here are UTF-8");
            }
            read_body(row, &env.codecs, &frame)
        }
        Err(error) => Err(error.to_string()),
    };
    match (text(&row["recommended_outcome"]), read) {
        ("ok", Ok(body)) => same_body(&row["decoded"], body),
        ("ok", Err(error)) => Err(format!("refused: {error}").into()),
        ("error", Ok(body)) => Err(format!("read, with the body {body:?}").into()),
        ("error", Err(error)) => same("empty error", error.is_empty(), false),
        ("either", _) => Ok(()),
        (outcome, _) => Err(format!("unknown outcome {outcome}").into()),
    }
}

/// What a row says of the head, also when the body cannot be read.
fn decoded(row: &Value) -> Option<&Value> {
    [&row["decoded"], &row["decoded_header"]]
        .into_iter()
        .find(|said| said.is_object())
}

fn same_head(said: &Value, frame: &Frame<'_>) -> Check {
    let head = &frame.head;
    same("seq", Some(head.seq), bytes(said, "seq").as_deref())?;
    same("mtype", head.mtype.0, byte(&said["mtype"])?)?;
    same("uri", Some(head.uri), bytes(said, "uri").as_deref())?;
    same("meta", Some(meta_of(head)), pairs(said, "meta"))?;
    same("body codec", head.body_codec, byte(&said["body_codec"])?)?;
    same("xfer", head.xfer, &ids(&said["xfer"])?[..])
}

/// A body, as the target of a row takes it.
#[derive(Debug)]
enum Target {
    Nothing,
    Bytes(Vec<u8>),
    Value(Value),
}

/// The message of the original's tests.
#[derive(Clone, PartialEq, prost::Message, serde::Deserialize)]
#[serde(default)]
struct PbTest {
    #[prost(int32, tag = "1")]
    a: i32,
    #[prost(int32, tag = "2")]
    b: i32,
}

fn read_body(row: &Value, codecs: &Codecs, frame: &Frame<'_>) -> Result<Target, String> {
    let (codec, body) = (frame.head.body_codec, BodyRef::new(frame.body));
    let value = |value: Value| Target::Value(value);
    let read = match (text(&row["target"]), codec) {
        ("none", _) => Ok(Target::Nothing),
        ("bytes", _) => {
            Raw::<Bytes>::from_body(codecs, codec, body).map(|raw| Target::Bytes(raw.0.to_vec()))
        }
        ("value", _) => Value::from_body(codecs, codec, body).map(value),
        ("int", _) => i64::from_body(codecs, codec, body).map(|int| value(int.into())),
        ("string", _) => String::from_body(codecs, codec, body).map(|text| value(text.into())),
        ("pb", b'p') => Protobuf::<PbTest>::from_body(codecs, codec, body)
            .map(|Protobuf(pb)| value(serde_json::json!({"a": pb.a, "b": pb.b}))),
        ("pb", _) => PbTest::from_body(codecs, codec, body)
            .map(|pb| value(serde_json::json!({"a": pb.a, "b": pb.b}))),
        (target, _) => return Err(format!("unknown target {target}")),
    };
    read.map_err(|error| error.to_string())
}

fn same_body(said: &Value, body: Target) -> Check {
    match body {
        Target::Nothing => same("body", &Value::Null, &said["body"]),
        Target::Bytes(body) => {
            let due = bytes(said, "body");
            if is_same_number(&body, due.as_deref()) {
                return Ok(());
            }
            same("body", Some(body), due)
        }
        Target::Value(body) => same("body", &body, &said["body"]),
    }
}

/// Whether a body that is a bare number is meant. The original writes it anew; here it stays as it
/// stands, so that no digit is lost.
fn is_same_number(body: &[u8], due: Option<&[u8]>) -> bool {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    number(body).is_some() && number(body) == due.and_then(number)
}
