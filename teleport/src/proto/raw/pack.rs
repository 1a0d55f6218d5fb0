use bytes::{BufMut, BytesMut};

use super::{MIN_PAYLOAD, PREFIX, VERSION};
use crate::{
    message::Head,
    proto::{
        Body, Env, Pack, ProtoError, Rollback,
        framing::{self, pipe_len, size_field, text_len},
    },
};

/// The writing side.
#[derive(Debug, Default)]
pub(super) struct RawPack;

impl Pack for RawPack {
    fn pack(
        &self,
        env: &Env,
        head: &Head<'_>,
        body: Body<'_>,
        dst: &mut BytesMut,
    ) -> Result<(), ProtoError> {
        let fields = Fields::of(head)?;
        let mut frame = Rollback::new(dst);
        if head.xfer.is_empty() {
            let body_len = body.len_hint().unwrap_or_default();
            size_field(&env.limits, fields.frame_len(body_len))?;
            frame.buf().reserve(fields.frame_len(body_len));
            put_prefix(head, 0, fields.pipe, frame.buf());
            fields.put(head, frame.buf());
            body.write(frame.buf())?;
        } else {
            put_prefix(head, 0, fields.pipe, frame.buf());
            framing::filter(env, head.xfer, &mut frame, |payload| {
                fields.put(head, payload);
                body.write(payload)
            })?;
        }
        let size = size_field(&env.limits, frame.added())?;
        frame.patch(&size.to_be_bytes());
        frame.keep();
        Ok(())
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
            let fields = Fields::of(head)?;
            let size = size_field(&env.limits, fields.frame_len(body_len))?;
            dst.reserve(fields.frame_len(0));
            put_prefix(head, size, fields.pipe, dst);
            fields.put(head, dst);
            Ok(())
        };
        Some(write())
    }
}

/// The lengths of a head's parts, each checked to fit its field.
struct Fields {
    seq: u16,
    uri: u16,
    meta: u16,
    pipe: u8,
}

impl Fields {
    fn of(head: &Head<'_>) -> Result<Self, ProtoError> {
        Ok(Self {
            seq: text_len("seq", head.seq)?,
            uri: text_len("uri", head.uri)?,
            meta: text_len("meta", head.meta)?,
            pipe: pipe_len(head.xfer)?,
        })
    }

    fn payload_len(&self) -> usize {
        MIN_PAYLOAD + usize::from(self.seq) + usize::from(self.uri) + usize::from(self.meta)
    }

    /// The length of a frame whose payload is not filtered.
    fn frame_len(&self, body_len: usize) -> usize {
        (PREFIX + usize::from(self.pipe) + self.payload_len()).saturating_add(body_len)
    }

    /// Writes what stands between the filter ids and the body.
    fn put(&self, head: &Head<'_>, dst: &mut BytesMut) {
        dst.reserve(self.payload_len());
        dst.put_u16(self.seq);
        dst.extend_from_slice(head.seq);
        dst.put_u8(head.mtype.0);
        dst.put_u16(self.uri);
        dst.extend_from_slice(head.uri);
        dst.put_u16(self.meta);
        dst.extend_from_slice(head.meta);
        dst.put_u8(head.body_codec);
    }
}

fn put_prefix(head: &Head<'_>, size: u32, pipe: u8, dst: &mut BytesMut) {
    dst.put_u32(size);
    dst.put_u8(VERSION);
    dst.put_u8(pipe);
    dst.extend_from_slice(head.xfer);
}
