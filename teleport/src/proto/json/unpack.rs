use std::{mem, ops::Range};

use bytes::BytesMut;

use super::{
    scan::{Scanner, Text, bad},
    unescape::unescape,
};
use crate::{
    message::{Frame, Head, Mtype, text::quoted},
    proto::{Env, ProtoError, Sniff, Unpack, framing, prefixed, spare},
    xfer::{self, Scratch},
};

/// The reading side.
#[derive(Debug, Default)]
pub(super) struct JsonUnpack {
    /// What filters write to.
    scratch: Scratch,
    /// The texts that have escapes, without them.
    plain: BytesMut,
}

impl Unpack for JsonUnpack {
    fn unpack<'a>(
        &'a mut self,
        env: &Env,
        src: &'a [u8],
        whole: bool,
    ) -> Result<Option<(Frame<'a>, usize)>, ProtoError> {
        let Self { scratch, plain } = self;
        let Some(unpacked) = prefixed::unpack(env, src, whole, scratch)? else {
            return Ok(None);
        };
        xfer::recycle(plain);
        let fields = Fields::read(unpacked.payload, plain)?;
        let frame = fields.frame(unpacked.ids, plain);
        framing::check_answerable(&frame.head)?;
        Ok(Some((frame, unpacked.len)))
    }

    fn frame_len(&self, src: &[u8]) -> Option<usize> {
        prefixed::frame_len(src)
    }

    fn release(&mut self) {
        self.scratch.release();
        spare::give(mem::take(&mut self.plain));
    }
}

/// How many bytes of a payload are looked at to recognise it. It is done again whenever more has
/// come, and must not cost more each time.
const LOOKED_AT: usize = 256;

/// Tells whether a payload, or what is there of it, is of this protocol.
pub(in crate::proto) fn recognise_payload(payload: &[u8], whole: bool) -> Sniff {
    let start = payload.get(..LOOKED_AT);
    let end = match start {
        None if !whole => Sniff::More,
        _ => Sniff::No,
    };
    let mut scanner = Scanner::new(start.unwrap_or(payload));
    match scanner.peek() {
        None => return end,
        Some(b'{') => scanner.take(b'{'),
        Some(_) => return Sniff::No,
    };
    match scanner.peek() {
        None => end,
        // A pb message may begin with a line feed too, and then go on as it likes.
        Some(b'"' | b'}') if payload.starts_with(b"\n") => match whole {
            true if is_message(payload) => Sniff::Yes,
            true => Sniff::No,
            false => Sniff::More,
        },
        Some(b'"' | b'}') => Sniff::Yes,
        Some(_) => Sniff::No,
    }
}

fn is_message(payload: &[u8]) -> bool {
    let mut plain = spare::take();
    let is_message = Fields::read(payload, &mut plain).is_ok();
    spare::give(plain);
    is_message
}

/// Where the bytes of a field are.
#[derive(Clone, Debug)]
enum Place<'a> {
    /// In the payload.
    Here(&'a [u8]),
    /// In the buffer of texts without escapes.
    Plain(Range<usize>),
}

impl Place<'_> {
    fn of<'a>(place: Option<Place<'a>>, plain: &'a [u8]) -> &'a [u8] {
        match place {
            None => &[],
            Some(Place::Here(bytes)) => bytes,
            Some(Place::Plain(range)) => plain.get(range).unwrap_or_default(),
        }
    }
}

/// The fields that were found. Of one that comes again the first counts.
#[derive(Debug, Default)]
struct Fields<'a> {
    seq: Option<Place<'a>>,
    mtype: Option<u8>,
    uri: Option<Place<'a>>,
    meta: Option<Place<'a>>,
    body_codec: Option<u8>,
    body: Option<Place<'a>>,
}

impl<'a> Fields<'a> {
    fn read(payload: &'a [u8], plain: &mut BytesMut) -> Result<Self, ProtoError> {
        let mut fields = Self::default();
        let mut scanner = Scanner::new(payload);
        scanner.expect(b'{', "an object")?;
        if !scanner.take(b'}') {
            loop {
                let name = scanner.name()?;
                fields.read_value(name, &mut scanner, plain)?;
                if !scanner.take(b',') {
                    scanner.expect(b'}', "a comma or a closing brace")?;
                    break;
                }
            }
        }
        scanner.end()?;
        Ok(fields)
    }

