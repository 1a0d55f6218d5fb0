//! The protobuf types of the rows, and what is no protobuf type.

use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use teleport::codec::{PROTOBUF, Protobuf};
use teleport_tests::vectors::{Check, hex, left_out, same, text, unhex};

use super::{read, refused, write};

#[derive(Clone, PartialEq, Message)]
struct PbTest {
    #[prost(int32, tag = "1")]
    a: i32,
    #[prost(int32, tag = "2")]
    b: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Encrypt {
    #[prost(string, tag = "1")]
    cipherversion: String,
    #[prost(string, tag = "2")]
    ciphertext: String,
}

#[derive(Clone, PartialEq, Message)]
struct PbEmpty {}

#[derive(Clone, PartialEq, Message)]
struct Format {
    #[prost(string, tag = "1")]
    seq: String,
    #[prost(int32, tag = "2")]
    mtype: i32,
    #[prost(string, tag = "3")]
    uri: String,
    #[prost(bytes = "vec", tag = "4")]
    meta: Vec<u8>,
    #[prost(int32, tag = "5")]
    body_codec: i32,
    #[prost(bytes = "vec", tag = "6")]
    body: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    xfer_pipe: Vec<u8>,
}

/// An empty struct of Rust.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Empty {}

/// Makes a message of the `value` of a row, where missing fields are zero.
trait FromRow: Message + Default + PartialEq + std::fmt::Debug {
    fn from_row(value: &Json) -> Self;
}

fn int(value: &Json) -> i32 {
    value
        .as_i64()
        .unwrap_or_default()
        .try_into()
        .expect("32 bits")
}

fn string(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn blob(value: &Json) -> Vec<u8> {
    unbase64(value.as_str().unwrap_or_default())
}

impl FromRow for PbTest {
    fn from_row(value: &Json) -> Self {
        Self {
            a: int(&value["a"]),
            b: int(&value["b"]),
        }
    }
}

impl FromRow for Encrypt {
    fn from_row(value: &Json) -> Self {
        Self {
            cipherversion: string(&value["cipherversion"]),
            ciphertext: string(&value["ciphertext"]),
        }
    }
}

impl FromRow for PbEmpty {
    fn from_row(_: &Json) -> Self {
        Self {}
    }
}

impl FromRow for Format {
    fn from_row(value: &Json) -> Self {
        Self {
            seq: string(&value["seq"]),
            mtype: int(&value["mtype"]),
            uri: string(&value["uri"]),
            meta: blob(&value["meta"]),
            body_codec: int(&value["body_codec"]),
            body: blob(&value["body"]),
            xfer_pipe: blob(&value["xfer_pipe"]),
        }
    }
}

/// Checks a row of the protobuf codec; `None` leaves it to those who know serde types.
pub(super) fn check(go_type: &str, row: &Json) -> Option<Check> {
    Some(match go_type.trim_start_matches('*') {
        "pb.PbTest" => message::<PbTest>(row),
        "secure.Encrypt" => message::<Encrypt>(row),
        "codec.PbEmpty" => message::<PbEmpty>(row),
        "pb.Format" => message::<Format>(row),
        "struct {}" => empty(row),
        _ if row["go_fields"][0]["protobuf"].is_string() => {
            left_out(format!("no Rust type stands for the message {go_type}"))
        }
        _ => return None,
    })
}

fn message<M: FromRow>(row: &Json) -> Check {
    if row["op"] == "decode" {
        let ours = read::<Protobuf<M>>(PROTOBUF, &unhex(text(&row["bytes_hex"])));
        if row["outcome"] != "ok" {
            return refused(ours);
        }
        let ours = ours.map_err(|error| error.to_string())?.0;
        return same("message", ours, M::from_row(&row["value"]));
    }
    let message = M::from_row(&row["value"]);
    let ours = write(PROTOBUF, &Protobuf(&message));
    if row["outcome"] != "ok" {
        return refused(ours);
    }
    let ours = ours.map_err(|error| error.to_string())?;
    same("bytes", hex(&ours).as_str(), text(&row["bytes_hex"]))?;
    let back = read::<Protobuf<M>>(PROTOBUF, &ours)
        .map_err(|error| error.to_string())?
        .0;
    same("message read back", back, message)
}

fn empty(row: &Json) -> Check {
    if row["op"] == "decode" {
        let body = unhex(text(&row["bytes_hex"]));
        read::<()>(PROTOBUF, &body).map_err(|error| error.to_string())?;
        let ours = read::<Empty>(PROTOBUF, &body).map_err(|error| error.to_string())?;
        return same("empty struct", ours, Empty {});
    }
    let ours = [
        write(PROTOBUF, &()),
        write(PROTOBUF, &Empty {}),
        write(PROTOBUF, &None::<Empty>),
        write(PROTOBUF, &Protobuf(&PbEmpty {})),
    ];
    for ours in ours {
        let ours = ours.map_err(|error| error.to_string())?;
        same("bytes", hex(&ours).as_str(), text(&row["bytes_hex"]))?;
    }
    Ok(())
}

/// The bytes of a base64 text in the rows.
pub(super) fn unbase64(text: &str) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = letters
            .iter()
            .position(|known| *known == letter)
            .expect("base64");
        bits = bits << 6 | u32::try_from(value).expect("6 bits");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
