//! What the vector files of all protocols have in common: a row's message, and its bytes.

use bytes::BytesMut;
use serde_json::Value;
use sha2::{Digest, Sha256};
use teleport::{
    codec::ToBody,
    message::{Frame, Head, Meta, Mtype, Uri},
    proto::{Body, Env, Limits, Pack, ProtoError},
};
use teleport_tests::vectors::{Check, Miss, Pairs, bytes, hex, pairs, same, text, unhex};

/// A message as a row describes it.
pub(crate) struct Row {
    seq: Vec<u8>,
    mtype: u8,
    uri: Vec<u8>,
    pairs: Pairs,
    body_codec: u8,
    xfer: Vec<u8>,
    /// `None` for a value that its codec refuses.
    body: Option<Vec<u8>>,
}

impl Row {
    pub(crate) fn of(row: &Value) -> Result<Self, Miss> {
        let uri = long_bytes(row, "uri")?;
        if let Some(added) = row["uri_with_query"].as_array() {
            let mut built = Uri::new(text(&row["uri_input"]));
            for pair in added {
                built.add_query(text(&pair[0]), text(&pair[1]));
            }
            same("uri with its query", built.as_bytes(), &uri[..])?;
        }
        Ok(Self {
            seq: long_bytes(row, "seq")?,
            mtype: byte(&row["mtype"])?,
            uri,
            pairs: pairs(row, "meta").ok_or("no meta")?,
            body_codec: byte(&row["body_codec"])?,
            xfer: ids(&row["xfer"])?,
            body: if row["body_error"].is_string() {
                None
            } else {
                Some(body(row)?)
            },
        })
    }

    pub(crate) fn pack(
        &self,
        pack: &mut dyn Pack,
        env: &Env,
        row: &Value,
        dst: &mut BytesMut,
    ) -> Result<(), ProtoError> {
        let meta: Meta = self.pairs.iter().cloned().collect();
        let meta = meta.encoded();
        let head = Head {
            seq: &self.seq,
            mtype: Mtype(self.mtype),
            uri: &self.uri,
            meta: &meta,
            body_codec: self.body_codec,
            xfer: &self.xfer,
        };
        let mut encode = |dst: &mut BytesMut| {
            row["body"]
                .encode_body(&env.codecs, self.body_codec, dst)
                .map_err(ProtoError::from)
        };
        let body = match &self.body {
            Some(body) => Body::Slice(body),
            None => Body::Write(&mut encode),
        };
        pack.pack(env, &head, body, dst)
    }

    /// Compares with what was read; a pair of two empty texts cannot be read.
    pub(crate) fn is(&self, frame: &Frame<'_>) -> Check {
        let head = &frame.head;
        same("seq", head.seq, &self.seq[..])?;
        same("mtype", head.mtype.0, self.mtype)?;
        same("uri", head.uri, &self.uri[..])?;
        same("body codec", head.body_codec, self.body_codec)?;
        same("xfer", head.xfer, &self.xfer[..])?;
        let mut due = self.pairs.clone();
        due.retain(|(key, value)| !key.is_empty() || !value.is_empty());
        same("meta", meta_of(head), due)?;
        match &self.body {
            Some(body) => same("body", frame.body, &body[..]),
            None => Ok(()),
        }
    }
}

/// The pairs of a head that was read.
pub(crate) fn meta_of(head: &Head<'_>) -> Pairs {
    let meta = Meta::from_encoded(head.meta.to_vec());
    meta.iter()
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect()
}

/// What a peer knows in a row: there is no limit, as in the original, unless the row names one.
pub(crate) fn env(row: &Value) -> Env {
    let limit = row["size_limit"].as_u64().unwrap_or_default();
    Env {
        limits: Limits::with_message(usize::try_from(limit).unwrap()),
        ..Env::default()
    }
}

/// Bytes that may be told by a rule.
fn long_bytes(row: &Value, name: &str) -> Result<Vec<u8>, Miss> {
    if let Some(bytes) = bytes(row, name) {
        return Ok(bytes);
    }
    let len = row[format!("{name}_len")]
        .as_u64()
        .ok_or_else(|| format!("no {name}"))?;
    let rule = text(&row[format!("{name}_rule")]);
    let first = rule.starts_with("\"/\" followed by").then_some(b'/');
    let letters = len - u64::from(first.is_some());
    let made: Vec<u8> = first.into_iter().chain(generate(rule, letters)?).collect();
    same_as(row, name, &made)?;
    Ok(made)
}

/// The bytes of a rule.
fn generate(rule: &str, len: u64) -> Result<Vec<u8>, Miss> {
    let byte = |at: u64| match rule {
        "byte i = (i*31) mod 251" => u8::try_from(at * 31 % 251).ok(),
        rule if rule.contains("97 + (i mod 26)") => u8::try_from(97 + at % 26).ok(),
        _ => None,
    };
    let made: Option<_> = (0..len).map(byte).collect();
    made.ok_or_else(|| format!("unknown rule {rule:?}").into())
}

fn body(row: &Value) -> Result<Vec<u8>, Miss> {
    if let Some(hex) = row["body_hex"].as_str() {
        return Ok(unhex(hex));
    }
    let len = row["body"]["len"].as_u64().ok_or("no body")?;
    let body = generate(text(&row["body"]["gen"]), len)?;
    same_as(row, "body", &body)?;
    Ok(body)
}

pub(crate) fn byte(value: &Value) -> Result<u8, Miss> {
    let number = value.as_u64().and_then(|number| u8::try_from(number).ok());
    number.ok_or_else(|| format!("{value} is no byte").into())
}

pub(crate) fn ids(value: &Value) -> Result<Vec<u8>, Miss> {
    value
        .as_array()
        .ok_or("no xfer")?
        .iter()
        .map(byte)
        .collect()
}

/// Compares bytes with what a row says of them under `name`: all, or the sum and the two ends.
pub(crate) fn same_as(row: &Value, name: &str, ours: &[u8]) -> Check {
    let said = |what: &str| row[format!("{name}_{what}")].clone();
    if let Some(wanted) = said("hex").as_str() {
        return same(name, ours, &unhex(wanted)[..]);
    }
    same(
        &format!("length of {name}"),
        Value::from(ours.len()),
        said("len"),
    )?;
    same(
        &format!("sum of {name}"),
        Value::from(hex(&Sha256::digest(ours))),
        said("sha256"),
    )?;
    if let (Some(head), Some(tail)) = (said("head_hex").as_str(), said("tail_hex").as_str()) {
        let ends = (ours.starts_with(&unhex(head)), ours.ends_with(&unhex(tail)));
        same(&format!("ends of {name}"), ends, (true, true))?;
    }
    Ok(())
}
