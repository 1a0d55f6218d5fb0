use serde::Serialize;
use teleport::{
    message::Meta,
    proto::{Env, ProtoErrorKind, Unpack},
};

use super::{Refusal, to_json};
use crate::hex;

/// A frame, as it is shown. What is not UTF-8 is shown in hex instead.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    seq: Seq<'a>,
    mtype: u8,
    #[serde(flatten)]
    uri: Uri<'a>,
    #[serde(flatten)]
    meta: Pairs<'a>,
    body_codec: u8,
    xfer: &'a [u8],
    body_hex: String,
    size: usize,
}

#[derive(Serialize)]
enum Seq<'a> {
    #[serde(rename = "seq")]
    Text(&'a str),
    #[serde(rename = "seq_hex")]
    Hex(String),
}

#[derive(Serialize)]
enum Uri<'a> {
    #[serde(rename = "uri")]
    Text(&'a str),
    #[serde(rename = "uri_hex")]
    Hex(String),
}

#[derive(Serialize)]
enum Pairs<'a> {
    #[serde(rename = "meta")]
    Text(Vec<(&'a str, &'a str)>),
    #[serde(rename = "meta_hex")]
    Hex(Vec<(String, String)>),
}

impl<'a> Pairs<'a> {
    fn of(meta: &'a Meta) -> Self {
        let text = |pair: (&'a [u8], &'a [u8])| {
            Some((str::from_utf8(pair.0).ok()?, str::from_utf8(pair.1).ok()?))
        };
        match meta.iter().map(text).collect() {
            Some(pairs) => Self::Text(pairs),
            None => Self::Hex(
                meta.iter()
                    .map(|(key, value)| (hex::encode(key), hex::encode(value)))
                    .collect(),
            ),
        }
    }
}

/// The JSON object of a frame in hex.
pub(super) fn line(env: &Env, unpack: &mut dyn Unpack, line: &[u8]) -> Result<String, Refusal> {
    let src = hex::decode(line).map_err(Refusal::bad_input)?;
    let Some((frame, size)) = unpack.unpack(env, &src, true)? else {
        return Err(Refusal::new(
            ProtoErrorKind::Incomplete,
            "the frame is incomplete",
        ));
    };
    let head = &frame.head;
    let meta = Meta::from_encoded(head.meta.to_vec());
    Ok(to_json(&Shown {
        seq: str::from_utf8(head.seq).map_or_else(|_| Seq::Hex(hex::encode(head.seq)), Seq::Text),
        mtype: head.mtype.0,
        uri: str::from_utf8(head.uri).map_or_else(|_| Uri::Hex(hex::encode(head.uri)), Uri::Text),
        meta: Pairs::of(&meta),
        body_codec: head.body_codec,
        xfer: head.xfer,
        body_hex: hex::encode(frame.body),
        size,
    }))
}
