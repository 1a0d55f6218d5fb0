use super::{MIN_PAYLOAD, PREFIX, VERSION};
use crate::{
    message::{Frame, Head, Mtype},
    proto::{Env, Limits, ProtoError, ProtoErrorKind, Unpack, framing},
    xfer::Scratch,
};

/// The reading side; its buffers serve messages with filters only.
#[derive(Debug, Default)]
pub(super) struct RawUnpack {
    scratch: Scratch,
}

impl Unpack for RawUnpack {
    fn unpack<'a>(
        &'a mut self,
        env: &Env,
        src: &'a [u8],
        whole: bool,
    ) -> Result<Option<(Frame<'a>, usize)>, ProtoError> {
        let size = check_prefix(&env.limits, src)?;
        let Some(frame) = framing::cut(src, size, whole)? else {
            return Ok(None);
        };
        let (ids, payload) = split_pipe(frame)?;
        let payload = framing::unfilter(env, ids, payload, &mut self.scratch)?;
        Ok(Some((parse(ids, payload)?, frame.len())))
    }

    fn frame_len(&self, src: &[u8]) -> Option<usize> {
        src.first_chunk::<4>().map(|size| framing::claimed(*size))
    }

    fn release(&mut self) {
        self.scratch.release();
    }
}

/// Checks as much of the first six bytes as is there, so that a stranger is told so at once, and
/// returns the size when that is.
fn check_prefix(limits: &Limits, src: &[u8]) -> Result<Option<usize>, ProtoError> {
    let Some((&size, rest)) = src.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let size = framing::claimed(size);
    if size < PREFIX {
        return Err(too_small(size));
    }
    limits.check_message(size)?;
    if let Some(&version) = rest.first().filter(|version| **version != VERSION) {
        return Err(bad_version(version));
    }
    let Some(pipe) = rest.get(1).map(|&pipe| usize::from(pipe)) else {
        return Ok(Some(size));
    };
    limits.check_pipe(pipe)?;
    if pipe == 0 && size < PREFIX + MIN_PAYLOAD {
        return Err(too_small(size));
    }
    if size < PREFIX + pipe {
        return Err(framing::filters_past_end(pipe, size));
    }
    Ok(Some(size))
}

/// The filter ids of a whole frame, and what stands behind them.
fn split_pipe(frame: &[u8]) -> Result<(&[u8], &[u8]), ProtoError> {
    frame
        .split_first_chunk::<PREFIX>()
        .and_then(|(prefix, rest)| rest.split_at_checked(usize::from(prefix[PREFIX - 1])))
        .ok_or_else(|| too_small(frame.len()))
}

fn parse<'a>(ids: &'a [u8], payload: &'a [u8]) -> Result<Frame<'a>, ProtoError> {
    let mut rest = Rest(payload);
    let seq = rest.text("seq")?;
    let mtype = Mtype(rest.byte("mtype")?);
    let uri = rest.text("uri")?;
    let meta = rest.text("meta")?;
    let body_codec = rest.byte("body codec")?;
    Ok(Frame {
        head: Head {
            seq,
            mtype,
            uri,
            meta,
            body_codec,
            xfer: ids,
        },
        body: rest.0,
    })
}

/// What is left of a payload.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self, name: &'static str) -> Result<u8, ProtoError> {
        let (byte, rest) = self.0.split_first().ok_or_else(|| missing(name))?;
        self.0 = rest;
        Ok(*byte)
    }

    /// Two bytes of length, and so many bytes.
    fn text(&mut self, name: &'static str) -> Result<&'a [u8], ProtoError> {
        let (len, rest) = self
            .0
            .split_first_chunk::<2>()
            .ok_or_else(|| missing(name))?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (text, rest) = rest
            .split_at_checked(len)
            .ok_or_else(|| past(name, len, rest.len()))?;
        self.0 = rest;
        Ok(text)
    }
}

#[cold]
fn too_small(size: usize) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::BadLength,
        format!(
            "frame size {size} is below the smallest frame of {} bytes",
            PREFIX + MIN_PAYLOAD
        ),
    )
}

#[cold]
fn bad_version(version: u8) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::BadVersion,
        format!("protocol version is {version:#04x}, not {VERSION:#04x} (raw)"),
    )
}

#[cold]
fn missing(name: &str) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::BadLength,
        format!("the frame ends before its {name}"),
    )
}

#[cold]
fn past(name: &str, len: usize, left: usize) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::BadLength,
        format!("{name} of {len} bytes runs past the end of the frame: {left} bytes are left"),
    )
}
