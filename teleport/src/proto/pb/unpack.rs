use super::{BODY, BODY_CODEC, FIXED_32, FIXED_64, LEN, META, MTYPE, SEQ, URI, VARINT};
use crate::{
    message::{Frame, Head, Mtype},
    proto::{Env, ProtoError, ProtoErrorKind, Sniff, Unpack, framing, json, prefixed},
    xfer::Scratch,
};

/// The reading side; its buffers serve messages with filters only.
#[derive(Debug, Default)]
pub(super) struct PbUnpack {
    scratch: Scratch,
}

impl Unpack for PbUnpack {
    fn unpack<'a>(
        &'a mut self,
        env: &Env,
        src: &'a [u8],
        whole: bool,
    ) -> Result<Option<(Frame<'a>, usize)>, ProtoError> {
        let Some(unpacked) = prefixed::unpack(env, src, whole, &mut self.scratch)? else {
            return Ok(None);
        };
        let frame = parse(unpacked.ids, unpacked.payload)?;
        framing::check_answerable(&frame.head)?;
        Ok(Some((frame, unpacked.len)))
    }

    fn frame_len(&self, src: &[u8]) -> Option<usize> {
        prefixed::frame_len(src)
    }

    fn release(&mut self) {
        self.scratch.release();
    }
}

/// Tells whether a payload, or what is there of it, is of this protocol.
pub(super) fn recognise_payload(payload: &[u8], whole: bool) -> Sniff {
    match payload.first() {
        None if whole => Sniff::Yes,
        None => Sniff::More,
        // The tag of a seq, or a line feed before the object of a json message.
        Some(0x0a) => match json::recognise_payload(payload, whole) {
            Sniff::Yes => Sniff::No,
            Sniff::No => Sniff::Yes,
            Sniff::More => Sniff::More,
        },
        // The other fields that there are.
        Some(0x10 | 0x1a | 0x22 | 0x28 | 0x32) => Sniff::Yes,
        Some(_) if whole && parse(&[], payload).is_ok() => Sniff::Yes,
        Some(_) if !whole && Rest(payload).may_be_unknown() => Sniff::More,
        Some(_) => Sniff::No,
    }
}

fn parse<'a>(ids: &'a [u8], payload: &'a [u8]) -> Result<Frame<'a>, ProtoError> {
    let mut frame = Frame {
        head: Head {
            xfer: ids,
            ..Head::default()
        },
        body: &[],
    };
    let head = &mut frame.head;
    let mut rest = Rest(payload);
    // Of a field that comes again the last counts.
    while !rest.0.is_empty() {
        let (field, wire_type) = rest.tag()?;
        match field {
            SEQ => head.seq = rest.bytes("seq", wire_type)?,
            MTYPE => head.mtype = Mtype(rest.number("mtype", wire_type)?),
            URI => head.uri = rest.bytes("uri", wire_type)?,
            META => head.meta = rest.bytes("meta", wire_type)?,
            BODY_CODEC => head.body_codec = rest.number("body_codec", wire_type)?,
            BODY => frame.body = rest.bytes("body", wire_type)?,
            _ => rest.skip(field, wire_type)?,
        }
    }
    Ok(frame)
}

/// What is left of a payload.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// The number of a field, and its wire type.
    fn tag(&mut self) -> Result<(u32, u8), ProtoError> {
        let tag = self.varint("a tag")?;
        let wire_type = u8::try_from(tag & 7).unwrap_or_default();
        match u32::try_from(tag >> 3) {
            Ok(field @ 1..0x2000_0000) => Ok((field, wire_type)),
            _ => Err(bad(format!("{} is no number of a field", tag >> 3))),
        }
    }

    /// Whether a field that is not known may begin here.
    fn may_be_unknown(&mut self) -> bool {
        match self.tag() {
            Ok((field, wire_type)) => {
                field > BODY && matches!(wire_type, VARINT | FIXED_64 | LEN | FIXED_32)
            }
            Err(error) => error.kind() == ProtoErrorKind::BadLength,
        }
    }

    fn number(&mut self, name: &'static str, wire_type: u8) -> Result<u8, ProtoError> {
        expect(name, VARINT, wire_type)?;
        let value = self.varint(name)?;
        u8::try_from(value).map_err(|_| {
            // An int32 below zero is written with the bits of an int64.
            let value = value.cast_signed();
            bad(format!("{name} is {value}, not a number from 0 to 255"))
        })
    }

    fn bytes(&mut self, name: &'static str, wire_type: u8) -> Result<&'a [u8], ProtoError> {
        expect(name, LEN, wire_type)?;
        let len = self.varint(name)?;
        usize::try_from(len)
            .ok()
            .and_then(|len| self.take(len))
            .ok_or_else(|| {
                let left = self.0.len();
                length(format!(
                    "{name} of {len} bytes runs past the end of the payload: {left} bytes are left"
                ))
            })
    }

    fn skip(&mut self, field: u32, wire_type: u8) -> Result<(), ProtoError> {
        let len = match wire_type {
            VARINT => {
                self.varint("an unknown field")?;
                return Ok(());
            }
            LEN => {
                self.bytes("an unknown field", LEN)?;
                return Ok(());
            }
            FIXED_64 => 8,
            FIXED_32 => 4,
            other => return Err(bad(format!("field {field} is of the wire type {other}"))),
        };
        self.take(len)
            .map(|_| ())
            .ok_or_else(|| length("the payload ends within an unknown field"))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self, what: &'static str) -> Result<u64, ProtoError> {
        let mut value = 0;
        for (at, &byte) in self.0.iter().enumerate().take(10) {
            if at == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        if self.0.len() < 10 {
            return Err(length(format!("the payload ends within {what}")));
        }
        Err(bad(format!("{what} has a number of more than 64 bits")))
    }
}

fn expect(name: &'static str, due: u8, wire_type: u8) -> Result<(), ProtoError> {
    if wire_type == due {
        return Ok(());
    }
    Err(bad(format!(
        "{name} is of the wire type {wire_type}, not {due}"
    )))
}

#[cold]
fn bad(text: String) -> ProtoError {
    ProtoError::new(ProtoErrorKind::BadField, text)
}

#[cold]
fn length(text: impl Into<std::borrow::Cow<'static, str>>) -> ProtoError {
    ProtoError::new(ProtoErrorKind::BadLength, text)
}
