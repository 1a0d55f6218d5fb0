//! Metadata: the ordered key and value pairs in front of a body, and their urlencoded form.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::pairs::Pairs;
use super::text::quoted;

/// The key under which a reply carries its [error](crate::rerror::Rerror).
pub const REPLY_ERROR: &str = "X-Reply-Error";
/// The key of the address of the client that a call first came from.
pub const REAL_IP: &str = "X-Real-IP";
/// The key under which a call names the codec that it wants its reply in, as a decimal id.
pub const ACCEPT_BODY_CODEC: &str = "X-Accept-Body-Codec";
/// The key under which a CALL says how many milliseconds its caller will wait, and that the caller
/// tells when it gives up. Blank without a limit.
pub const REMAINING: &str = "X-Remaining-Ms";
/// The key under which a message says, by `true`, that its query and body are encrypted, and under
/// which a sender asks for it; see the secure plugin.
pub const SECURE: &str = "X-Secure";
/// The key under which a call says, by `true` or `false`, whether its reply is to be encrypted.
pub const ACCEPT_SECURE: &str = "X-Accept-Secure";
/// The key under which error 503 says that the call was not run, so that it may be made again
/// elsewhere, whatever it does. The value is `true`.
pub const NOT_RUN: &str = "X-Not-Run";
/// The key under which an error reply says, as a decimal number of milliseconds, how long the caller
/// had better wait before it tries again.
pub const RETRY_AFTER_MS: &str = "X-Retry-After-Ms";

/// How long somebody had better wait, if the metadata say so.
pub(crate) fn retry_after(meta: &Meta) -> Option<Duration> {
    let text = meta.get(RETRY_AFTER_MS)?;
    text.parse().ok().map(Duration::from_millis)
}

/// The key under which a REPLY that belongs to no call gives notice of something.
pub(crate) const NOTICE: &str = "X-Notice";
/// The key of the sequence text of the call that a notice is about.
pub(crate) const NOTICE_SEQ: &str = "X-Notice-Seq";
/// The key of how many milliseconds those who are told had better spread over when they dial again.
pub(crate) const NOTICE_SPREAD: &str = "X-Notice-Spread-Ms";
/// The key of how many pushes came too late to be handled.
pub(crate) const NOTICE_PUSHES: &str = "X-Notice-Pushes";

/// The metadata of a message: an ordered list of pairs in which keys may repeat.
///
/// Received metadata is kept as the text it came in and taken apart when somebody asks for a
/// pair; as long as it is not changed it is sent on as that very text.
///
/// # Examples
///
/// ```
/// use teleport::message::Meta;
///
/// let mut meta = Meta::from_encoded("author=henry%20lee&tag=a&tag=b");
/// assert_eq!(meta.get("author"), Some("henry lee"));
/// assert_eq!(meta.get_all("tag").count(), 2);
/// meta.set("author", "you");
/// assert_eq!(&*meta.encoded(), b"author=you&tag=a&tag=b");
/// ```
#[derive(Clone, Default)]
pub struct Meta {
    /// The text as received; empty once the pairs were changed, which then rule alone.
    text: Bytes,
    pairs: OnceLock<Pairs>,
}

impl Meta {
    /// Makes metadata without pairs.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: Bytes::new(),
            pairs: OnceLock::new(),
        }
    }

    /// Takes an urlencoded text, without looking into it yet. Any text can be read.
    pub fn from_encoded(text: impl Into<Bytes>) -> Self {
        Self {
            text: text.into(),
            pairs: OnceLock::new(),
        }
    }

    /// The value of the first pair with the key; `None` also when it is not UTF-8.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(key)?).ok()
    }

    /// The value of the first pair with the key.
    pub fn get_bytes(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.read()?.get(key.as_ref())
    }

    /// The values of all pairs with the key, in order.
    pub fn get_all(&self, key: impl AsRef<[u8]>) -> impl Iterator<Item = &[u8]> {
        self.iter()
            .filter(move |(k, _)| *k == key.as_ref())
            .map(|(_, value)| value)
    }

    /// Whether there is a pair with the key.
    pub fn contains(&self, key: impl AsRef<[u8]>) -> bool {
        self.get_bytes(key).is_some()
    }

    /// Replaces the value of the first pair with the key and leaves later ones; adds the pair when
    /// there is none.
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.change(|pairs| pairs.set(key.as_ref(), value.as_ref()));
    }

    /// Adds a pair behind all others.
    pub fn add(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.change(|pairs| pairs.push(key.as_ref(), value.as_ref()));
    }

    /// Removes all pairs with the key and tells how many there were.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> usize {
        if !self.contains(&key) {
            return 0;
        }
        self.change(|pairs| pairs.remove(key.as_ref()))
    }

    /// Removes all pairs.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().map_or(0, Pairs::len)
    }

    /// Whether there are no pairs.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_none_or(Pairs::is_empty)
    }

    /// The pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.read().into_iter().flat_map(Pairs::iter)
    }

    /// The urlencoded text: as received while nothing was changed.
    #[inline]
    #[must_use]
    pub fn encoded(&self) -> Cow<'_, [u8]> {
        if self.text.is_empty() && !self.is_empty() {
            let mut text = BytesMut::new();
            self.encode_into(&mut text);
            return Cow::Owned(text.into());
        }
        Cow::Borrowed(&self.text)
    }

    /// Appends the urlencoded text to `dst`.
    pub fn encode_into(&self, dst: &mut BytesMut) {
        if !self.text.is_empty() {
            return dst.extend_from_slice(&self.text);
        }
        for (index, (key, value)) in self.iter().enumerate() {
            if index > 0 {
                dst.put_u8(b'&');
            }
            encode(key, dst);
            if !value.is_empty() {
                dst.put_u8(b'=');
                encode(value, dst);
            }
        }
    }

    /// The pairs, read from the text at the first call; `None` when there is nothing to read.
    fn read(&self) -> Option<&Pairs> {
        match self.pairs.get() {
            None if self.text.is_empty() => None,
            Some(pairs) => Some(pairs),
            None => Some(self.pairs.get_or_init(|| parse(&self.text))),
        }
    }

    fn change<R>(&mut self, change: impl FnOnce(&mut Pairs) -> R) -> R {
        let mut pairs = self.pairs.take().unwrap_or_else(|| parse(&self.text));
        let result = change(&mut pairs);
        self.text = Bytes::new();
        self.pairs = pairs.into();
        result
    }
}

