//! Percent escapes: which bytes each part of a uri keeps, and the form encoding of a query.

use super::super::meta::{hex_digit, hex_pair};
use super::super::pairs::Pairs;

/// The part of a uri that a text stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    User,
    Host,
    /// The zone of an IPv6 address.
    Zone,
    Query,
    Fragment,
}

impl Place {
    /// Whether a byte stands there only escaped.
    pub(super) const fn escapes(self, byte: u8) -> bool {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => false,
            b'$' | b'&' | b'+' | b',' | b':' | b';' | b'=' => match self {
                Self::Path | Self::Host | Self::Zone | Self::Fragment => false,
                Self::User => byte == b':',
                Self::Query => true,
            },
            b'/' | b'@' => !matches!(self, Self::Path | Self::Fragment),
            b'?' => !matches!(self, Self::Fragment),
            b'!' | b'(' | b')' | b'*' => !matches!(self, Self::Host | Self::Zone | Self::Fragment),
            b'\'' | b'[' | b']' | b'<' | b'>' | b'"' => !matches!(self, Self::Host | Self::Zone),
            _ => true,
        }
    }

    /// Whether an encoded text, as it was received, may be sent on as it is.
    pub(super) fn takes_encoded(self, text: &[u8]) -> bool {
        text.iter().all(|b| {
            let tolerated = matches!(
                b,
                b'!' | b'\'' | b'(' | b')' | b'*' | b'[' | b']' | b'%' | b'@'
            );
            tolerated || !self.escapes(*b)
        })
    }
}

/// Escapes a text for its place; a space in a query becomes `+`.
pub(super) fn escape(text: &[u8], place: Place) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    escape_into(text, place, &mut out);
    out
}

pub(super) fn escape_into(text: &[u8], place: Place, out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b' ' if place == Place::Query => out.push(b'+'),
            _ if place.escapes(*byte) => push_escaped(*byte, out),
            _ => out.push(*byte),
        }
    }
}

pub(super) fn push_escaped(byte: u8, out: &mut Vec<u8>) {
    let [high, low] = hex_pair(byte);
    out.extend_from_slice(&[b'%', high, low]);
}

/// Decodes a text, `None` when it has a bad escape or a byte that its place does not take.
pub(super) fn unescape(text: &[u8], place: Place) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (*byte, place) {
            (b'%', _) => {
                let (pair, after) = after.split_first_chunk::<2>()?;
                let decoded = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
                if !takes_escape(decoded, place) {
                    return None;
                }
                out.push(decoded);
                rest = after;
            }
            (b'+', Place::Query) => out.push(b' '),
            (0..0x80, Place::Host | Place::Zone) if place.escapes(*byte) => return None,
            _ => out.push(*byte),
        }
    }
    Some(out)
}

/// Whether a byte may be given by an escape: a host has escapes for `%` and bytes beyond ASCII
/// only, a zone for what may stand in it unescaped, and for spaces.
const fn takes_escape(byte: u8, place: Place) -> bool {
    match place {
        Place::Host => byte >= 0x80 || byte == b'%',
        Place::Zone => byte == b'%' || byte == b' ' || !Place::Host.escapes(byte),
        Place::Path | Place::User | Place::Query | Place::Fragment => true,
    }
}

/// Reads the pairs of a query and leaves out those with a `;` or a bad escape.
pub(super) fn parse_query(query: &[u8]) -> Pairs {
    if query.is_empty() {
        return Pairs::default();
    }
    let mut pairs = Pairs::with_room_for(query);
    for pair in query.split(|b| *b == b'&') {
        if pair.is_empty() || pair.contains(&b';') {
            continue;
        }
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at(at);
        let key = unescape(key, Place::Query);
        let value = unescape(value.get(1..).unwrap_or_default(), Place::Query);
        if let (Some(key), Some(value)) = (key, value) {
            pairs.push(&key, &value);
        }
    }
    pairs
}

/// Writes the pairs of a query.
pub(super) fn form_encode(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in pairs {
        if !out.is_empty() {
            out.push(b'&');
        }
        escape_into(key, Place::Query, &mut out);
        out.push(b'=');
        escape_into(value, Place::Query, &mut out);
    }
    out
}

/// Escapes what cannot stand in an encoded query without ending it or spoiling the uri.
pub(super) fn guard_query(query: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(query.len());
    for byte in query {
        if *byte == b'#' || byte.is_ascii_control() {
            push_escaped(*byte, &mut out);
        } else {
            out.push(*byte);
        }
    }
    out
}
