//! What stands in recorded messages that the secure plugin encrypted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prost::Message as _;
use teleport::codec::{BodyRef, Codecs, FromBody, PROTOBUF};
use teleport::message::Uri;
use teleport_tests::standard::secure::plugin;

use super::script::Frame;

/// The key that a setup names.
pub(super) fn key(setup: &str) -> Option<String> {
    let (_, rest) = setup.split_once("secure plugin")?;
    let (_, rest) = rest.split_once("key ")?;
    let key = rest.split_whitespace().next()?;
    Some(key.trim_matches([',', '.', ';', '"', '`']).to_owned())
}

/// A frame as the program said it that the plugin of this key encrypted it for; any other frame, and
/// one that does not decrypt, as it is.
pub(super) fn opened<'a>(frame: &'a Frame, key: Option<&str>) -> Cow<'a, Frame> {
    let is_secure = frame
        .meta
        .iter()
        .any(|(k, v)| k == b"X-Secure" && v == b"true");
    match key {
        Some(key) if is_secure => open(frame, key).map_or(Cow::Borrowed(frame), Cow::Owned),
        _ => Cow::Borrowed(frame),
    }
}

fn open(frame: &Frame, key: &str) -> Option<Frame> {
    let plugin = plugin(key).ok()?;
    let mut open = frame.clone();
    let uri = Uri::new(&frame.uri);
    if let Some(ciphertext) = uri.query_bytes("ciphertext") {
        let query = plugin.decrypt(ciphertext).ok()?;
        open.uri = [uri.path_bytes(), b"?", &query].concat();
    }
    let ciphertext = ciphertext(frame)?;
    open.body = plugin.decrypt(ciphertext.as_bytes()).ok()?.to_vec();
    Some(open)
}

#[derive(Clone, PartialEq, prost::Message)]
struct Encrypt {
    #[prost(string, tag = "1")]
    cipherversion: String,
    #[prost(string, tag = "2")]
    ciphertext: String,
}

fn ciphertext(frame: &Frame) -> Option<String> {
    if frame.body_codec == PROTOBUF {
        return Some(Encrypt::decode(&*frame.body).ok()?.ciphertext);
    }
    let codecs = Codecs::default();
    let body = BodyRef::new(&frame.body);
    let mut fields = BTreeMap::<String, String>::from_body(&codecs, frame.body_codec, body).ok()?;
    fields.remove("ciphertext")
}
