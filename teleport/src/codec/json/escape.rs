//! Strings of JSON with the escapes that Go's encoder gives.

use std::fmt::{self, Display};

use super::super::fail::Fail;
use super::super::number::Sink;
use super::out::Out;

pub(super) fn put_string(dst: &mut Out<'_>, text: &str) {
    dst.put_u8(b'"');
    put_escaped(dst, text);
    dst.put_u8(b'"');
}

pub(super) fn put_quoted<T: Display + ?Sized>(dst: &mut Out<'_>, value: &T) -> Result<(), Fail> {
    dst.put_u8(b'"');
    fmt::write(&mut Escaping { dst }, format_args!("{value}"))
        .map_err(|_| Fail::other("a Display implementation failed"))?;
    dst.put_u8(b'"');
    Ok(())
}

struct Escaping<'a, 'b> {
    dst: &'a mut Out<'b>,
}

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        put_escaped(self.dst, text);
        Ok(())
    }
}

/// Appends the text with its escapes, runs of ordinary bytes at once.
pub(super) fn put_escaped(dst: &mut Out<'_>, text: &str) {
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
                dst.put(plain);
                dst.put(if *last == 0xa8 {
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
                dst.put(plain);
                put_escape(dst, *byte);
                1
            }
            [] => break,
        };
        rest = tail.get(used..).unwrap_or_default();
        searched = 0;
    }
    dst.put(rest);
}

fn needs_a_look(byte: u8) -> bool {
    LOOK.get(usize::from(byte)).is_some_and(|look| *look)
}

/// The bytes that are escaped, and the lead byte of the letters that are.
#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const LOOK: [bool; 256] = {
    let mut look = [false; 256];
    let mut at = 0;
    while at < 0x20 {
        look[at] = true;
        at += 1;
    }
    look[b'"' as usize] = true;
    look[b'\\' as usize] = true;
    look[b'<' as usize] = true;
    look[b'>' as usize] = true;
    look[b'&' as usize] = true;
    look[0xe2] = true;
    look
};

fn put_escape(dst: &mut Out<'_>, byte: u8) {
    match byte {
        b'"' => dst.put(b"\\\""),
        b'\\' => dst.put(b"\\\\"),
        b'\n' => dst.put(b"\\n"),
        b'\r' => dst.put(b"\\r"),
        b'\t' => dst.put(b"\\t"),
        _ => {
            dst.put(b"\\u00");
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
