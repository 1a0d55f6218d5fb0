//! Going through a JSON text of bytes, which need not be UTF-8.
//!
//! Strings may hold control characters and bytes from 0x80 on as they are, for that is what other
//! peers write. All else is JSON to the letter. Nothing here recurses: how deep a value may nest is
//! bounded by the bits that say what is open.

use super::find;
use crate::{
    message::text::quoted,
    proto::{ProtoError, ProtoErrorKind},
};

/// How deep values may nest, the message's own object not counted.
const DEEPEST: u32 = 128;

/// How much of what is wrong an error shows.
const SHOWN: usize = 24;

/// A string between its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) raw: &'a [u8],
    /// Whether there are escapes in it.
    pub(super) has_escapes: bool,
}

/// A place in a text.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// All that is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_white(&mut self) {
        let white = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.rest().iter().take_while(white).count();
    }

    /// The next byte that is no white space, which stays.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.skip_white();
        self.text.get(self.at).copied()
    }

    /// Passes over a byte if it is the next one that is no white space.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes over a byte that has to come.
    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), ProtoError> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.instead_of(what))
    }

    /// Nothing but white space may be left.
    pub(super) fn end(&mut self) -> Result<(), ProtoError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.instead_of("the end")),
        }
    }

    /// The name of a member, and the colon behind it.
    pub(super) fn name(&mut self) -> Result<Text<'a>, ProtoError> {
        let name = self.string()?;
        self.expect(b':', "a colon")?;
        Ok(name)
    }

    pub(super) fn string(&mut self) -> Result<Text<'a>, ProtoError> {
        if let Some(raw) = self.plain_string()? {
            let has_escapes = false;
            return Ok(Text { raw, has_escapes });
        }
        let quoted = self.to_quote()?;
        self.pass(quoted.len());
        Ok(Text {
            raw: quoted.split_last().map_or(quoted, |(_, raw)| raw),
            has_escapes: true,
        })
    }

    /// The string that comes, if no escape is in it; `None` leaves its text, behind the quote, for
    /// [`rest`](Self::rest) and [`pass`](Self::pass).
    pub(super) fn plain_string(&mut self) -> Result<Option<&'a [u8]>, ProtoError> {
        self.expect(b'"', "a string")?;
        let rest = self.rest();
        let len = find::quote(rest).ok_or_else(|| cut_off("a string"))?;
        if rest.get(len) != Some(&b'"') {
            return Ok(None);
        }
        self.pass(len + 1);
        Ok(rest.get(..len))
    }

    /// The rest of a string with escapes, its last quote included.
    pub(super) fn to_quote(&self) -> Result<&'a [u8], ProtoError> {
        let rest = self.rest();
        let mut at = 0;
        loop {
            let text = rest.get(at..).unwrap_or_default();
            at += find::quote(text).ok_or_else(|| cut_off("a string"))?;
            if rest.get(at) == Some(&b'"') {
                return Ok(rest.get(..=at).unwrap_or_default());
            }
            at += 2;
        }
    }

    /// Passes over so many bytes.
    pub(super) fn pass(&mut self, len: usize) {
        self.at += len;
    }

    /// Any value, as it stands.
    pub(super) fn value(&mut self) -> Result<&'a [u8], ProtoError> {
        self.skip_white();
        let start = self.at;
        let mut open = Open::default();
        'value: loop {
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    open.push(true)?;
                    if self.peek() != Some(b'}') {
                        self.name()?;
                        continue 'value;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    open.push(false)?;
                    if self.peek() != Some(b']') {
                        continue 'value;
                    }
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(_) => self.scalar()?,
                None => return Err(cut_off("a value")),
            }
            while let Some(is_object) = open.innermost() {
                if self.take(b',') {
                    if is_object {
                        self.name()?;
                    }
                    continue 'value;
                }
                let (close, what) = match is_object {
                    true => (b'}', "a comma or a closing brace"),
                    false => (b']', "a comma or a closing bracket"),
                };
                self.expect(close, what)?;
                open.pop();
            }
            return Ok(self.text.get(start..self.at).unwrap_or_default());
        }
    }

    /// A number or a word.
    fn scalar(&mut self) -> Result<(), ProtoError> {
        let rest = self.rest();
        let words = [&b"true"[..], b"false", b"null"];
        let word = words.iter().find(|word| rest.starts_with(word));
        let len = word.map_or_else(|| number_len(rest), |word| Some(word.len()));
        self.at += len.ok_or_else(|| self.instead_of("a value"))?;
        Ok(())
    }

    /// Says what should stand where something else does.
    #[cold]
    fn instead_of(&self, what: &str) -> ProtoError {
        let rest = self.rest();
        if rest.is_empty() {
            return cut_off(what);
        }
        let shown = quoted(rest.get(..SHOWN).unwrap_or(rest));
        bad(format!(
            "the JSON of the message has {shown} at byte {} in place of {what}",
            self.at
        ))
    }
}

/// The brackets that are open, the innermost one as the lowest bit: 1 for an object's.
#[derive(Default)]
struct Open {
    bits: u128,
    depth: u32,
}

impl Open {
    fn push(&mut self, is_object: bool) -> Result<(), ProtoError> {
        if self.depth == DEEPEST {
            return Err(bad(format!(
                "the JSON of the message nests deeper than {DEEPEST} values"
            )));
        }
        self.bits = self.bits << 1 | u128::from(is_object);
        self.depth += 1;
        Ok(())
    }

    const fn pop(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
    }

    /// Whether the innermost one is an object's, `None` when none is open.
    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}

/// The length of the number that a text starts with.
fn number_len(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let byte = |at: usize| text.get(at).copied();
    let mut at = usize::from(byte(0) == Some(b'-'));
    at += match byte(at)? {
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if byte(at) == Some(b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if matches!(byte(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(byte(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return None;
        }
        at += 1 + sign + exponent;
    }
    Some(at)
}

#[cold]
pub(super) fn cut_off(what: &str) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::BadLength,
        format!("the JSON of the message ends where {what} should be, or within it"),
    )
}

#[cold]
pub(super) fn bad(text: String) -> ProtoError {
    ProtoError::new(ProtoErrorKind::BadField, text)
}
