//! Strings of JSON with the escapes that Go's encoder gives.

use std::fmt::{self, Display};

use bytes::{BufMut, BytesMut};

use super::super::fail::Fail;

pub(super) fn put_string(dst: &mut BytesMut, text: &str) {
    dst.reserve(text.len() + 2);
    dst.put_u8(b'"');
    put_escaped(dst, text);
    dst.put_u8(b'"');
}

pub(super) fn put_quoted<T: Display + ?Sized>(dst: &mut BytesMut, value: &T) -> Result<(), Fail> {
    dst.put_u8(b'"');
    fmt::write(&mut Escaping { dst }, format_args!("{value}"))
        .map_err(|_| Fail::other("a Display implementation failed"))?;
    dst.put_u8(b'"');
    Ok(())
}

struct Escaping<'a> {
    dst: &'a mut BytesMut,
}

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        put_escaped(self.dst, text);
        Ok(())
    }
}

/// Appends the text with its escapes, runs of ordinary bytes at once.
pub(super) fn put_escaped(dst: &mut BytesMut, text: &str) {
    let mut rest = text.as_bytes();
    let mut searched = 0;
    while let Some(at) = rest
        .iter()
        .skip(searched)
        .position(|byte| needs_a_look(*byte))
    {
        let at = at + searched;
        let (plain, tail) = rest.split_at(at);
        let used = match tail {
            // U+2028 and U+2029, the only ones of this lead byte that are escaped.
            [0xe2, 0x80, last @ (0xa8 | 0xa9), ..] => {
                dst.put_slice(plain);
                dst.put_slice(if *last == 0xa8 {
                    b"\\u2028"
                } else {
                    b"\\u2029"
                });
                3
            }
            [0xe2, ..] => {
                searched = at + 1;
                continue;
            }
            [byte, ..] => {
                dst.put_slice(plain);
                put_escape(dst, *byte);
                1
            }
            [] => break,
        };
        rest = tail.get(used..).unwrap_or_default();
        searched = 0;
    }
    dst.put_slice(rest);
}

const fn needs_a_look(byte: u8) -> bool {
    matches!(byte, 0..=0x1f | b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)
}

fn put_escape(dst: &mut BytesMut, byte: u8) {
    match byte {
        b'"' => dst.put_slice(b"\\\""),
        b'\\' => dst.put_slice(b"\\\\"),
        b'\n' => dst.put_slice(b"\\n"),
        b'\r' => dst.put_slice(b"\\r"),
        b'\t' => dst.put_slice(b"\\t"),
        _ => {
            dst.put_slice(b"\\u00");
            dst.put_u8(hex(byte >> 4));
            dst.put_u8(hex(byte & 15));
        }
    }
}

const fn hex(nibble: u8) -> u8 {
    if nibble < 10 {
        b'0' + nibble
    } else {
        b'a' + nibble - 10
    }
}
