//! Uris: the path that names a route, and its query.

mod escape;
mod parts;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use self::parts::Parts;
use super::pairs::Pairs;
use super::text::{Text, quoted, shown};

/// The longest text that is kept inline.
const INLINE: usize = 38;

/// The uri of a message.
///
/// The text is sent as it was given and taken apart when somebody asks for a part. A text that
/// cannot be taken apart acts as an empty uri. Texts up to 38 bytes take no allocation, nor does
/// asking a usual path for its parts.
///
/// # Examples
///
/// ```
/// use teleport::message::Uri;
///
/// let mut uri = Uri::new("/math/add?author=henry+lee");
/// assert_eq!(uri.path(), "/math/add");
/// assert_eq!(uri.query("author"), Some("henry lee"));
/// uri.set_path("/math/plus");
/// assert_eq!(uri.as_bytes(), b"/math/plus?author=henry+lee");
/// ```
#[derive(Clone, Default)]
pub struct Uri {
    raw: Text<INLINE>,
    /// The parts of a text that is not plain; `None` when it cannot be taken apart.
    parts: OnceLock<Option<Box<Parts>>>,
    query: OnceLock<Box<Pairs>>,
}

impl Uri {
    /// Takes the text of a uri, without looking into it yet.
    pub fn new(raw: impl AsRef<[u8]>) -> Self {
        Self {
            raw: raw.as_ref().into(),
            ..Self::default()
        }
    }

    /// The text as it is on the wire.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.raw.as_bytes()
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

    /// Whether the text can be taken apart.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        plain_split(self.as_bytes()).is_some() || self.parts().is_some()
    }

    /// The percent-decoded path; empty when the uri is not valid or the path not UTF-8.
    #[must_use]
    pub fn path(&self) -> &str {
        std::str::from_utf8(self.path_bytes()).unwrap_or_default()
    }

    /// The percent-decoded path; empty when the uri is not valid.
    #[must_use]
    pub fn path_bytes(&self) -> &[u8] {
        match plain_split(self.as_bytes()) {
            Some((path, _)) => path,
            None => self.part(|parts| &parts.path),
        }
    }

    /// The query as it is on the wire, without the question mark.
    #[must_use]
    pub fn raw_query(&self) -> &[u8] {
        match plain_split(self.as_bytes()) {
            Some((_, query)) => query,
            None => self.part(|parts| &parts.raw_query),
        }
    }

    /// The first value of a query parameter; `None` also when it is not UTF-8.
    #[must_use]
    pub fn query(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.query_bytes(key)?).ok()
    }

    /// The first value of a query parameter.
    pub fn query_bytes(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.pairs().get(key.as_ref())
    }

    /// All values of a query parameter, in order.
    pub fn query_all(&self, key: impl AsRef<[u8]>) -> impl Iterator<Item = &[u8]> {
        self.query_pairs()
            .filter(move |(k, _)| *k == key.as_ref())
            .map(|(_, value)| value)
    }

    /// The decoded query parameters, in order. A pair with a `;` or a bad escape is left out.
    pub fn query_pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs().iter()
    }

    /// The scheme, in lower case; empty when there is none.
    #[must_use]
    pub fn scheme(&self) -> &str {
        std::str::from_utf8(self.part(|parts| &parts.scheme)).unwrap_or_default()
    }

    /// The decoded host with its port; empty when there is none.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        self.part(|parts| &parts.host)
    }

    /// What follows the scheme of a uri such as `mailto:a@b`, which has no path.
    #[must_use]
    pub fn opaque(&self) -> &[u8] {
        self.part(|parts| &parts.opaque)
    }

    /// The decoded fragment; empty when there is none.
    #[must_use]
    pub fn fragment(&self) -> &[u8] {
        self.part(|parts| &parts.fragment)
    }

    /// Puts another path in the place of the present one, escaping it where needed.
    pub fn set_path(&mut self, path: &str) {
        self.change(|parts| path.as_bytes().clone_into(&mut parts.path));
    }

    /// Puts another query in the place of the present one. The text must be encoded already; what
    /// would end the query early is escaped.
    pub fn set_raw_query(&mut self, query: impl AsRef<[u8]>) {
        self.change(|parts| {
            parts.raw_query = escape::guard_query(query.as_ref());
            parts.force_query = false;
        });
    }

    /// Adds a query parameter. All parameters are sorted by key and encoded anew; those that
    /// cannot be read are lost.
    pub fn add_query(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let added = (key.as_ref(), value.as_ref());
        let query = form_query(self.query_pairs().chain([added]).collect());
        self.change(|parts| parts.raw_query = query);
    }

    /// Keeps those query parameters that `keep` says yes to. All are sorted by key and encoded anew;
    /// those that cannot be read are lost.
    pub fn retain_query(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let kept = self.query_pairs().filter(|(key, value)| keep(key, value));
        let query = form_query(kept.collect());
        self.change(|parts| {
            parts.raw_query = query;
            parts.force_query = false;
        });
    }

    /// Takes the text apart and writes it anew with proper escapes. One that is not valid becomes
    /// empty.
    pub fn normalize(&mut self) {
        self.change(|_| ());
    }

    /// Puts another text in the place of this one.
    pub fn reset(&mut self, raw: impl AsRef<[u8]>) {
        *self = Self::new(raw);
    }

    fn change(&mut self, change: impl FnOnce(&mut Parts)) {
        let mut parts = self.parts().cloned().unwrap_or_default();
        change(&mut parts);
        *self = Self {
            raw: parts.to_text().into(),
            ..Self::default()
        };
    }

    fn parts(&self) -> Option<&Parts> {
        self.parts
            .get_or_init(|| Parts::parse(self.as_bytes()).map(Box::new))
            .as_deref()
    }

    fn part<'a>(&'a self, part: impl FnOnce(&'a Parts) -> &'a [u8]) -> &'a [u8] {
        // No parts are made of a plain text only to say that it has no such part.
        if self.parts.get().is_none() && plain_split(self.as_bytes()).is_some() {
            return &[];
        }
        self.parts().map(part).unwrap_or_default()
    }

    fn pairs(&self) -> &Pairs {
        self.query
            .get_or_init(|| Box::new(escape::parse_query(self.raw_query())))
    }
}

