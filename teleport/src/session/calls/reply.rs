//! A reply, from its arrival until its caller takes it.

use bytes::Bytes;
use tokio::time::Instant;

use crate::message::Meta;
use crate::rerror::Rerror;
use crate::session::scratch;
use crate::xfer::XferPipe;

/// A reply as it arrived.
#[derive(Debug)]
pub(in crate::session) struct ReplyIn {
    pub(in crate::session) body_codec: u8,
    pub(in crate::session) meta: Meta,
    pub(in crate::session) xfer: XferPipe,
    pub(in crate::session) body: ReplyBytes,
    pub(in crate::session) size: usize,
    /// When it was read, whoever takes it when.
    pub(in crate::session) arrived: Instant,
    /// What a plugin made of it.
    pub(in crate::session) refused: Option<Rerror>,
}

impl ReplyIn {
    pub(super) fn is_copied(&self) -> bool {
        matches!(self.body, ReplyBytes::Copied(_))
    }

    /// Gives the memory of a copied body back to the thread.
    pub(in crate::session) fn recycle(&mut self) {
        if let ReplyBytes::Copied(bytes) = &mut self.body {
            scratch::give_reply(std::mem::take(bytes));
        }
    }
}

/// The body of a reply: copied when small, else a part of what was read.
#[derive(Debug)]
pub(in crate::session) enum ReplyBytes {
    Copied(Vec<u8>),
    Shared(Bytes),
}

impl ReplyBytes {
    pub(in crate::session) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    pub(in crate::session) fn into_bytes(self) -> Bytes {
        match self {
            Self::Copied(bytes) => bytes.into(),
            Self::Shared(bytes) => bytes,
        }
    }
}
