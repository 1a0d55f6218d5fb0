//! The pb protocol, id `p`.

mod pack;
mod unpack;

use super::{Env, Pack, Proto, Sniff, Unpack, prefixed};

/// The fields of a message, and their wire types.
const SEQ: u32 = 1;
const MTYPE: u32 = 2;
const URI: u32 = 3;
const META: u32 = 4;
const BODY_CODEC: u32 = 5;
const BODY: u32 = 6;

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const LEN: u8 = 2;
const FIXED_32: u8 = 5;

/// The pb protocol, id `p`: each message is a protobuf message, so that peers can be written
/// wherever protobuf is known.
///
/// ```text
/// 4  size of what follows, big endian
/// 1  number n of transfer filters
/// n  their ids, outermost first
/// .. a protobuf message, filtered as a whole:
///
/// message Payload {
///   string seq = 1;
///   int32 mtype = 2;
///   string uri = 3;
///   bytes meta = 4;        // urlencoded
///   int32 body_codec = 5;
///   bytes body = 6;
/// }
/// ```
///
/// Texts need not be UTF-8. Unknown fields are passed over, groups are refused. A message through
/// this protocol is a few bytes shorter than through [`RawProto`](super::RawProto), and takes a
/// little longer. It needs no crate of protobuf, and bodies may be in any codec.
///
/// # Examples
///
/// ```
/// use teleport::{Peer, proto::PbProto};
///
/// # fn main() -> Result<(), teleport::Error> {
/// let peer = Peer::builder().proto(PbProto).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PbProto;

impl Proto for PbProto {
    fn version(&self) -> (u8, &'static str) {
        (b'p', "pb")
    }

    fn split(&self) -> (Box<dyn Pack>, Box<dyn Unpack>) {
        (
            Box::<pack::PbPack>::default(),
            Box::<unpack::PbUnpack>::default(),
        )
    }

    fn recognise(&self, env: &Env, bytes: &[u8]) -> Sniff {
        prefixed::recognise(env, bytes, unpack::recognise_payload)
    }
}

#[cfg(test)]
mod tests;
