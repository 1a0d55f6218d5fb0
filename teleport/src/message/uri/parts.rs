//! Taking a uri apart and putting it together, as the peers of the original do.

use super::escape::{Place, escape, escape_into, unescape};

/// The parts of a valid uri. What is not there is empty.
#[derive(Clone, Default)]
pub(super) struct Parts {
    pub(super) scheme: Vec<u8>,
    pub(super) opaque: Vec<u8>,
    /// The user, and the password if one is given.
    user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    pub(super) host: Vec<u8>,
    /// A scheme is followed by a path that starts with one slash only.
    omit_host: bool,
    pub(super) path: Vec<u8>,
    /// The path as received, where escaping the path anew would give another text.
    raw_path: Vec<u8>,
    pub(super) raw_query: Vec<u8>,
    /// A question mark stands before an empty query.
    pub(super) force_query: bool,
    pub(super) fragment: Vec<u8>,
    raw_fragment: Vec<u8>,
}

impl Parts {
    /// Takes a uri apart, `None` when it is not valid.
    pub(super) fn parse(raw: &[u8]) -> Option<Self> {
        let (front, fragment) = cut(raw, b'#');
        let mut parts = Self::parse_front(front)?;
        if let Some(fragment) = fragment.filter(|text| !text.is_empty()) {
            parts.fragment = unescape(fragment, Place::Fragment)?;
            parts.raw_fragment = differing(fragment, &parts.fragment, Place::Fragment);
        }
        Some(parts)
    }

    fn parse_front(raw: &[u8]) -> Option<Self> {
        if raw.iter().any(u8::is_ascii_control) {
            return None;
        }
        let mut parts = Self::default();
        if raw == b"*" {
            parts.path = raw.to_vec();
            return Some(parts);
        }
        let (scheme, rest) = split_scheme(raw)?;
        parts.scheme = scheme.to_ascii_lowercase();
        let (mut rest, query) = cut(rest, b'?');
        parts.force_query = query.is_some_and(<[u8]>::is_empty);
        parts.raw_query = query.unwrap_or_default().to_vec();

        if !rest.starts_with(b"/") {
            if !scheme.is_empty() {
                parts.opaque = rest.to_vec();
                return Some(parts);
            }
            let (segment, _) = cut(rest, b'/');
            if segment.contains(&b':') {
                return None;
            }
        }
        // Without a scheme three slashes are a path, not an empty host.
        let three = scheme.is_empty() && rest.starts_with(b"///");
        if let Some(tail) = rest.strip_prefix(b"//").filter(|_| !three) {
            let end = tail.iter().position(|b| *b == b'/').unwrap_or(tail.len());
            let (authority, path) = tail.split_at(end);
            parts.parse_authority(authority)?;
            rest = path;
        } else {
            parts.omit_host = !scheme.is_empty();
        }
        parts.path = unescape(rest, Place::Path)?;
        parts.raw_path = differing(rest, &parts.path, Place::Path);
        Some(parts)
    }

    fn parse_authority(&mut self, authority: &[u8]) -> Option<()> {
        let Some(at) = authority.iter().rposition(|b| *b == b'@') else {
            self.host = parse_host(authority)?;
            return Some(());
        };
        let (user, host) = authority.split_at(at);
        self.host = parse_host(host.get(1..).unwrap_or_default())?;
        let valid = |b: &u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(b);
        if !user.iter().all(valid) {
            return None;
        }
        let (name, password) = cut(user, b':');
        let password = match password {
            Some(text) => Some(unescape(text, Place::User)?),
            None => None,
        };
        self.user = Some((unescape(name, Place::User)?, password));
        Some(())
    }

    /// Puts the uri together.
    pub(super) fn to_text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.write_authority(&mut out);
            self.write_path(&mut out);
        } else {
            out.extend_from_slice(&self.opaque);
        }
        if self.force_query || !self.raw_query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.raw_query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(received_or_escaped(
                &self.raw_fragment,
                &self.fragment,
                Place::Fragment,
            ));
        }
        out
    }

    fn write_authority(&self, out: &mut Vec<u8>) {
        let nobody = self.host.is_empty() && self.user.is_none();
        let written = if nobody {
            !self.scheme.is_empty() && !self.omit_host && !self.path.is_empty()
        } else {
            true
        };
        if !written {
            return;
        }
        out.extend_from_slice(b"//");
        if let Some((name, password)) = &self.user {
            escape_into(name, Place::User, out);
            if let Some(password) = password {
                out.push(b':');
                escape_into(password, Place::User, out);
            }
            out.push(b'@');
        }
        escape_into(&self.host, Place::Host, out);
    }

    fn write_path(&self, out: &mut Vec<u8>) {
        let path = if self.path == b"*" {
            self.path.clone()
        } else {
            received_or_escaped(&self.raw_path, &self.path, Place::Path)
        };
        if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
            out.push(b'/');
        }
        if out.is_empty() {
            if cut(&path, b'/').0.contains(&b':') {
                // Else the first segment would read as a scheme.
                out.extend_from_slice(b"./");
            } else if let Some(tail) = path.strip_prefix(b"//").filter(|p| !p.starts_with(b"/")) {
                // Else the first segment would read as a host.
                out.extend_from_slice(b"/%2F");
                out.extend_from_slice(tail);
                return;
            }
        }
        out.extend_from_slice(&path);
    }
}

/// Splits at the first `mark`, which belongs to neither side.
fn cut(text: &[u8], mark: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|b| *b == mark) {
        Some(at) => {
            let (front, tail) = text.split_at(at);
            (front, tail.get(1..))
        }
        None => (text, None),
    }
}

/// Splits the scheme off; it is empty when there is none, and an error when only its colon is.
fn split_scheme(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let none = Some((Default::default(), raw));
    let Some(end) = raw.iter().position(|b| !name(b)) else {
        return none;
    };
    let (scheme, tail) = raw.split_at(end);
    match (scheme.first(), tail) {
        (None, [b':', ..]) => None,
        (Some(first), [b':', rest @ ..]) if first.is_ascii_alphabetic() => Some((scheme, rest)),
        _ => none,
    }
}

fn parse_host(host: &[u8]) -> Option<Vec<u8>> {
    if host.starts_with(b"[") {
        let end = host.iter().rposition(|b| *b == b']')?;
        let (address, tail) = host.split_at(end);
        if !is_port(tail.get(1..).unwrap_or_default()) {
            return None;
        }
        if let Some(zone) = address.windows(3).position(|w| w == b"%25") {
            let (front, zone) = address.split_at(zone);
            let mut out = unescape(front, Place::Host)?;
            out.extend(unescape(zone, Place::Zone)?);
            out.extend(unescape(tail, Place::Host)?);
            return Some(out);
        }
    } else if let Some(colon) = host.iter().rposition(|b| *b == b':')
        && !is_port(host.split_at(colon).1)
    {
        return None;
    }
    unescape(host, Place::Host)
}

/// Whether a text is empty or a colon followed by digits.
fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// The received text, when escaping `decoded` anew gives another one.
fn differing(received: &[u8], decoded: &[u8], place: Place) -> Vec<u8> {
    if escape(decoded, place) == received {
        Vec::new()
    } else {
        received.to_vec()
    }
}

fn received_or_escaped(received: &[u8], decoded: &[u8], place: Place) -> Vec<u8> {
    let keeps = !received.is_empty()
        && place.takes_encoded(received)
        && unescape(received, place).as_deref() == Some(decoded);
    if keeps {
        received.to_vec()
    } else {
        escape(decoded, place)
    }
}
