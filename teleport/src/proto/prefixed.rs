//! The frames of json and pb: a size that does not count itself, filter ids, and a payload that is
//! filtered as a whole.

use bytes::{BufMut, BytesMut};

use super::{Env, ProtoError, ProtoErrorKind, Rollback, Sniff, framing};
use crate::xfer::Scratch;

/// The length of the size field.
const SIZE: usize = 4;

/// The version of the raw protocol, where these have their number of filters.
const RAW: u8 = b'r';

/// What stands before the filter ids: the size, and the number of filters.
const PREFIX: usize = SIZE + 1;

/// The size field of a frame with this payload, when it may be so large.
pub(super) fn size_field(env: &Env, ids: &[u8], payload: usize) -> Result<u32, ProtoError> {
    let size = (PREFIX - SIZE + ids.len()).saturating_add(payload);
    framing::size_field(&env.limits, size)
}

/// Writes what stands before the payload.
pub(super) fn put_prefix(size: u32, pipe: u8, ids: &[u8], dst: &mut BytesMut) {
    dst.put_u32(size);
    dst.put_u8(pipe);
    dst.extend_from_slice(ids);
}

/// Appends a frame with the payload that `write` appends to what it is given.
pub(super) fn pack(
    env: &Env,
    ids: &[u8],
    dst: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<(), ProtoError>,
) -> Result<(), ProtoError> {
    let pipe = framing::pipe_len(ids)?;
    let mut frame = Rollback::new(dst);
    put_prefix(0, pipe, ids, frame.buf());
    if ids.is_empty() {
        write(frame.buf())?;
    } else {
        framing::filter(env, ids, &mut frame, write)?;
    }
    let size = framing::size_field(&env.limits, frame.added().saturating_sub(SIZE))?;
    frame.patch(&size.to_be_bytes());
    frame.keep();
    Ok(())
}

/// A frame, its filters undone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacked<'a> {
    pub(super) ids: &'a [u8],
    pub(super) payload: &'a [u8],
    /// The length of the whole frame.
    pub(super) len: usize,
}

/// Takes the frame that `src` starts with apart. Until it is whole, no more is looked at than what
/// stands before the payload, so that it costs little to be asked again.
pub(super) fn unpack<'a>(
    env: &Env,
    src: &'a [u8],
    whole: bool,
    scratch: &'a mut Scratch,
) -> Result<Option<Unpacked<'a>>, ProtoError> {
    let len = check_prefix(env, src)?;
    let Some(frame) = framing::cut(src, len, whole)? else {
        return Ok(None);
    };
    let (ids, payload) = split_pipe(frame).ok_or_else(no_room)?;
    let payload = framing::unfilter(env, ids, payload, scratch)?;
    Ok(Some(Unpacked {
        ids,
        payload,
        len: frame.len(),
    }))
}

/// The length of the frame that `src` starts with, as it claims.
pub(super) fn frame_len(src: &[u8]) -> Option<usize> {
    let size = framing::claimed(*src.first_chunk()?);
    Some(size.saturating_add(SIZE))
}

/// Checks as much as is there of what stands before the payload, so that a stranger is told so at
/// once, and returns the length of the frame when that is.
pub(super) fn check_prefix(env: &Env, src: &[u8]) -> Result<Option<usize>, ProtoError> {
    let Some((&size, rest)) = src.split_first_chunk::<SIZE>() else {
        return Ok(None);
    };
    let size = framing::claimed(size);
    if size == 0 {
        return Err(no_room());
    }
    env.limits.check_message(size)?;
    let len = size.saturating_add(SIZE);
    let Some((&pipe, rest)) = rest.split_first() else {
        return Ok(Some(len));
    };
    let pipe = usize::from(pipe);
    env.limits.check_pipe(pipe)?;
    if size < 1 + pipe {
        return Err(framing::filters_past_end(pipe, len));
    }
    for &id in rest.iter().take(pipe) {
        env.filters.find(id)?;
    }
    Ok(Some(len))
}

/// Tells whether bytes begin a frame whose payload `look` knows: it is given what is there of a
/// payload, its filters undone, and whether that is all of it.
pub(super) fn recognise(env: &Env, src: &[u8], look: fn(&[u8], bool) -> Sniff) -> Sniff {
    let Some((prefix, rest)) = src.split_first_chunk::<PREFIX>() else {
        return Sniff::More;
    };
    let [a, b, c, d, pipe] = *prefix;
    let size = framing::claimed([a, b, c, d]);
    let ids = usize::from(pipe);
    // The raw protocol has its version there; nobody has so many filters.
    if pipe == RAW || size < 1 + ids {
        return Sniff::No;
    }
    if ids == 0 {
        let whole = rest.get(..size - 1);
        return look(whole.unwrap_or(rest), whole.is_some());
    }
    let mut scratch = Scratch::default();
    let is_whole = src.len() >= size.saturating_add(SIZE);
    let frame = src.get(..size.saturating_add(SIZE)).unwrap_or(src);
    match unpack(env, frame, is_whole, &mut scratch) {
        Ok(Some(unpacked)) => look(unpacked.payload, true),
        Ok(None) => Sniff::More,
        Err(_) => Sniff::No,
    }
}

/// The filter ids of a whole frame, and what stands behind them.
fn split_pipe(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = frame.split_first_chunk::<PREFIX>()?;
    rest.split_at_checked(usize::from(prefix[PREFIX - 1]))
}

#[cold]
fn no_room() -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::BadLength,
        "frame size 0 has no room for the number of transfer filters",
    )
}
