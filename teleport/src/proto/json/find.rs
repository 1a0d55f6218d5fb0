//! Finding the bytes of a text that are not ordinary, eight bytes at a time.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Bytes as a number, the first one lowest, and a set of them as the top bits of these.
type Word = u64;

/// The bytes of a word that are zero.
const fn zeros(word: Word) -> Word {
    !((word & !TOPS).wrapping_add(!TOPS) | word | !TOPS)
}

const fn equal(word: Word, byte: u8) -> Word {
    zeros(word ^ (ONES * byte as u64))
}

/// The bytes below 0x20.
const fn controls(word: Word) -> Word {
    zeros(word & (ONES * 0xe0))
}

/// The bytes that a string ends or goes another way at.
const fn quotes(word: Word) -> Word {
    equal(word, b'"') | equal(word, b'\\')
}

/// The bytes that are written as an escape.
const fn escaped(word: Word) -> Word {
    quotes(word) | controls(word)
}

/// The control characters that have no short escape.
const fn long(word: Word) -> Word {
    controls(word) & !(equal(word, b'\t') | equal(word, b'\n') | equal(word, b'\r'))
}

/// A few bytes as a word, filled up with ordinary ones.
fn rest(bytes: &[u8]) -> Word {
    let mut word = [b' '; 8];
    if let Some(start) = word.get_mut(..bytes.len()) {
        start.copy_from_slice(bytes);
    }
    Word::from_le_bytes(word)
}

/// The place of the first byte of a set; 8 of an empty one.
const fn first(set: Word) -> usize {
    (set.trailing_zeros() / 8) as usize
}

/// The place of the first quote or backslash among eight bytes; 8 without one.
pub(super) fn quote_in(word: [u8; 8]) -> usize {
    first(quotes(Word::from_le_bytes(word)))
}

/// The place of the first of eight bytes that is written as an escape; 8 without one.
pub(super) fn escaped_in(word: [u8; 8]) -> usize {
    first(escaped(Word::from_le_bytes(word)))
}

/// Whether a byte is written as an escape.
pub(super) const fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\')
}

/// The place of the first quote or backslash.
pub(super) fn quote(text: &[u8]) -> Option<usize> {
    let (words, tail) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let set = quotes(Word::from_le_bytes(*word));
        if set != 0 {
            return Some(at * 8 + first(set));
        }
    }
    let set = quotes(rest(tail));
    (set != 0).then(|| words.len() * 8 + first(set))
}

/// How many bytes more a text takes with its escapes.
pub(super) fn escapes_len(text: &[u8]) -> usize {
    let more = |word: Word| {
        let set = escaped(word);
        if set == 0 {
            return 0;
        }
        // `\n` is one byte more, `\u0001` five.
        (set.count_ones() + 4 * long(word).count_ones()) as usize
    };
    let (words, tail) = text.as_chunks::<8>();
    let words: usize = words
        .iter()
        .map(|word| more(Word::from_le_bytes(*word)))
        .sum();
    words + more(rest(tail))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn slow_escape_len(byte: u8) -> usize {
        match byte {
            b'"' | b'\\' | b'\t' | b'\n' | b'\r' => 1,
            0..0x20 => 5,
            _ => 0,
        }
    }

    #[test]
    fn each_byte_is_found_at_each_place() {
        for byte in 0..=255_u8 {
            for len in 0..20_usize {
                for at in 0..len {
                    let mut text = vec![b'a'; len];
                    text[at] = byte;
                    let is_quote = matches!(byte, b'"' | b'\\');
                    assert_eq!(quote(&text), is_quote.then_some(at), "{text:?}");
                    let more = slow_escape_len(byte);
                    assert_eq!(escapes_len(&text), more, "{text:?}");
                    assert_eq!(is_escaped(byte), more > 0, "{byte}");
                    if let Some(word) = text.first_chunk() {
                        let place = |found| if found { at.min(8) } else { 8 };
                        assert_eq!(quote_in(*word), place(is_quote), "{text:?}");
                        assert_eq!(escaped_in(*word), place(more > 0), "{text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_of_many_is_found_and_all_are_counted() {
        let text: Vec<u8> = (0..=255).chain(0..=255).collect();
        assert_eq!(quote(&text), Some(usize::from(b'"')));
        let slow: usize = text.iter().map(|byte| slow_escape_len(*byte)).sum();
        assert_eq!(escapes_len(&text), slow);
    }
}
