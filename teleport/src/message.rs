//! What travels: messages, their heads, and the small texts in them.
//!
//! Everything here is plain data. How it becomes bytes is the business of [`crate::proto`].

use std::fmt;

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

    /// The name of the type, `UNDEFINED` for a byte that names none.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CALL => "CALL",
            Self::REPLY => "REPLY",
            Self::PUSH => "PUSH",
            _ => "UNDEFINED",
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
