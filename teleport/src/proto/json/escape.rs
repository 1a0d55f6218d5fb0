//! Escapes in the texts of a message, where they stand.

use bytes::BytesMut;

use super::find;

/// Puts the escapes into what stands in `dst` from `from` on. `more` is what they take beside the
/// text itself, by [`find::escapes_len`].
///
/// Works from the end, so that every byte moves once, and nothing is needed to hold the text.
pub(super) fn escape_tail(dst: &mut BytesMut, from: usize, more: usize) {
    let mut unread = dst.len();
    let mut unwritten = unread + more;
    dst.resize(unwritten, 0);
    while unwritten > unread {
        let Some(text) = dst.get(from..unread) else {
            return;
        };
        let Some(at) = find::last_escaped(text).map(|at| from + at) else {
            return;
        };
        let plain = at + 1..unread;
        unwritten -= plain.len();
        let byte = dst.get(at).copied().unwrap_or_default();
        dst.copy_within(plain, unwritten);
        let (escape, len) = escape_of(byte);
        let escape = escape.get(..len).unwrap_or_default();
        unwritten -= escape.len();
        if let Some(place) = dst.get_mut(unwritten..unwritten + escape.len()) {
            place.copy_from_slice(escape);
        }
        unread = at;
    }
}

/// The escape of a byte, and its length.
fn escape_of(byte: u8) -> ([u8; 6], usize) {
    let short = match byte {
        b'\t' => b't',
        b'\n' => b'n',
        b'\r' => b'r',
        b'"' | b'\\' => byte,
        _ => {
            let digits = [hex(byte >> 4), hex(byte & 15)];
            return ([b'\\', b'u', b'0', b'0', digits[0], digits[1]], 6);
        }
    };
    ([b'\\', short, 0, 0, 0, 0], 2)
}

const fn hex(digit: u8) -> u8 {
    match digit {
        0..10 => b'0' + digit,
        _ => b'a' + digit - 10,
    }
}
