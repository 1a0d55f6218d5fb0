//! The lines that a client is told its calls by, and those that it answers with.

use serde::Deserialize;
use serde_json::{Value, json};
use teleport::{Rerror, Session, codec::Codecs};
use teleport_tests::standard::call::{Arg, Spec, call, kind_of_result};
use teleport_tests::vectors::hex;

/// A call line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    uri: String,
    #[serde(default)]
    arg: Value,
    arg_hex: Option<String>,
    #[serde(default)]
    codec: CodecName,
    #[serde(default)]
    meta: Vec<(String, String)>,
    #[serde(default)]
    xfer: Vec<u8>,
    seq: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "codec is a name or an id")]
enum CodecName {
    Id(u8),
    Name(String),
}

impl Default for CodecName {
    fn default() -> Self {
        Self::Id(teleport::codec::JSON)
    }
}

impl CodecName {
    fn id(&self, codecs: &Codecs) -> Result<u8, String> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Name(name) => codecs
                .id_of(name)
                .ok_or_else(|| format!("no codec is called {name:?}")),
        }
    }
}

fn spec(session: &Session, line: &str) -> Result<Spec, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let codec = line.codec.id(session.peer().codecs())?;
    let arg = match &line.arg_hex {
        Some(digits) => Arg::Raw(unhex(digits).ok_or("arg_hex is no hex")?.into()),
        None => Arg::of_json(line.uri.as_bytes(), codec, &line.arg)?,
    };
    Ok(Spec {
        uri: line.uri,
        arg,
        codec,
        meta: line
            .meta
            .into_iter()
            .map(|(key, value)| (key.into_bytes(), value.into_bytes()))
            .collect(),
        xfer: line.xfer,
        seq: line.seq.map(String::into_bytes),
    })
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let whole = digits.len().is_multiple_of(2);
    whole
        .then(|| digits.as_bytes().chunks(2).map(byte).collect())
        .flatten()
}

/// Makes the call of a line and gives the line to print.
pub(crate) async fn answer(session: &Session, line: &str) -> Value {
    let spec = match spec(session, line) {
        Ok(spec) => spec,
        Err(text) => return error(&Rerror::bad_message(format!("the call line: {text}"))),
    };
    match call(session, &spec, kind_of_result(spec.uri.as_bytes())).await {
        Ok(answer) => answer.result.to_line(),
        Err(failed) => error(&failed.into()),
    }
}

/// The line of an error.
pub(crate) fn error(rerror: &Rerror) -> Value {
    json!({ "error": {
        "code": rerror.code(),
        "message": rerror.message(),
        "reason": rerror.reason(),
    }})
}

/// Puts a text under its key, or its hex under the key with `_hex` added.
pub(crate) fn put(line: &mut Value, key: &str, text: &[u8]) {
    match std::str::from_utf8(text) {
        Ok(text) => line[key] = text.into(),
        Err(_) => line[format!("{key}_hex")] = hex(text).into(),
    }
}
