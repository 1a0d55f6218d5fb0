use bytes::{BufMut, BytesMut};

use super::{BODY, BODY_CODEC, LEN, META, MTYPE, SEQ, URI, VARINT};
use crate::{
    message::Head,
    proto::{
        Body, Env, Pack, ProtoError,
        framing::{pipe_len, text_len},
        prefixed,
    },
};

/// The writing side.
#[derive(Debug, Default)]
pub(super) struct PbPack;

impl Pack for PbPack {
    fn pack(
        &self,
        env: &Env,
        head: &Head<'_>,
        body: Body<'_>,
        dst: &mut BytesMut,
    ) -> Result<(), ProtoError> {
        check(head)?;
        let least = head_len(head).saturating_add(body.len_hint().map_or(0, field_len));
        if head.xfer.is_empty() {
            prefixed::size_field(env, head.xfer, least)?;
        }
        prefixed::pack(env, head.xfer, dst, |payload| {
            payload.reserve(least);
            put_head(head, payload);
            put_body(body, payload)
        })
    }

    fn pack_head(
        &self,
        env: &Env,
        head: &Head<'_>,
        body_len: usize,
        dst: &mut BytesMut,
    ) -> Option<Result<(), ProtoError>> {
        if !head.xfer.is_empty() {
            return None;
        }
        let mut write = || {
            check(head)?;
            let payload = head_len(head).saturating_add(field_len(body_len));
            let size = prefixed::size_field(env, head.xfer, payload)?;
            prefixed::put_prefix(size, 0, head.xfer, dst);
            put_head(head, dst);
            if body_len > 0 {
                put_body_len(body_len, dst);
            }
            Ok(())
        };
        Some(write())
    }
}

/// Refuses what the other protocols cannot carry, and a proxy could not hand on.
fn check(head: &Head<'_>) -> Result<(), ProtoError> {
    text_len("seq", head.seq)?;
    text_len("uri", head.uri)?;
    text_len("meta", head.meta)?;
    pipe_len(head.xfer)?;
    Ok(())
}

fn put_head(head: &Head<'_>, dst: &mut BytesMut) {
    put_bytes(SEQ, head.seq, dst);
    put_number(MTYPE, head.mtype.0, dst);
    put_bytes(URI, head.uri, dst);
    put_bytes(META, head.meta, dst);
    put_number(BODY_CODEC, head.body_codec, dst);
}

fn head_len(head: &Head<'_>) -> usize {
    let number = |value: u8| match value {
        0 => 0,
        1..0x80 => 2,
        _ => 3,
    };
    field_len(head.seq.len())
        + number(head.mtype.0)
        + field_len(head.uri.len())
        + field_len(head.meta.len())
        + number(head.body_codec)
}

/// The length of a field of so many bytes. One that is empty is left out.
fn field_len(len: usize) -> usize {
    if len == 0 {
        return 0;
    }
    len.saturating_add(1 + varint_len(len))
}

/// Writes the body; its length stands before it and may be known only behind it.
fn put_body(body: Body<'_>, dst: &mut BytesMut) -> Result<(), ProtoError> {
    let known = body.len_hint();
    match known {
        Some(0) => return Ok(()),
        Some(len) => {
            put_body_len(len, dst);
            return body.write(dst);
        }
        None => {}
    }
    let start = dst.len();
    body.write(dst)?;
    let end = dst.len();
    let len = end - start;
    if len > 0 {
        put_body_len(len, dst);
        // What was written last goes in front.
        let before = dst.len() - end;
        if let Some(field) = dst.get_mut(start..) {
            field.rotate_right(before);
        }
    }
    Ok(())
}

fn put_body_len(len: usize, dst: &mut BytesMut) {
    put_tag(BODY, LEN, dst);
    put_varint(len, dst);
}

fn put_bytes(field: u32, bytes: &[u8], dst: &mut BytesMut) {
    if !bytes.is_empty() {
        put_tag(field, LEN, dst);
        put_varint(bytes.len(), dst);
        dst.extend_from_slice(bytes);
    }
}

fn put_number(field: u32, value: u8, dst: &mut BytesMut) {
    if value != 0 {
        put_tag(field, VARINT, dst);
        put_varint(usize::from(value), dst);
    }
}

/// All fields have numbers below 16, so that their tags are one byte.
fn put_tag(field: u32, wire_type: u8, dst: &mut BytesMut) {
    dst.put_u8(u8::try_from(field << 3).unwrap_or_default() | wire_type);
}

fn put_varint(mut value: usize, dst: &mut BytesMut) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            return dst.put_u8(low);
        }
        dst.put_u8(low | 0x80);
    }
}

fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).unwrap_or_default()
}
