use bytes::BytesMut;
use serde_json::{Map, Value};
use teleport::{
    message::{Head, Meta, Mtype},
    proto::{Body, Env, Pack, ProtoErrorKind},
    xfer::XferPipe,
};

use super::Refusal;
use crate::hex;

/// The frame, in hex, of a JSON object.
pub(super) fn line(env: &Env, pack: &dyn Pack, line: &[u8]) -> Result<String, Refusal> {
    let mut fields = match serde_json::from_slice(line) {
        Ok(Value::Object(fields)) => Fields(fields),
        Ok(_) => return Err(Refusal::bad_input("not a JSON object")),
        Err(error) => return Err(Refusal::bad_input(format!("not JSON: {error}"))),
    };
    let seq = fields.bytes("seq", "seq_hex")?;
    let mtype = Mtype(fields.byte("mtype")?);
    let uri = fields.bytes("uri", "uri_hex")?;
    let meta = fields.meta()?;
    let body_codec = fields.codec(env)?;
    let xfer = fields.pipe(env)?;
    let body = fields.bytes("body", "body_hex")?;
    // A decoded frame tells its size; the new one has its own.
    fields.size()?;
    if let Some(name) = fields.0.keys().next() {
        return Err(Refusal::bad_input(format!("unknown field {name:?}")));
    }
    let meta = meta.encoded();
    let head = Head {
        seq: &seq,
        mtype,
        uri: &uri,
        meta: &meta,
        body_codec,
        xfer: xfer.ids(),
    };
    let mut frame = BytesMut::new();
    pack.pack(env, &head, Body::Slice(&body), &mut frame)?;
    Ok(hex::encode(&frame))
}

/// The fields that are not taken yet. Each has a default that stands for a missing one.
struct Fields(Map<String, Value>);

impl Fields {
    /// A text, or bytes in hex under a name of its own.
    fn bytes(&mut self, name: &str, hex_name: &str) -> Result<Vec<u8>, Refusal> {
        match (self.0.remove(name), self.0.remove(hex_name)) {
            (None, None) => Ok(Vec::new()),
            (Some(value), None) => text(name, value).map(String::into_bytes),
            (None, Some(value)) => unhex(hex_name, &text(hex_name, value)?),
            (Some(_), Some(_)) => Err(Refusal::bad_input(format!(
                "both {name:?} and {hex_name:?} are given"
            ))),
        }
    }

    fn byte(&mut self, name: &str) -> Result<u8, Refusal> {
        self.0
            .remove(name)
            .map_or(Ok(0), |value| byte(name, &value))
    }

    fn size(&mut self) -> Result<(), Refusal> {
        match self.0.remove("size") {
            Some(value) if !value.is_u64() => Err(wrong_type("size", "a number")),
            _ => Ok(()),
        }
    }

    /// The id of a codec, or its name.
    fn codec(&mut self, env: &Env) -> Result<u8, Refusal> {
        const NAME: &str = "body_codec";
        match self.0.remove(NAME) {
            None => Ok(0),
            Some(Value::String(name)) => env.codecs.id_of(&name).ok_or_else(|| {
                Refusal::new(
                    ProtoErrorKind::BadField,
                    format!("{NAME:?}: no codec {name:?}"),
                )
            }),
            Some(value) => byte(NAME, &value),
        }
    }

    /// A list of filters, each by its id or its name.
    fn pipe(&mut self, env: &Env) -> Result<XferPipe, Refusal> {
        const NAME: &str = "xfer";
        let ids = match self.0.remove(NAME) {
            None => Vec::new(),
            Some(Value::Array(list)) => list
                .into_iter()
                .map(|value| match value {
                    Value::String(name) => {
                        let filter = env.filters.by_name(&name).ok_or_else(|| {
                            let text = format!("unsupported transfer filter name: {name:?}");
                            Refusal::new(ProtoErrorKind::UnknownFilter, text)
                        });
                        filter.map(|filter| filter.id())
                    }
                    value => byte(NAME, &value),
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(wrong_type(NAME, "a list")),
        };
        Ok(XferPipe::from_ids(&ids)?)
    }

    /// A list of pairs, of texts or of bytes in hex.
    fn meta(&mut self) -> Result<Meta, Refusal> {
        let (name, list) = match (self.0.remove("meta"), self.0.remove("meta_hex")) {
            (None, None) => return Ok(Meta::new()),
            (Some(list), None) => ("meta", list),
            (None, Some(list)) => ("meta_hex", list),
            (Some(_), Some(_)) => {
                return Err(Refusal::bad_input(
                    "both \"meta\" and \"meta_hex\" are given",
                ));
            }
        };
        let mut meta = Meta::new();
        let Value::Array(pairs) = list else {
            return Err(wrong_type(name, "a list of pairs of texts"));
        };
        for pair in pairs {
            let Value::Array(pair) = pair else {
                return Err(wrong_type(name, "a list of pairs of texts"));
            };
            let Ok([Value::String(key), Value::String(value)]) = <[Value; 2]>::try_from(pair)
            else {
                return Err(wrong_type(name, "a list of pairs of texts"));
            };
            if name == "meta" {
                meta.add(key, value);
            } else {
                meta.add(unhex(name, &key)?, unhex(name, &value)?);
            }
        }
        Ok(meta)
    }
}

fn text(name: &str, value: Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(wrong_type(name, "a text")),
    }
}

fn unhex(name: &str, text: &str) -> Result<Vec<u8>, Refusal> {
    hex::decode(text.as_bytes()).map_err(|error| Refusal::bad_input(format!("{name:?}: {error}")))
}

fn byte(name: &str, value: &Value) -> Result<u8, Refusal> {
    if !value.is_i64() && !value.is_u64() {
        return Err(wrong_type(name, "a number without a fraction"));
    }
    value
        .as_u64()
        .and_then(|number| u8::try_from(number).ok())
        .ok_or_else(|| {
            Refusal::new(
                ProtoErrorKind::BadField,
                format!("{name:?}: {value} is not from 0 to 255"),
            )
        })
}

fn wrong_type(name: &str, due: &str) -> Refusal {
    Refusal::bad_input(format!("{name:?} must be {due}"))
}
