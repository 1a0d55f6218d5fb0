//! The keys of one connection, and what they make of messages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use bytes::{BufMut, Bytes, BytesMut};
use zeroize::Zeroizing;

use super::window::{Seen, WINDOW, Window};
use crate::Rerror;
use crate::message::{Header, Meta, Mtype, Seq, Uri};

/// The key of the only pair of metadata of a sealed message: the number of the message.
pub(super) const NUMBER: &str = "X-Sealed";

/// How many messages each direction carries at most.
pub(super) const MOST: u64 = 1 << 32;

/// The length of the tag behind a sealed body.
const TAG: usize = 16;

/// Stands for the number of a call where a reply does not know it.
const UNKNOWN: u64 = u64::MAX;

/// What was in a sealed message.
#[derive(Debug)]
pub(super) struct Parts {
    /// The number of the message.
    pub(super) number: u64,
    /// The whole uri, if more of it was sealed than stands outside.
    pub(super) uri: Option<Uri>,
    pub(super) meta: Meta,
    pub(super) body: Bytes,
}

/// The part of a message that everybody can read, and nobody change.
#[derive(Clone, Copy)]
pub(super) struct Outside<'a> {
    pub(super) mtype: Mtype,
    pub(super) seq: &'a Seq,
    pub(super) uri: &'a [u8],
    pub(super) codec: u8,
    pub(super) xfer: &'a [u8],
    /// The number of the call that a reply answers.
    pub(super) answers: Option<u64>,
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not sealed at all.
    Plain,
    /// It is not what the other end sealed.
    Forged,
    /// It came before.
    Replayed,
    /// It is authentic, but so many came after it that it may have come before.
    TooLate,
}

/// One direction of a connection.
struct Direction {
    cipher: Aes256Gcm,
    iv: [u8; 12],
}

impl Direction {
    fn new(key: &[u8; 32], iv: &[u8; 12]) -> Self {
        Self {
            cipher: Aes256Gcm::new(key.into()),
            iv: *iv,
        }
    }

    /// No two messages of a key have one number, so none have one nonce.
    fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, bits) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *byte ^= bits;
        }
        nonce
    }
}

/// A key and a start of nonces for each direction.
pub(super) struct Secrets {
    pub(super) send_key: Zeroizing<[u8; 32]>,
    pub(super) send_iv: [u8; 12],
    pub(super) receive_key: Zeroizing<[u8; 32]>,
    pub(super) receive_iv: [u8; 12],
}

/// The keys of one connection, and what came by it.
pub(super) struct Channel {
    send: Direction,
    receive: Direction,
    sent: AtomicU64,
    most: u64,
    came: Mutex<Window>,
}

impl Channel {
    pub(super) fn new(secrets: &Secrets, most: u64) -> Self {
        Self {
            send: Direction::new(&secrets.send_key, &secrets.send_iv),
            receive: Direction::new(&secrets.receive_key, &secrets.receive_iv),
            sent: AtomicU64::new(0),
            most,
            came: Mutex::default(),
        }
    }

    /// Takes the next number; `None` when the keys are used up. The last numbers are for replies.
    pub(super) fn next_number(&self, is_reply: bool) -> Option<u64> {
        let most = match is_reply {
            true => self.most,
            false => self.most - (self.most / 4).min(WINDOW),
        };
        let next = |sent| (sent < most).then(|| sent + 1);
        self.sent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .ok()
    }

    /// Seals a message that has taken a number: what everybody can read of it, and its body.
    pub(super) fn seal(
        &self,
        number: u64,
        header: &mut Header,
        body: &Bytes,
        answers: Option<u64>,
    ) -> Option<Bytes> {
        let (path, query) = split(header.uri.as_bytes());
        let meta = header.meta.encoded();
        let mut text = BytesMut::with_capacity(8 + query.len() + meta.len() + body.len() + TAG);
        put(&mut text, query)?;
        put(&mut text, &meta)?;
        text.extend_from_slice(body);
        let outside = Outside {
            mtype: header.mtype,
            seq: &header.seq,
            uri: path,
            codec: header.body_codec,
            xfer: header.xfer.ids(),
            answers,
        };
        let nonce = self.send.nonce(number);
        let tag = self
            .send
            .cipher
            .encrypt_inout_detached(&nonce.into(), &bound(&outside)?, (&mut *text).into())
            .ok()?;
        text.extend_from_slice(&tag);
        if !query.is_empty() {
            header.uri = Uri::new(path);
        }
        header.meta = Meta::new();
        header.meta.set(NUMBER, number.to_string());
        Some(text.freeze())
    }

