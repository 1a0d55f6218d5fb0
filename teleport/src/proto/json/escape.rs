//! Escapes in the texts of a message, where they stand.

use bytes::BytesMut;

use super::find;

/// How far the reading has to be ahead, for eight bytes are written at once.
const AHEAD: usize = 8;

/// Puts the escapes into what stands in `dst` from `from` on. `more` is what they take beside the
/// text itself, by [`find::escapes_len`].
///
/// The text is moved out of the way once, and nothing else is needed to hold it.
pub(super) fn escape_tail(dst: &mut BytesMut, from: usize, more: usize) {
    let end = dst.len();
    let mut read = from + more + AHEAD;
    dst.resize(end + more + AHEAD, 0);
    dst.copy_within(from..end, read);
    let mut write = from;
    while let Some(rest) = dst.get(read..).filter(|rest| !rest.is_empty()) {
        let byte = rest.first().copied().unwrap_or_default();
        if find::is_escaped(byte) {
            write += put_escape(dst, byte, write);
            read += 1;
        } else if let Some(word) = rest.first_chunk() {
            let word = *word;
            let run = find::escaped_in(word);
            put(dst, write, word);
            read += run;
            write += run;
        } else {
            write += put(dst, write, [byte]);
            read += 1;
        }
    }
    dst.truncate(write);
}

/// Writes the escape of a byte, and says how long it is.
fn put_escape(dst: &mut BytesMut, byte: u8, write: usize) -> usize {
    let short = match byte {
        b'\t' => b't',
        b'\n' => b'n',
        b'\r' => b'r',
        b'"' | b'\\' => byte,
        _ => {
            let digits = [hex(byte >> 4), hex(byte & 15)];
            let escape = [b'\\', b'u', b'0', b'0', digits[0], digits[1]];
            return put(dst, write, escape);
        }
    };
    put(dst, write, [b'\\', short])
}

fn put<const N: usize>(dst: &mut BytesMut, write: usize, bytes: [u8; N]) -> usize {
    if let Some(place) = dst.get_mut(write..write + N) {
        place.copy_from_slice(&bytes);
    }
    N
}

const fn hex(digit: u8) -> u8 {
    match digit {
        0..10 => b'0' + digit,
        _ => b'a' + digit - 10,
    }
}