/// Finds the first value of a key in an urlencoded text without taking the whole text apart.
#[must_use]
pub fn find_encoded<'a>(text: &'a [u8], key: &str) -> Option<Cow<'a, [u8]>> {
    if text.is_empty() {
        return None;
    }
    text.split(|b| *b == b'&').find_map(|pair| {
        let (k, value) = split_pair(pair);
        let vanishes = key.is_empty() && value.is_empty();
        (!vanishes && is_encoding_of(k, key.as_bytes())).then(|| decoded(value))
    })
}

fn is_encoding_of(text: &[u8], key: &[u8]) -> bool {
    // Decoding never makes a text longer.
    text.len() >= key.len()
        && if is_plain(text) {
            text == key
        } else {
            *decoded(text) == *key
        }
}

fn is_plain(text: &[u8]) -> bool {
    !text.iter().any(|b| matches!(b, b'%' | b'+'))
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    decode_into(text, &mut out);
    Cow::Owned(out)
}

fn parse(text: &[u8]) -> Pairs {
    let mut pairs = Pairs::with_room_for(text);
    for pair in text
        .split(|b| *b == b'&')
        .filter(|pair| !matches!(pair, [] | [b'=']))
    {
        let (key, value) = split_pair(pair);
        pairs.push_with(
            |bytes| decode_into(key, bytes),
            |bytes| decode_into(value, bytes),
        );
    }
    pairs
}

fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
    let (key, value) = pair.split_at(at);
    (key, value.get(1..).unwrap_or_default())
}

/// Appends the decoded text: `+` is a space, a bad escape stays as it is.
fn decode_into(text: &[u8], dst: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| matches!(b, b'%' | b'+')) {
        let (plain, tail) = rest.split_at(at);
        dst.extend_from_slice(plain);
        rest = tail;
        match tail {
            [b'+', after @ ..] => {
                dst.push(b' ');
                rest = after;
            }
            [b'%', high, low, after @ ..] => {
                if let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) {
                    dst.push(high << 4 | low);
                    rest = after;
                } else {
                    dst.push(b'%');
                    rest = tail.get(1..).unwrap_or_default();
                }
            }
            // An escape cut off by the end stays, with the byte that may follow.
            _ => break,
        }
    }
    dst.extend_from_slice(rest);
}

pub(super) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Both upper hex digits of a byte, as escapes write them.
pub(super) fn hex_pair(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| {
        if digit < 10 {
            b'0' + digit
        } else {
            b'A' + digit - 10
        }
    })
}

fn encode(text: &[u8], dst: &mut BytesMut) {
    let kept =
        |b: &u8| matches!(b, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| !kept(b)) {
        let (plain, tail) = rest.split_at(at);
        dst.extend_from_slice(plain);
        let Some((byte, after)) = tail.split_first() else {
            break;
        };
        let [high, low] = hex_pair(*byte);
        dst.extend_from_slice(&[b'%', high, low]);
        rest = after;
    }
    dst.extend_from_slice(rest);
}

impl PartialEq for Meta {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Meta {}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(k, v)| (quoted(k), quoted(v))))
            .finish()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(K, V)> for Meta {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut meta = Self::new();
        meta.extend(pairs);
        meta
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(K, V)> for Meta {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.add(key, value);
        }
    }
}
