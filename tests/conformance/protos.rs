//! Messages and their frames in each protocol, both ways, against the vectors of their names.

use bytes::BytesMut;
use serde_json::Value;
use teleport::proto::{Env, Proto, ProtoError, ProtoErrorKind};
use teleport_tests::standard::spoken::Spoken;
use teleport_tests::vectors::{Check, bytes, run, same, text, unhex};

use crate::frames::{Row, env, same_as};

#[test]
fn raw_vectors() {
    run("raw", check);
}

#[test]
fn json_vectors() {
    run("json", check);
}

#[test]
fn pb_vectors() {
    run("pb", check);
}

fn check(row: &Value) -> Check {
    let spoken = Spoken::of(text(&row["proto"])).ok_or("unheard-of protocol")?;
    let proto = spoken.proto();
    let env = env(row);
    let message = Row::of(row)?;
    let mut frame = BytesMut::new();
    let packed = message.pack(&mut *proto.split().0, &env, row, &mut frame);
    if row["recommended"].is_string() {
        return refused(row, packed, &frame);
    }
    packed.map_err(|error| format!("pack: {error}"))?;
    // The original's json frames lack escapes; ours have them.
    let differs = row["robust_same"] == false;
    if row["decode_only"] != true {
        same_as(row, if differs { "robust_wire" } else { "wire" }, &frame)?;
        if !differs {
            let size = Value::from(spoken.counted(frame.len()));
            same("size field", size, row["size_field"].clone())?;
        }
    }
    read(&*proto, &env, &frame, &message)?;
    match row["wire_hex"].as_str().map(unhex) {
        Some(wire) if differs && row["go_roundtrips"] == false => {
            read_as_it_stands(&*proto, &env, &wire, &message, row)
        }
        Some(wire) => read(&*proto, &env, &wire, &message),
        None => Ok(()),
    }
}

fn read(proto: &dyn Proto, env: &Env, frame: &[u8], message: &Row) -> Check {
    let mut unpack = proto.split().1;
    let read = unpack
        .unpack(env, frame, true)
        .map_err(|error| format!("unpack: {error}"))?;
    let (frame, _) = read.ok_or("the frame is incomplete")?;
    message.is(&frame)
}

/// Reads a frame of the original that it cannot read back itself. It is read as it was meant, or
/// where it is good JSON of something else, as that; else it is refused, and never cut.
fn read_as_it_stands(
    proto: &dyn Proto,
    env: &Env,
    frame: &[u8],
    message: &Row,
    row: &Value,
) -> Check {
    let mut unpack = proto.split().1;
    let Ok(Some((frame, _))) = unpack.unpack(env, frame, true) else {
        return Ok(());
    };
    if message.is(&frame).is_ok() {
        return Ok(());
    }
    let said = &row["go_decoded"];
    same("seq", Some(frame.head.seq), bytes(said, "seq").as_deref())?;
    same("uri", Some(frame.head.uri), bytes(said, "uri").as_deref())?;
    same("body", Some(frame.body), bytes(said, "body").as_deref())
}

/// What cannot be written: the original fails, or writes a frame that nobody can read.
fn refused(row: &Value, packed: Result<(), ProtoError>, frame: &[u8]) -> Check {
    let error = packed.err().ok_or("was packed, should be refused")?;
    same("what is left of a refused frame", frame, &b""[..])?;
    let is_too_large = row["size_limit"].is_number();
    let due = match row["pack_error"].as_str() {
        _ if is_too_large => ProtoErrorKind::TooLarge,
        None => ProtoErrorKind::BadLength,
        Some(text) => {
            if text.starts_with("unsupported codec") {
                same("error", error.to_string(), text)?;
            }
            ProtoErrorKind::Encode
        }
    };
    same("kind of the error", error.kind(), due)
}
