//! Undoing the escapes of a string.

use bytes::{BufMut, BytesMut};

use super::{find, scan::bad};
use crate::{
    message::text::{quoted, unicode_escape},
    proto::ProtoError,
};

/// Appends to `dst` what a string between its quotes stands for.
pub(super) fn unescape(name: &str, text: &[u8], dst: &mut BytesMut) -> Result<(), ProtoError> {
    dst.reserve(text.len());
    let mut rest = text;
    // There is no quote in it, but for those behind a backslash.
    while let Some(at) = find::quote(rest) {
        let (plain, escape) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        dst.extend_from_slice(plain);
        let used = match escape {
            [b'\\', byte @ (b'"' | b'\\' | b'/'), ..] => put(*byte, dst),
            [b'\\', b'n', ..] => put(b'\n', dst),
            [b'\\', b'r', ..] => put(b'\r', dst),
            [b'\\', b't', ..] => put(b'\t', dst),
            [b'\\', b'b', ..] => put(0x08, dst),
            [b'\\', b'f', ..] => put(0x0c, dst),
            [b'\\', b'u', digits @ ..] => {
                let (letter, used) = unicode_escape(digits).ok_or_else(|| unknown(name, escape))?;
                dst.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                2 + used
            }
            _ => return Err(unknown(name, escape)),
        };
        rest = escape.get(used..).unwrap_or_default();
    }
    dst.extend_from_slice(rest);
    Ok(())
}

/// Appends a byte, and says how long its escape was.
fn put(byte: u8, dst: &mut BytesMut) -> usize {
    dst.put_u8(byte);
    2
}

#[cold]
fn unknown(name: &str, escape: &[u8]) -> ProtoError {
    let shown = quoted(escape.get(..6).unwrap_or(escape));
    bad(format!(
        "{name} has an escape that JSON does not know: {shown}"
    ))
}
