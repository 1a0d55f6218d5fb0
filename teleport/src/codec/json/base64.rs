//! Base64 with the standard alphabet and padding: Go's form of byte strings in JSON.

use super::super::number::Sink;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn put(dst: &mut impl Sink, src: &[u8]) {
    for chunk in src.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        let mut letters = [0; 4];
        for (place, slot) in letters.iter_mut().enumerate() {
            let index = (bits >> (18 - 6 * place)) & 63;
            let letter = ALPHABET.get(index as usize).copied().unwrap_or(b'=');
            *slot = if place > chunk.len() { b'=' } else { letter };
        }
        dst.put(&letters);
    }
}

/// Reads the bytes, skipping line breaks; `None` when the text is not base64.
pub(super) fn read(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut letters = text
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .peekable();
    while letters.peek().is_some() {
        let mut bits = 0_u32;
        let mut pads = 0_u32;
        for _ in 0..4 {
            bits = bits << 6
                | match (letters.next()?, pads) {
                    (b'=', _) => {
                        pads += 1;
                        0
                    }
                    (letter, 0) => value(letter)?,
                    _ => return None,
                };
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        let len = match pads {
            0 => 3,
            1 => 2,
            2 => 1,
            _ => return None,
        };
        out.extend_from_slice(bytes.get(..len)?);
        if pads > 0 && letters.peek().is_some() {
            return None;
        }
    }
    Some(out)
}

fn value(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn text(src: &[u8]) -> String {
        let mut dst = BytesMut::new();
        put(&mut dst, src);
        String::from_utf8_lossy(&dst).into_owned()
    }

    #[test]
    fn every_length_comes_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..bytes.len() {
            let src = bytes.get(..len).unwrap_or_default();
            assert_eq!(read(text(src).as_bytes()).as_deref(), Some(src));
        }
        assert_eq!(text(b"\xff\xfe"), "//4=");
        assert_eq!(text(b"test bytes"), "dGVzdCBieXRlcw==");
    }

    #[test]
    fn line_breaks_are_skipped_and_faults_refused() {
        assert_eq!(read(b"dGVz\r\ndA==").as_deref(), Some(&b"test"[..]));
        for bad in ["###", "dGVz=", "dG=z", "d===", "dA==dA==", "dGV"] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }
}
