//! What protocols share whose frames start with their size and the ids of their filters.

use bytes::BytesMut;

use super::{Env, Limits, ProtoError, ProtoErrorKind, Rollback, spare};
use crate::message::{Head, Mtype};
use crate::xfer::{self, Scratch};

/// The size that the first four bytes of a frame claim.
pub(super) fn claimed(size: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX)
}

/// What goes into a size field, when the limit and the field allow it.
pub(super) fn size_field(limits: &Limits, size: usize) -> Result<u32, ProtoError> {
    limits.check_message(size)?;
    u32::try_from(size).map_err(|_| {
        let text = format!(
            "message of {size} bytes exceeds the {} that a frame can say",
            u32::MAX
        );
        ProtoError::new(ProtoErrorKind::TooLarge, text)
    })
}

/// The length of a text, when every protocol can carry it.
pub(super) fn text_len(name: &'static str, text: &[u8]) -> Result<u16, ProtoError> {
    u16::try_from(text.len()).map_err(|_| too_long(name, text.len()))
}

/// Refuses a CALL that could never be answered, as no reply may repeat its sequence text: json and pb
/// can carry a longer one than may be written.
pub(super) fn check_answerable(head: &Head<'_>) -> Result<(), ProtoError> {
    if head.mtype == Mtype::CALL {
        text_len("seq", head.seq)?;
    }
    Ok(())
}

/// The number of filters, when the wire can say it.
pub(super) fn pipe_len(ids: &[u8]) -> Result<u8, ProtoError> {
    u8::try_from(ids.len()).map_err(|_| too_many(ids.len()))
}

/// Cuts off the frame that `src` starts with, `len` long if that is known yet. `None` when more
/// bytes are needed, which is an error when they are the `whole` of it.
pub(super) fn cut(
    src: &[u8],
    len: Option<usize>,
    whole: bool,
) -> Result<Option<&[u8]>, ProtoError> {
    let Some(frame) = len.and_then(|len| src.get(..len)) else {
        return if whole {
            Err(incomplete(src.len(), len))
        } else {
            Ok(None)
        };
    };
    if whole && src.len() > frame.len() {
        return Err(trailing(src.len() - frame.len(), frame.len()));
    }
    Ok(Some(frame))
}

/// Undoes the filters of a payload, within the limits.
pub(super) fn unfilter<'a>(
    env: &Env,
    ids: &[u8],
    payload: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<&'a [u8], ProtoError> {
    scratch.recycle();
    if ids.is_empty() {
        return Ok(payload);
    }
    let limit = env.limits.message;
    Ok(xfer::unpack_through(
        &env.filters,
        ids,
        payload,
        limit,
        scratch,
    )?)
}

/// Appends what the filters make of the payload that `write` appends to the buffer it is given.
pub(super) fn filter(
    env: &Env,
    ids: &[u8],
    frame: &mut Rollback<'_>,
    write: impl FnOnce(&mut BytesMut) -> Result<(), ProtoError>,
) -> Result<(), ProtoError> {
    let mut payload = spare::take();
    write(&mut payload)?;
    let (filters, scratch) = (&env.filters, &mut Scratch::default());
    xfer::pack_through(filters, ids, &payload, frame.buf(), scratch)?;
    spare::give(payload);
    Ok(())
}

#[cold]
fn incomplete(len: usize, frame: Option<usize>) -> ProtoError {
    let text = match frame {
        Some(frame) => format!("{len} bytes of a frame of {frame}"),
        None => format!("{len} bytes of the 4 that tell the size of a frame"),
    };
    ProtoError::new(ProtoErrorKind::Incomplete, text)
}

#[cold]
fn trailing(len: usize, frame: usize) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::Trailing,
        format!("{len} bytes behind the end of a frame of {frame} bytes"),
    )
}

#[cold]
fn too_long(name: &str, len: usize) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::BadLength,
        format!(
            "{name} of {len} bytes exceeds the {} that its length field can say",
            u16::MAX
        ),
    )
}

#[cold]
fn too_many(len: usize) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::BadField,
        format!("too many transfer filters: {len}, the limit is {}", u8::MAX),
    )
}

/// Says that the filter ids of a frame run past its end.
#[cold]
pub(super) fn filters_past_end(pipe: usize, frame: usize) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::BadLength,
        format!("{pipe} transfer filters run past the end of a frame of {frame} bytes"),
    )
}
