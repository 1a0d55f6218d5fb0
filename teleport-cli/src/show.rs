//! Messages as JSON objects. What is not UTF-8 stands in hex under the same key with `_hex` added.

use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};
use teleport::Rerror;
use teleport::message::Meta;

use crate::hex;

/// The key of a text, and the one that it has in hex.
type Keys = [&'static str; 2];

pub(crate) const SEQ: Keys = ["seq", "seq_hex"];
pub(crate) const URI: Keys = ["uri", "uri_hex"];
const META: Keys = ["meta", "meta_hex"];
const BODY: Keys = ["body", "body_hex"];

/// Adds a text.
pub(crate) fn text<M: SerializeMap>(
    map: &mut M,
    [key, hex_key]: Keys,
    bytes: &[u8],
) -> Result<(), M::Error> {
    match str::from_utf8(bytes) {
        Ok(text) => map.serialize_entry(key, text),
        Err(_) => map.serialize_entry(hex_key, &hex::encode(bytes)),
    }
}

/// Adds metadata: pairs of texts, or if one of them is not UTF-8 all of them in hex.
pub(crate) fn meta<M: SerializeMap>(map: &mut M, meta: &Meta) -> Result<(), M::Error> {
    let [key, hex_key] = META;
    let texts: Result<Vec<_>, _> = meta
        .iter()
        .map(|(key, value)| Ok((str::from_utf8(key)?, str::from_utf8(value)?)))
        .collect();
    match texts {
        Ok::<_, std::str::Utf8Error>(texts) => map.serialize_entry(key, &texts),
        Err(_) => {
            let pairs: Vec<_> = meta
                .iter()
                .map(|(key, value)| (hex::encode(key), hex::encode(value)))
                .collect();
            map.serialize_entry(hex_key, &pairs)
        }
    }
}

/// A CALL or PUSH that came.
pub(crate) struct Arrival<'a> {
    pub(crate) kind: &'static str,
    pub(crate) uri: &'a [u8],
    pub(crate) seq: &'a [u8],
    pub(crate) codec: u8,
    pub(crate) meta: &'a Meta,
    pub(crate) xfer: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Serialize for Arrival<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.kind)?;
        text(&mut map, URI, self.uri)?;
        text(&mut map, SEQ, self.seq)?;
        map.serialize_entry("codec", &self.codec)?;
        meta(&mut map, self.meta)?;
        map.serialize_entry("xfer", self.xfer)?;
        text(&mut map, BODY, self.body)?;
        map.end()
    }
}

/// What `-v` tells of a reply, or of a push that was sent.
#[derive(Debug)]
pub(crate) struct Summary<'a> {
    pub(crate) seq: &'a [u8],
    pub(crate) codec: u8,
    pub(crate) meta: &'a Meta,
    pub(crate) xfer: &'a [u8],
    pub(crate) cost: Duration,
}

impl Serialize for Summary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        text(&mut map, SEQ, self.seq)?;
        map.serialize_entry("codec", &self.codec)?;
        meta(&mut map, self.meta)?;
        map.serialize_entry("xfer", self.xfer)?;
        let cost = u64::try_from(self.cost.as_micros()).unwrap_or(u64::MAX);
        map.serialize_entry("cost_us", &cost)?;
        map.end()
    }
}

/// An error, with all of its parts even when they are empty.
pub(crate) struct Failed<'a>(pub(crate) &'a Rerror);

impl Serialize for Failed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("code", &self.0.code())?;
        map.serialize_entry("message", self.0.message())?;
        map.serialize_entry("reason", self.0.reason())?;
        map.end()
    }
}

/// The JSON text of a value.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    // Texts, numbers and lists of them always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

/// The JSON text of a value, as a line.
pub(crate) fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = to_json(value).into_bytes();
    line.push(b'\n');
    line
}
