//! Bytes as hex digits.

use std::fmt::Write as _;

/// The lower hex digits of some bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // A string can always be written to.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Reads hex digits in either case.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("an odd number of hex digits");
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect::<Option<_>>()
        .ok_or("a byte that is no hex digit")
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn digits_come_back_in_either_case() {
        let all: Vec<u8> = (0..=255).collect();
        let text = encode(&all);
        assert_eq!(decode(text.as_bytes()).as_deref(), Ok(&*all));
        assert_eq!(decode(text.to_uppercase().as_bytes()), Ok(all));
        assert!(decode(b"0").is_err() && decode(b"0g").is_err() && decode(b"+1").is_err());
    }
}
