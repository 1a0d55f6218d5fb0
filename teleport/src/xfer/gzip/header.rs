//! The header of a gzip stream, RFC 1952.

use flate2::Crc;

use crate::xfer::FilterError;

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// The header of a stream of this level: no fields, no time, unknown system.
pub(super) fn of_level(level: u8) -> [u8; 10] {
    let effort = match level {
        1 => 4,
        9 => 2,
        _ => 0,
    };
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, effort, 0xff]
}

/// Returns what lies behind the header.
pub(super) fn skip(src: &[u8]) -> Result<&[u8], FilterError> {
    let Some((&[0x1f, 0x8b, method, flags, ..], rest)) = src.split_first_chunk::<10>() else {
        return Err(FilterError::failed("invalid gzip header"));
    };
    if method != 8 || flags & RESERVED != 0 {
        return Err(FilterError::failed(format!(
            "invalid gzip header: method {method}, flags {flags:#04x}"
        )));
    }
    skip_fields(flags, src, rest).ok_or_else(|| FilterError::failed("invalid gzip header fields"))
}

/// Skips the optional fields; `None` when one is cut or the checksum of the header is wrong.
fn skip_fields<'s>(flags: u8, src: &'s [u8], mut rest: &'s [u8]) -> Option<&'s [u8]> {
    if flags & EXTRA != 0 {
        let (len, tail) = rest.split_first_chunk::<2>()?;
        rest = tail.get(usize::from(u16::from_le_bytes(*len))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|&byte| byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & HEADER_CRC != 0 {
        let mut crc = Crc::new();
        crc.update(src.get(..src.len() - rest.len())?);
        let (sum, tail) = rest.split_first_chunk::<2>()?;
        if u32::from(u16::from_le_bytes(*sum)) != crc.sum() & 0xffff {
            return None;
        }
        rest = tail;
    }
    Some(rest)
}
