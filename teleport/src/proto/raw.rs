//! The raw protocol, id `r`, the default one.

mod pack;
mod unpack;

use super::{Env, Pack, Proto, Sniff, Unpack};

const VERSION: u8 = b'r';

/// What stands before the filter ids: size, version, number of filters.
const PREFIX: usize = 6;

/// The shortest payload: three lengths, mtype and codec.
const MIN_PAYLOAD: usize = 8;

/// The raw protocol, id `r`: a length-prefixed binary frame, the smallest and fastest there is.
///
/// ```text
/// 4  size of the whole frame, these four bytes included
/// 1  version, always `r`
/// 1  number n of transfer filters
/// n  their ids, outermost first
/// -- what follows is filtered --
/// 2  length of the seq, and the seq
/// 1  mtype
/// 2  length of the uri, and the uri
/// 2  length of the meta, and the urlencoded meta
/// 1  body codec
/// .. body, to the end of the frame
/// ```
///
/// All numbers are big endian.
/// The seq, the uri and the meta are at most 65535 bytes each.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawProto;

impl Proto for RawProto {
    fn version(&self) -> (u8, &'static str) {
        (VERSION, "raw")
    }

    fn split(&self) -> (Box<dyn Pack>, Box<dyn Unpack>) {
        (
            Box::<pack::RawPack>::default(),
            Box::<unpack::RawUnpack>::default(),
        )
    }

    fn recognise(&self, _env: &Env, bytes: &[u8]) -> Sniff {
        match bytes.get(4) {
            None => Sniff::More,
            Some(&VERSION) => Sniff::Yes,
            Some(_) => Sniff::No,
        }
    }
}

#[cfg(test)]
mod tests;
