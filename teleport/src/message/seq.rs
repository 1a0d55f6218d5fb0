//! Sequence texts: what names a call on its connection.
//!
//! Each end counts its own messages and writes the count in bijective base 62 (`A`..`Z`, `a`..`z`,
//! `0`..`9`, `AA`, ..), up to six characters, after which it starts again at `A`. A sequence set by
//! hand may be any text.

use std::fmt;

use super::text::{Text, quoted, shown};

const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE: u64 = 62;
/// The length at which the count starts again.
const MAX_LEN: u32 = 6;
/// The longest text that is kept inline. Eleven digits hold every `u64`.
const INLINE: usize = 15;

/// How many sequence texts there are before the count starts again.
pub(crate) const COUNTERS: u64 = texts_up_to(MAX_LEN);

/// The sequence text of a message. Texts up to 15 bytes take no allocation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(Text<INLINE>);

impl Seq {
    /// Makes an empty sequence.
    #[must_use]
    pub const fn new() -> Self {
        Self(Text::new())
    }

    /// Writes a count, the first being 0, as every peer does: six characters at most.
    #[inline]
    #[must_use]
    pub fn from_counter(n: u64) -> Self {
        write_counter(if n < COUNTERS { n } else { n % COUNTERS })
    }

    /// Writes a count that starts again at `A` after all texts of up to `max_len` characters.
    ///
    /// A `max_len` of 0 is taken as 1; from 11 on no count is large enough to start again.
    #[must_use]
    pub fn from_counter_limited(n: u64, max_len: u32) -> Self {
        match texts_up_to(max_len.max(1)) {
            u64::MAX => write_counter(n),
            wrap => write_counter(n % wrap),
        }
    }

    /// Reads the count back, when [`Seq::from_counter`] can have written the text.
    #[inline]
    #[must_use]
    pub fn counter(&self) -> Option<u64> {
        counter_of(self.as_bytes())
    }

    /// The text as it is on the wire.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, when it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

/// Reads the count that [`Seq::from_counter`] wrote as `seq`, `None` for a text it never writes.
#[inline]
#[must_use]
pub fn counter_of(seq: &[u8]) -> Option<u64> {
    if seq.is_empty() || seq.len() > MAX_LEN as usize {
        return None;
    }
    let mut n = 0;
    for byte in seq {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            _ => return None,
        };
        n = n * BASE + u64::from(digit) + 1;
    }
    Some(n - 1)
}

/// The number of texts of 1 to `max_len` digits, `u64::MAX` when it is larger.
const fn texts_up_to(max_len: u32) -> u64 {
    let (mut total, mut len) = (0_u64, 0);
    while len < max_len && total < u64::MAX {
        total = total.saturating_add(1).saturating_mul(BASE);
        len += 1;
    }
    total
}

#[inline]
fn write_counter(mut n: u64) -> Seq {
    // Texts of one length form a block; within its block a count is a plain number in base 62.
    let (mut len, mut block) = (1_u8, BASE);
    while n >= block {
        n -= block;
        block = block.saturating_mul(BASE);
        len += 1;
    }
    let mut buf = [0; INLINE];
    for slot in buf.iter_mut().take(usize::from(len)).rev() {
        *slot = usize::try_from(n % BASE)
            .ok()
            .and_then(|d| DIGITS.get(d).copied())
            .unwrap_or(b'A');
        n /= BASE;
    }
    Seq(Text::Inline { len, buf })
}

impl From<&[u8]> for Seq {
    fn from(text: &[u8]) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Seq {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<String> for Seq {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&shown(self.as_bytes()), f)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&quoted(self.as_bytes()), f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{Seq, counter_of, texts_up_to};

    #[test]
    fn counts_start_again_after_six_digits() {
        let all = texts_up_to(6);
        assert_eq!(Seq::from_counter(all - 1).as_str(), Some("999999"));
        assert_eq!(Seq::from_counter(all).as_str(), Some("A"));
        assert_eq!(Seq::from_counter(u64::MAX).counter(), Some(u64::MAX % all));
    }

    #[test]
    fn limits_beyond_u64_never_start_again() {
        for len in [11, 15, u32::MAX] {
            let seq = Seq::from_counter_limited(u64::MAX, len);
            assert_eq!(seq.as_bytes().len(), 11);
        }
        assert_eq!(Seq::from_counter_limited(62, 0).as_str(), Some("A"));
    }

    #[test]
    fn foreign_texts_have_no_counter() {
        for text in ["", "AAAAAAA", "a-b", "A ", "\u{e9}"] {
            assert_eq!(counter_of(text.as_bytes()), None, "{text:?}");
        }
    }
}
