//! Byte texts: storage that keeps short ones inline, and how any of them is shown.
//!
//! Texts on the wire are bytes, nothing checks that they are UTF-8. What is shown to people goes
//! through [`shown`] or [`quoted`], so that a text from the network cannot forge lines of a log.

use std::cmp::Ordering;
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};

/// A byte text: up to `N` bytes inline, a longer one in one allocation.
#[derive(Clone)]
pub(crate) enum Text<const N: usize> {
    /// The first `len` bytes of `buf`.
    Inline { len: u8, buf: [u8; N] },
    /// A text that does not fit.
    Heap(Box<[u8]>),
}

impl<const N: usize> Text<N> {
    pub(crate) const fn new() -> Self {
        Self::Inline {
            len: 0,
            buf: [0; N],
        }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, buf } => buf.get(..usize::from(*len)).unwrap_or_default(),
            Self::Heap(text) => text,
        }
    }

    fn inline(text: &[u8]) -> Option<Self> {
        let len = u8::try_from(text.len()).ok()?;
        let mut buf = [0; N];
        buf.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self::Inline { len, buf })
    }
}

impl<const N: usize> From<&[u8]> for Text<N> {
    fn from(text: &[u8]) -> Self {
        Self::inline(text).unwrap_or_else(|| Self::Heap(text.into()))
    }
}

impl<const N: usize> From<Vec<u8>> for Text<N> {
    fn from(text: Vec<u8>) -> Self {
        Self::inline(&text).unwrap_or_else(|| Self::Heap(text.into_boxed_slice()))
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> PartialEq for Text<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> Eq for Text<N> {}

impl<const N: usize> PartialOrd for Text<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Text<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl<const N: usize> Hash for Text<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&quoted(self.as_bytes()), f)
    }
}

/// Shows a text as it reads, with control characters escaped and bad UTF-8 replaced.
pub(crate) const fn shown(text: &[u8]) -> Shown<'_> {
    Shown(text)
}

/// Shows a text in quotes, with quotes, control characters and bad UTF-8 escaped.
pub(crate) const fn quoted(text: &[u8]) -> Quoted<'_> {
    Quoted(text)
}

pub(crate) struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            write_escaped(f, chunk.valid(), "")?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

pub(crate) struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            write_escaped(f, chunk.valid(), "\"\\")?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('"')
    }
}

impl fmt::Debug for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str, also: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(|c| misleads(c) || also.contains(c)) {
        let (plain, tail) = rest.split_at(at);
        f.write_str(plain)?;
        let mut chars = tail.chars();
        if let Some(c) = chars.next() {
            write!(f, "{}", c.escape_default())?;
        }
        rest = chars.as_str();
    }
    f.write_str(rest)
}

/// Whether a character can break or reorder the line it is shown in.
fn misleads(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The letter of a JSON escape, given what stands behind its `\u`, and how much of that it takes.
/// Half of a pair becomes the replacement character.
pub(crate) fn unicode_escape(text: &[u8]) -> Option<(char, usize)> {
    let unit = hex4(text)?;
    if matches!(unit, 0xd800..0xdc00) {
        let low = text.get(4..).and_then(|rest| rest.strip_prefix(b"\\u"));
        if let Some(low @ 0xdc00..0xe000) = low.and_then(hex4) {
            let letter = char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            return letter.map(|letter| (letter, 10));
        }
    }
    let letter = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    Some((letter, 4))
}

fn hex4(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text.get(..4)?).ok()?;
    // The number parser would take a sign.
    let all = digits.bytes().all(|b| b.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{Text, quoted, shown};

    #[test]
    fn texts_are_inline_up_to_their_size() {
        assert!(matches!(
            Text::<4>::from(&b"abcd"[..]),
            Text::Inline { len: 4, .. }
        ));
        assert!(matches!(Text::<4>::from(&b"abcde"[..]), Text::Heap(_)));
        assert_eq!(Text::<4>::from(&b"abcde"[..]).as_bytes(), b"abcde");
        assert_eq!(Text::<4>::from(b"ab".to_vec()), Text::from(&b"ab"[..]));
        assert!(Text::<4>::new().as_bytes().is_empty());
    }

    #[test]
    fn shown_texts_cannot_break_a_line() {
        assert_eq!(
            shown(b"/a\nb\xff\x1b[0m").to_string(),
            "/a\\nb\u{fffd}\\u{1b}[0m"
        );
        assert_eq!(
            shown("a\u{202e}b\u{85}".as_bytes()).to_string(),
            "a\\u{202e}b\\u{85}"
        );
        assert_eq!(
            quoted(b"a\"\\\0\xfe").to_string(),
            "\"a\\\"\\\\\\u{0}\\xfe\""
        );
        assert_eq!(shown("你好".as_bytes()).to_string(), "你好");
    }
}
