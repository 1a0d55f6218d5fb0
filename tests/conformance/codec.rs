//! The body codecs against `codec.json`.
//!
//! A row names a Go type; `shape` reads that name, and `value` is a value of such a type that
//! serde can write and read. The few protobuf types are written out in `messages`.

mod messages;
mod properties;
mod shape;
mod value;

use bytes::BytesMut;
use serde_json::Value as Json;
use teleport::codec::{BodyRef, CodecError, Codecs, FORM, FromBody, JSON, PLAIN, PROTOBUF, ToBody};
use teleport_tests::vectors::{Check, Miss, hex, left_out, load, run, same, text, unhex};

use self::shape::{Shape, Shapes};
use self::value::{Typed, Value, with_shape};

#[test]
fn codec_vectors() {
    let rows = load("codec");
    run("codec", |row| check(&rows, row));
}

fn check(rows: &[Json], row: &Json) -> Check {
    let codec = match text(&row["codec"]) {
        "json" => JSON,
        "protobuf" => PROTOBUF,
        "plain" => PLAIN,
        "form" => FORM,
        other => return left_out(format!("no codec {other}")),
    };
    let go_type = text(&row["go_type"]);
    if codec == PROTOBUF
        && let Some(done) = messages::check(go_type, row)
    {
        return done;
    }
    let shapes = Shapes::new(rows, codec == FORM);
    let shape = match shapes.of(go_type, &row["go_fields"]) {
        Ok(shape) => shape,
        Err(why) => return left_out(why),
    };
    match text(&row["op"]) {
        "encode" => encode(codec, &shape, row),
        "decode" => decode(codec, &shape, row),
        other => Err(Miss::Wrong(format!("no such op: {other}"))),
    }
}

fn write(codec: u8, value: &impl ToBody) -> Result<Vec<u8>, CodecError> {
    let mut dst = BytesMut::from(&b"before"[..]);
    let done = value.encode_body(&Codecs::default(), codec, &mut dst);
    let written = dst
        .strip_prefix(b"before")
        .expect("what was there stays")
        .to_vec();
    match done {
        Ok(()) => Ok(written),
        Err(error) => {
            assert!(written.is_empty(), "an error leaves nothing behind");
            Err(error)
        }
    }
}

fn read<T: FromBody>(codec: u8, body: &[u8]) -> Result<T, CodecError> {
    T::from_body(&Codecs::default(), codec, BodyRef::new(body))
}

fn read_as(codec: u8, shape: &Shape, body: &[u8]) -> Result<Value, CodecError> {
    with_shape(shape, || read::<Typed>(codec, body)).map(|typed| typed.value)
}

fn encode(codec: u8, shape: &Shape, row: &Json) -> Check {
    let value = Value::build(shape, &row["value"])?;
    let typed = Typed {
        shape: shape.clone(),
        value,
    };
    let ours = write(codec, &typed);
    if row["outcome"] != "ok" {
        return refused(ours);
    }
    if codec == FORM && shape.has_inner_struct() {
        refused(ours)?;
        return left_out("Go drops the field of a struct type in silence; here it is an error");
    }
    let mut wanted = unhex(text(&row["bytes_hex"]));
    if codec == FORM {
        wanted = lists_in_order(shape, &wanted);
    }
    let ours = ours.map_err(|error| error.to_string())?;
    if wanted == b"null" {
        // A nil list is an empty one here, and a nil alone is an empty body: equal by meaning.
        let meant = read_as(codec, shape, &ours).map_err(|error| error.to_string())?;
        let null = read_as(codec, shape, &wanted).map_err(|error| error.to_string())?;
        return same("meaning of the bytes", meant, null);
    }
    same("bytes", hex(&ours), hex(&wanted))?;
    if wanted.is_empty() || shape.is_written_only() {
        return Ok(());
    }
    let back = read_as(codec, shape, &wanted).map_err(|error| error.to_string())?;
    same("value read back", back, typed.value.settled(shape))
}

