//! Bytes as pairs of hex digits.

/// Writes lower-case digits.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('?');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Reads digits of either case, and skips white space.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for (at, &byte) in text.iter().enumerate() {
        if byte.is_ascii_whitespace() {
            continue;
        }
        let Some(digit) = char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
        else {
            return Err(format!("not hex: byte {byte:#04x} at offset {at}"));
        };
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err(format!(
            "not hex: {} digits are an odd number",
            bytes.len() * 2 + 1
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn bytes_go_there_and_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(encode(&all).as_bytes()).unwrap(), all);
        assert_eq!(encode(b"\x00\xaf"), "00af");
    }

    #[test]
    fn white_space_is_skipped_and_the_rest_refused() {
        assert_eq!(decode(b" 0 0\tAf \r\n").unwrap(), b"\x00\xaf");
        assert_eq!(decode(b"0g").unwrap_err(), "not hex: byte 0x67 at offset 1");
        assert_eq!(
            decode(b"012").unwrap_err(),
            "not hex: 3 digits are an odd number"
        );
    }
}
