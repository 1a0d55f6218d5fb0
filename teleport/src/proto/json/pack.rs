use std::io::Write as _;

use bytes::{BufMut, BytesMut};

use super::{escape::escape_tail, find};
use crate::{
    message::Head,
    proto::{
        Body, Env, Pack, ProtoError,
        framing::{pipe_len, text_len},
        prefixed,
    },
};

/// What stands around the fields: names, quotes, commas, and two numbers of three digits.
const AROUND: usize = 72;

/// The writing side.
#[derive(Debug, Default)]
pub(super) struct JsonPack;

impl Pack for JsonPack {
    fn pack(
        &self,
        env: &Env,
        head: &Head<'_>,
        body: Body<'_>,
        dst: &mut BytesMut,
    ) -> Result<(), ProtoError> {
        let texts = text_len("seq", head.seq)?;
        let uri = text_len("uri", head.uri)?;
        let meta = text_len("meta", head.meta)?;
        pipe_len(head.xfer)?;
        let texts = usize::from(texts) + usize::from(uri) + usize::from(meta);
        let least = texts.saturating_add(body.len_hint().unwrap_or_default());
        let is_filtered = !head.xfer.is_empty();
        if !is_filtered {
            prefixed::size_field(env, head.xfer, least)?;
        }
        prefixed::pack(env, head.xfer, dst, |payload| {
            payload.reserve(least.saturating_add(AROUND));
            let start = payload.len();
            put_text(b"{\"seq\":\"", head.seq, payload);
            put_number(b"\",\"mtype\":", head.mtype.0, payload);
            put_text(b",\"uri\":\"", head.uri, payload);
            put_text(b"\",\"meta\":\"", head.meta, payload);
            put_number(b"\",\"body_codec\":", head.body_codec, payload);
            payload.extend_from_slice(b",\"body\":\"");
            let from = payload.len();
            body.write(payload)?;
            let more = find::escapes_len(payload.get(from..).unwrap_or_default());
            if !is_filtered {
                // Escapes can make six bytes of one: no room is made for what is too large anyhow.
                let len = payload.len() - start + more + 2;
                prefixed::size_field(env, head.xfer, len)?;
            }
            if more > 0 {
                escape_tail(payload, from, more);
            }
            payload.extend_from_slice(b"\"}");
            Ok(())
        })
    }
}

/// Writes a name and a text, whose closing quote is the next name's.
fn put_text(name: &[u8], text: &[u8], dst: &mut BytesMut) {
    dst.extend_from_slice(name);
    let from = dst.len();
    dst.extend_from_slice(text);
    let more = find::escapes_len(text);
    if more > 0 {
        escape_tail(dst, from, more);
    }
}

fn put_number(name: &[u8], number: u8, dst: &mut BytesMut) {
    dst.extend_from_slice(name);
    // Writing to a buffer that grows cannot fail.
    let _ = write!(dst.writer(), "{number}");
}