fn decode(codec: u8, shape: &Shape, row: &Json) -> Check {
    let go_type = text(&row["go_type"]);
    let body = unhex(text(&row["bytes_hex"]));
    let ours = read_as(codec, shape, &body);
    if go_type == "[]uint8" {
        return left_out("a byte slice of a fixed length to be filled is Go's own");
    }
    if body.is_empty() && row["outcome"] != "ok" {
        same("value of no body", ours.ok(), Some(Value::zero(shape)))?;
        return left_out("an empty body is never handed to a codec; it is the zero value");
    }
    if let Shape::Array(len, _) = shape
        && let Some(list) = row["value"].as_array()
        && serde_json::from_slice::<Vec<Json>>(&body).is_ok_and(|wire| wire.len() != *len)
    {
        refused(ours)?;
        return left_out(format!(
            "an array of another length than {} is an error here",
            list.len()
        ));
    }
    if row["outcome"] != "ok" || go_wraps(codec, shape, &body) || go_ignores(codec, shape, &body) {
        return refused(ours);
    }
    let ours = ours.map_err(|error| error.to_string())?;
    let wanted = if *shape == Shape::Nil {
        Value::Nil
    } else {
        Value::build(shape, &row["value"])?.settled(shape)
    };
    same("value", ours, wanted)?;
    scalar(codec, shape, &body)
}

fn refused<T: std::fmt::Debug>(ours: Result<T, CodecError>) -> Check {
    match ours {
        Ok(value) => Err(Miss::Wrong(format!("{value:?} instead of an error"))),
        Err(error) if error.to_string().is_empty() => {
            Err(Miss::Wrong("an error of no text".into()))
        }
        Err(_) => Ok(()),
    }
}

/// The same body as the real Rust type, where there is one of the shape.
fn scalar(codec: u8, shape: &Shape, body: &[u8]) -> Check {
    macro_rules! real {
        ($($pattern:pat => $ty:ty),* $(,)?) => {
            match shape {
                $($pattern => {
                    let real = read::<$ty>(codec, body).map_err(|error| error.to_string())?;
                    let ours = write(codec, &real).map_err(|error| error.to_string())?;
                    let again = read_as(codec, shape, &ours).map_err(|error| error.to_string())?;
                    let value = read_as(codec, shape, body).map_err(|error| error.to_string())?;
                    same("value by way of the Rust type", again, value)
                })*
                _ => Ok(()),
            }
        };
    }
    real! {
        Shape::Bool => bool,
        Shape::Int(8) => i8, Shape::Int(16) => i16, Shape::Int(32) => i32, Shape::Int(64) => i64,
        Shape::Uint(8) => u8, Shape::Uint(16) => u16, Shape::Uint(32) => u32,
        Shape::Uint(64) => u64,
        Shape::Float(32) => f32, Shape::Float(64) => f64,
    }
}

/// An integer that does not fit is an error, while Go wraps it.
fn go_wraps(codec: u8, shape: &Shape, body: &[u8]) -> bool {
    let number = std::str::from_utf8(body)
        .ok()
        .and_then(|text| text.parse::<i128>().ok());
    match (shape, number) {
        (Shape::Int(bits), Some(number)) if codec == PLAIN => {
            !(-(1_i128 << (bits - 1))..1 << (bits - 1)).contains(&number)
        }
        (Shape::Uint(bits), Some(number)) if codec == PLAIN => !(0..1 << bits).contains(&number),
        _ => false,
    }
}

/// A bad bool in a form is an error, while Go ignores it.
fn go_ignores(codec: u8, shape: &Shape, body: &[u8]) -> bool {
    let Shape::Struct(fields) = shape else {
        return false;
    };
    let good = [
        "", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False",
    ];
    codec == FORM
        && String::from_utf8_lossy(body).split('&').any(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_bool = |field: &shape::Field| field.name == key && field.shape == Shape::Bool;
            fields.iter().any(is_bool) && !good.contains(&value)
        })
}

/// The lists of structs are written in order, while Go reverses them.
fn lists_in_order(shape: &Shape, body: &[u8]) -> Vec<u8> {
    let Shape::Struct(fields) = shape else {
        return body.to_vec();
    };
    let body = std::str::from_utf8(body).expect("forms are ASCII");
    let pairs: Vec<_> = body.split('&').collect();
    let key = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let in_order: Vec<_> = pairs
        .chunk_by(|one, other| key(one) == key(other))
        .flat_map(|chunk| {
            let mut chunk = chunk.to_vec();
            let name = key(chunk[0]);
            let field = fields.iter().find(|field| field.name == name);
            if field.is_some_and(|field| field.shape.is_list()) {
                chunk.reverse();
            }
            chunk
        })
        .collect();
    in_order.join("&").into_bytes()
}
