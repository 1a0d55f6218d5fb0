//! The json protocol, id `j`.

mod escape;
mod find;
mod pack;
mod scan;
mod unescape;
mod unpack;

use super::{Env, Pack, Proto, Sniff, Unpack, prefixed};

pub(super) use unpack::recognise_payload;

/// The json protocol, id `j`: each message is a JSON object, so that peers can be written where
/// nothing but JSON is at hand, and people can read along.
///
/// ```text
/// 4  size of what follows, big endian
/// 1  number n of transfer filters
/// n  their ids, outermost first
/// .. an object, filtered as a whole:
///
/// {"seq":"A","mtype":1,"uri":"/a","meta":"k=v","body_codec":106,"body":"..."}
/// ```
///
/// `meta` is urlencoded. `body` is a string whose value is the bytes of the body; bytes from 0x80 on
/// stand in it as they are, so it need not be UTF-8. What is read may have its fields in any order,
/// white space, fields that are unknown, or a body that is any other JSON value, which is taken as
/// it stands.
///
/// A body of JSON has a backslash before each of its quotes, so a message is larger than through
/// [`RawProto`](super::RawProto) and takes longer.
///
/// # Examples
///
/// ```
/// use teleport::{Peer, proto::JsonProto};
///
/// # fn main() -> Result<(), teleport::Error> {
/// let peer = Peer::builder().proto(JsonProto).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonProto;

impl Proto for JsonProto {
    fn version(&self) -> (u8, &'static str) {
        (b'j', "json")
    }

    fn split(&self) -> (Box<dyn Pack>, Box<dyn Unpack>) {
        (
            Box::<pack::JsonPack>::default(),
            Box::<unpack::JsonUnpack>::default(),
        )
    }

    fn recognise(&self, env: &Env, bytes: &[u8]) -> Sniff {
        prefixed::recognise(env, bytes, recognise_payload)
    }
}

#[cfg(test)]
mod tests;