    /// Opens a message. One that is not authentic changes nothing here.
    pub(super) fn open(
        &self,
        outside: Outside<'_>,
        meta: &Meta,
        sealed: &[u8],
    ) -> Result<Parts, Refused> {
        let number = number_of(meta).ok_or(Refused::Plain)?;
        if number >= MOST {
            return Err(Refused::Forged);
        }
        let parts = self
            .authentic(number, &outside, sealed)
            .or_else(|| self.unbound_error(number, outside, sealed))
            .ok_or(Refused::Forged)?;
        match self.came().note(number) {
            Seen::New => Ok(parts),
            Seen::Again => Err(Refused::Replayed),
            Seen::TooLate => Err(Refused::TooLate),
        }
    }

    /// An error that the other end made of a call without knowing which: one that stands in for a
    /// reply that could not be sent, or whose handler panicked, or of a call that came too late.
    fn unbound_error(&self, number: u64, outside: Outside<'_>, sealed: &[u8]) -> Option<Parts> {
        outside.answers?;
        let unbound = Outside {
            answers: None,
            ..outside
        };
        self.authentic(number, &unbound, sealed)
            .filter(|parts| Rerror::from_meta(&parts.meta).is_some())
    }

    fn came(&self) -> MutexGuard<'_, Window> {
        // What is behind the lock is whole at all times.
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authentic(&self, number: u64, outside: &Outside<'_>, sealed: &[u8]) -> Option<Parts> {
        let (text, tag) = sealed.split_last_chunk::<TAG>()?;
        let mut text = BytesMut::from(text);
        let nonce = self.receive.nonce(number);
        self.receive
            .cipher
            .decrypt_inout_detached(
                &nonce.into(),
                &bound(outside)?,
                (&mut *text).into(),
                tag.into(),
            )
            .ok()?;
        let [query, meta, body] = parts(text.freeze())?;
        let uri = match query.is_empty() {
            true => None,
            false => Some(Uri::new([outside.uri, &query].concat())),
        };
        Some(Parts {
            number,
            uri,
            meta: Meta::from_encoded(meta),
            body,
        })
    }
}

/// What is bound to a sealed body. Every part has a length in front, so that no two messages give
/// one text; the direction and the number are bound by the key and the nonce.
fn bound(outside: &Outside<'_>) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(64);
    text.put_slice(&[outside.mtype.0, outside.codec]);
    text.put_u64(outside.answers.unwrap_or(UNKNOWN));
    put(&mut text, outside.seq.as_bytes())?;
    put(&mut text, outside.uri)?;
    put(&mut text, outside.xfer)?;
    Some(text)
}

fn put(dst: &mut impl BufMut, text: &[u8]) -> Option<()> {
    dst.put_u32(u32::try_from(text.len()).ok()?);
    dst.put_slice(text);
    Some(())
}

/// Query, metadata and body of what was sealed.
pub(super) fn parts(mut text: Bytes) -> Option<[Bytes; 3]> {
    Some([take(&mut text)?, take(&mut text)?, text])
}

fn take(text: &mut Bytes) -> Option<Bytes> {
    let (length, _) = text.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let end = length.checked_add(4)?;
    (end <= text.len()).then(|| text.split_to(end).slice(4..))
}

/// The path as it is, and what follows it from the question mark on.
fn split(uri: &[u8]) -> (&[u8], &[u8]) {
    uri.split_at(uri.iter().position(|b| *b == b'?').unwrap_or(uri.len()))
}

/// The number in the metadata of a sealed message, which has nothing else.
fn number_of(meta: &Meta) -> Option<u64> {
    let mut pairs = meta.iter();
    let (key, value) = pairs.next()?;
    if key != NUMBER.as_bytes() || pairs.next().is_some() {
        return None;
    }
    let number: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    // One text for a number: it is not bound as a text.
    (number.to_string().as_bytes() == value).then_some(number)
}
