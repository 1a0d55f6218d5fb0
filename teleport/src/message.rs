//! What travels: messages, their heads, and the small texts in them.
//!
//! Everything here is plain data. How it becomes bytes is the business of [`crate::proto`].

pub mod meta;
mod pairs;
pub mod seq;
pub(crate) mod text;
pub mod uri;

use std::fmt;

use bytes::Bytes;

pub use self::meta::Meta;
pub use self::seq::Seq;
pub use self::uri::Uri;
use crate::xfer::XferPipe;

/// The type byte of a message. Any byte survives, so that an unknown one can be reported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Mtype(pub u8);

impl Mtype {
    /// No type; a connection that carries it is closed.
    pub const UNDEFINED: Self = Self(0);
    /// A message that wants a reply.
    pub const CALL: Self = Self(1);
    /// The answer to a call.
    pub const REPLY: Self = Self(2);
    /// A message without an answer.
    pub const PUSH: Self = Self(3);

    /// The name of the type, as the original has it: `Undefined` for a byte that names none.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CALL => "CALL",
            Self::REPLY => "REPLY",
            Self::PUSH => "PUSH",
            _ => "Undefined",
        }
    }
}

impl fmt::Display for Mtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Mtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

/// What stands in front of a body, borrowed: what a protocol packs, and what it unpacks to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// Names a call; its reply repeats it.
    pub seq: &'a [u8],
    /// The type of the message.
    pub mtype: Mtype,
    /// Path and optional query; blank in a reply.
    pub uri: &'a [u8],
    /// The metadata, urlencoded.
    pub meta: &'a [u8],
    /// The id of the codec that the body is in, 0 for none.
    pub body_codec: u8,
    /// The ids of the transfer filters, outermost first.
    pub xfer: &'a [u8],
}

/// A whole message, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame<'a> {
    /// What stands in front of the body.
    pub head: Head<'a>,
    /// The body's bytes.
    pub body: &'a [u8],
}

/// What stands in front of a body, owned.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// Names a call; its reply repeats it.
    pub seq: Seq,
    /// The type of the message.
    pub mtype: Mtype,
    /// Path and optional query; blank in a reply.
    pub uri: Uri,
    /// The metadata.
    pub meta: Meta,
    /// The id of the codec that the body is in, 0 for none.
    pub body_codec: u8,
    /// The transfer filters.
    pub xfer: XferPipe,
}

impl Header {
    /// Copies a borrowed head.
    #[must_use]
    pub fn from_head(head: &Head<'_>) -> Self {
        Self {
            seq: head.seq.into(),
            mtype: head.mtype,
            uri: head.uri.into(),
            meta: Meta::from_encoded(Bytes::copy_from_slice(head.meta)),
            body_codec: head.body_codec,
            xfer: XferPipe::from_wire(head.xfer),
        }
    }

    /// Lends the header in the form that a protocol packs.
    pub fn with_head<R>(&self, f: impl FnOnce(&Head<'_>) -> R) -> R {
        f(&Head {
            seq: self.seq.as_bytes(),
            mtype: self.mtype,
            uri: self.uri.as_bytes(),
            meta: &self.meta.encoded(),
            body_codec: self.body_codec,
            xfer: self.xfer.ids(),
        })
    }
}

/// A whole message, owned.
///
/// # Examples
///
/// ```
/// use teleport::message::{Message, Mtype};
///
/// let message = Message::new(Mtype::PUSH, "/push/status", "hello")
///     .with_seq("A")
///     .with_meta("author", "me")
///     .with_body_codec(b's');
/// assert_eq!(message.header.uri.path(), "/push/status");
/// assert_eq!(message.body, "hello");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// What stands in front of the body.
    pub header: Header,
    /// The body's bytes, encoded.
    pub body: Bytes,
    size: usize,
}

impl Message {
    /// Makes a message out of its type, its uri and an encoded body.
    pub fn new(mtype: Mtype, uri: impl Into<Uri>, body: impl Into<Bytes>) -> Self {
        let header = Header {
            mtype,
            uri: uri.into(),
            ..Header::default()
        };
        Self {
            header,
            body: body.into(),
            size: 0,
        }
    }

    /// Copies a frame; `size` is its length as it was received.
    #[must_use]
    pub fn from_frame(frame: &Frame<'_>, size: usize) -> Self {
        Self {
            header: Header::from_head(&frame.head),
            body: Bytes::copy_from_slice(frame.body),
            size,
        }
    }

    /// Makes a received message out of its parts; `size` is the length of its frame.
    #[must_use]
    pub const fn from_parts(header: Header, body: Bytes, size: usize) -> Self {
        Self { header, body, size }
    }

    /// Sets the sequence.
    #[must_use]
    pub fn with_seq(mut self, seq: impl Into<Seq>) -> Self {
        self.header.seq = seq.into();
        self
    }

    /// Adds a pair of metadata.
    #[must_use]
    pub fn with_meta(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.header.meta.add(key, value);
        self
    }

    /// Sets the codec that the body is in.
    #[must_use]
    pub const fn with_body_codec(mut self, id: u8) -> Self {
        self.header.body_codec = id;
        self
    }

    /// Sets the transfer filters.
    #[must_use]
    pub fn with_xfer(mut self, xfer: XferPipe) -> Self {
        self.header.xfer = xfer;
        self
    }

    /// The length of the whole frame as it was received; 0 when the message was not received.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Lends the message in the form that it was read from.
    pub fn with_frame<R>(&self, f: impl FnOnce(&Frame<'_>) -> R) -> R {
        self.header.with_head(|head| {
            f(&Frame {
                head: *head,
                body: &self.body,
            })
        })
    }
}