fn form_query(mut pairs: Vec<(&[u8], &[u8])>) -> Vec<u8> {
    pairs.sort_by_key(|(key, _)| *key);
    escape::form_encode(&pairs)
}

/// Returns `raw` when it is a path that needs no parsing: a slash, then only letters, digits,
/// `-`, `.`, `_`, `~` and single slashes in any place but the second.
#[inline]
#[must_use]
pub fn plain_path(raw: &[u8]) -> Option<&[u8]> {
    match raw {
        // Two slashes in front start a host.
        [b'/', b'/', ..] => None,
        [b'/', rest @ ..] => rest.iter().all(|b| is_plain(*b)).then_some(raw),
        _ => None,
    }
}

#[inline]
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'_' | b'-' | b'.' | b'~')
}

/// Splits a plain path from a query of any kind.
fn plain_split(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = raw.iter().position(|b| *b == b'?').unwrap_or(raw.len());
    let (path, tail) = raw.split_at(end);
    let path = plain_path(path)?;
    let query = tail.get(1..).unwrap_or_default();
    query
        .iter()
        .all(|b| !b.is_ascii_control() && *b != b'#')
        .then_some((path, query))
}

impl From<&str> for Uri {
    fn from(raw: &str) -> Self {
        Self::new(raw)
    }
}

impl From<String> for Uri {
    fn from(raw: String) -> Self {
        Self {
            raw: raw.into_bytes().into(),
            ..Self::default()
        }
    }
}

impl From<&String> for Uri {
    fn from(raw: &String) -> Self {
        Self::new(raw)
    }
}

impl From<&[u8]> for Uri {
    fn from(raw: &[u8]) -> Self {
        Self::new(raw)
    }
}

impl PartialEq for Uri {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Uri {}

impl Hash for Uri {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.raw.hash(state);
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&shown(self.as_bytes()), f)
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&quoted(self.as_bytes()), f)
    }
}

#[cfg(test)]
mod tests;