    fn read_value(
        &mut self,
        name: Text<'a>,
        scanner: &mut Scanner<'a>,
        plain: &mut BytesMut,
    ) -> Result<(), ProtoError> {
        match &*field_name(name)? {
            b"seq" if self.seq.is_none() => self.seq = Some(text("seq", scanner, plain)?),
            b"mtype" if self.mtype.is_none() => self.mtype = Some(number("mtype", scanner)?),
            b"uri" if self.uri.is_none() => self.uri = Some(text("uri", scanner, plain)?),
            b"meta" if self.meta.is_none() => self.meta = Some(text("meta", scanner, plain)?),
            b"body_codec" if self.body_codec.is_none() => {
                self.body_codec = Some(number("body_codec", scanner)?);
            }
            b"body" if self.body.is_none() => self.body = Some(body(scanner, plain)?),
            _ => {
                scanner.value()?;
            }
        }
        Ok(())
    }

    fn frame(self, ids: &'a [u8], plain: &'a [u8]) -> Frame<'a> {
        Frame {
            head: Head {
                seq: Place::of(self.seq, plain),
                mtype: Mtype(self.mtype.unwrap_or_default()),
                uri: Place::of(self.uri, plain),
                meta: Place::of(self.meta, plain),
                body_codec: self.body_codec.unwrap_or_default(),
                xfer: ids,
            },
            body: Place::of(self.body, plain),
        }
    }
}

/// The name of a field, which is rarely written with escapes.
fn field_name(name: Text<'_>) -> Result<std::borrow::Cow<'_, [u8]>, ProtoError> {
    if !name.has_escapes {
        return Ok(name.raw.into());
    }
    let (text, mut plain) = ([name.raw, b"\""].concat(), BytesMut::new());
    unescape("the name of a field", &text, &mut plain)?;
    Ok(Vec::from(plain).into())
}

/// A field that is a string; a seq may be a number too, as it stands.
fn text<'a>(
    name: &'static str,
    scanner: &mut Scanner<'a>,
    plain: &mut BytesMut,
) -> Result<Place<'a>, ProtoError> {
    match scanner.peek() {
        Some(b'"') => string(name, scanner, plain),
        Some(b'0'..=b'9') if name == "seq" => Ok(Place::Here(scanner.value()?)),
        _ => match scanner.value()? {
            b"null" => Ok(Place::Here(&[])),
            other => Err(wrong(name, "a string", other)),
        },
    }
}

/// The body: what a string stands for, or any other value as it stands.
fn body<'a>(scanner: &mut Scanner<'a>, plain: &mut BytesMut) -> Result<Place<'a>, ProtoError> {
    if scanner.peek() == Some(b'"') {
        return string("body", scanner, plain);
    }
    let value = scanner.value()?;
    Ok(Place::Here(if value == b"null" { &[] } else { value }))
}

fn string<'a>(
    name: &'static str,
    scanner: &mut Scanner<'a>,
    plain: &mut BytesMut,
) -> Result<Place<'a>, ProtoError> {
    if let Some(text) = scanner.plain_string()? {
        return Ok(Place::Here(text));
    }
    if plain.capacity() == 0 {
        *plain = spare::take();
    }
    let start = plain.len();
    // There is room made for all of a text, and behind the body there is rarely much.
    let text = match name {
        "body" => scanner.rest(),
        _ => scanner.to_quote()?,
    };
    let len = unescape(name, text, plain)?;
    scanner.pass(len);
    Ok(Place::Plain(start..plain.len()))
}

/// A field that is a byte.
fn number(name: &'static str, scanner: &mut Scanner<'_>) -> Result<u8, ProtoError> {
    let value = scanner.value()?;
    if value == b"null" {
        return Ok(0);
    }
    let number = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
    number.ok_or_else(|| wrong(name, "a number from 0 to 255", value))
}

#[cold]
fn wrong(name: &str, due: &str, value: &[u8]) -> ProtoError {
    let shown = quoted(value.get(..24).unwrap_or(value));
    bad(format!("{name} is {shown}, not {due}"))
}
