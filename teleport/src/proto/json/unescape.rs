//! Undoing the escapes of a string.

use bytes::BytesMut;

use super::{
    find,
    scan::{bad, cut_off},
};
use crate::{
    message::text::{quoted, unicode_escape},
    proto::ProtoError,
};

/// How much is written at once.
const WORD: usize = 8;

/// Appends to `dst` what a string stands for that `text` begins with, behind its first quote, and says
/// how long it is there, the last quote included.
pub(super) fn unescape(name: &str, text: &[u8], dst: &mut BytesMut) -> Result<usize, ProtoError> {
    let start = dst.len();
    // No escape is shorter than what it stands for.
    dst.resize(start + text.len() + WORD, 0);
    let result = run(name, text, dst, start);
    let end = result.as_ref().map_or(start, |(_, end)| *end);
    dst.truncate(end);
    result.map(|(read, _)| read)
}

fn run(
    name: &str,
    text: &[u8],
    dst: &mut [u8],
    mut write: usize,
) -> Result<(usize, usize), ProtoError> {
    let mut read = 0;
    loop {
        let rest = text.get(read..).unwrap_or_default();
        match rest {
            [b'"', ..] => return Ok((read + 1, write)),
            [b'\\', letter, digits @ ..] => {
                let letter = *letter;
                if let Some(byte) = short(letter) {
                    if let Some(place) = dst.get_mut(write) {
                        *place = byte;
                    }
                    write += 1;
                    read += 2;
                } else if let Some((letter, used)) = unicode(letter, digits) {
                    let mut bytes = [0; 4];
                    let letter = letter.encode_utf8(&mut bytes).as_bytes();
                    put(dst, write, letter);
                    write += letter.len();
                    read += 2 + used;
                } else {
                    return Err(unknown(name, rest));
                }
            }
            [b'\\'] => return Err(cut_off("a string")),
            _ => {
                let run = match rest.first_chunk() {
                    Some(word) => {
                        if let Some(place) = dst.get_mut(write..write + WORD) {
                            place.copy_from_slice(word);
                        }
                        find::quote_in(*word)
                    }
                    None => {
                        let run = find::quote(rest).ok_or_else(|| cut_off("a string"))?;
                        put(dst, write, rest.get(..run).unwrap_or_default());
                        run
                    }
                };
                read += run;
                write += run;
            }
        }
    }
}

fn put(dst: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = dst.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// What an escape of one letter stands for.
const fn short(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' | b'\\' | b'/' => letter,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'f' => 0x0c,
        _ => return None,
    })
}

fn unicode(letter: u8, digits: &[u8]) -> Option<(char, usize)> {
    if letter != b'u' {
        return None;
    }
    unicode_escape(digits)
}

#[cold]
fn unknown(name: &str, escape: &[u8]) -> ProtoError {
    let end = escape.iter().skip(2).take_while(|byte| **byte != b'"');
    let len = (2 + end.count()).min(6);
    let shown = quoted(escape.get(..len).unwrap_or(escape));
    bad(format!(
        "{name} has an escape that JSON does not know: {shown}"
    ))
}
