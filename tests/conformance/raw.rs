//! Messages and their frames in the raw protocol, both ways, against `raw.json`.

use bytes::BytesMut;
use serde_json::Value;
use teleport::proto::{Env, Proto, ProtoError, ProtoErrorKind, RawProto};
use teleport_tests::vectors::{Check, run, same, unhex};

use crate::frames::{Row, env, same_as};

#[test]
fn raw_vectors() {
    run("raw", check);
}

fn check(row: &Value) -> Check {
    let env = env(row);
    let message = Row::of(row)?;
    let mut frame = BytesMut::new();
    let packed = message.pack(&mut *RawProto.split().0, &env, row, &mut frame);
    if row["recommended"].is_string() {
        return refused(row, packed, &frame);
    }
    packed.map_err(|error| format!("pack: {error}"))?;
    if row["decode_only"] != true {
        same_as(row, "wire", &frame)?;
        same(
            "size field",
            Value::from(frame.len()),
            row["size_field"].clone(),
        )?;
    }
    read(&env, &frame, &message)?;
    match row["wire_hex"].as_str() {
        Some(hex) => read(&env, &unhex(hex), &message),
        None => Ok(()),
    }
}

fn read(env: &Env, frame: &[u8], message: &Row) -> Check {
    let mut unpack = RawProto.split().1;
    let read = unpack
        .unpack(env, frame, true)
        .map_err(|error| format!("unpack: {error}"))?;
    let (frame, _) = read.ok_or("the frame is incomplete")?;
    message.is(&frame)
}

/// What cannot be written: the original fails, or writes a frame that nobody can read.
fn refused(row: &Value, packed: Result<(), ProtoError>, frame: &[u8]) -> Check {
    let error = packed.err().ok_or("was packed, should be refused")?;
    same("what is left of a refused frame", frame, &b""[..])?;
    let due = match row["pack_error"].as_str() {
        None => ProtoErrorKind::BadLength,
        Some(text) if text.contains("limit") => ProtoErrorKind::TooLarge,
        Some(text) => {
            if text.starts_with("unsupported codec") {
                same("error", error.to_string(), text)?;
            }
            ProtoErrorKind::Encode
        }
    };
    same("kind of the error", error.kind(), due)
}
