use serde::ser::{Serialize, SerializeMap, Serializer};
use teleport::{
    message::{Frame, Meta},
    proto::{Env, ProtoErrorKind, Unpack},
};

use super::Refusal;
use crate::{
    hex,
    show::{self, to_json},
};

/// A frame, as it is shown. What is not UTF-8 is shown in hex instead.
struct Shown<'a> {
    frame: Frame<'a>,
    size: usize,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = &self.frame.head;
        let mut map = serializer.serialize_map(None)?;
        show::text(&mut map, show::SEQ, head.seq)?;
        map.serialize_entry("mtype", &head.mtype.0)?;
        show::text(&mut map, show::URI, head.uri)?;
        show::meta(&mut map, &Meta::from_encoded(head.meta.to_vec()))?;
        map.serialize_entry("body_codec", &head.body_codec)?;
        map.serialize_entry("xfer", head.xfer)?;
        map.serialize_entry("body_hex", &hex::encode(self.frame.body))?;
        map.serialize_entry("size", &self.size)?;
        map.end()
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
    Ok(to_json(&Shown { frame, size }))
}
