//! Protocols: messages to bytes and back.
//!
//! Nothing in here does I/O or knows a runtime. A [`Proto`] gives a packer and an unpacker, one
//! object for each direction, so that reading never waits for writing. What they need to know of
//! the peer is in an [`Env`].

mod any_of;
mod body;
mod error;
mod framing;
mod json;
mod limits;
mod pb;
mod prefixed;
mod raw;
mod sniff;
mod spare;
mod stranger;

pub use any_of::AnyOf;
pub use body::Body;
pub(crate) use body::Rollback;
pub use error::{ProtoError, ProtoErrorKind};
pub use json::JsonProto;
pub use limits::Limits;
pub use pb::PbProto;
pub use raw::RawProto;
pub use sniff::Sniff;
pub use stranger::Stranger;

use std::sync::Arc;

use bytes::BytesMut;

use crate::{
    codec::Codecs,
    message::{Frame, Head},
    xfer::Filters,
};

/// What packers and unpackers know of their peer.
#[derive(Clone, Debug, Default)]
pub struct Env {
    /// The bounds on messages.
    pub limits: Limits,
    /// The body codecs by id.
    pub codecs: Codecs,
    /// The transfer filters by id.
    pub filters: Filters,
}

/// A way to write messages as bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a protocol",
    label = "a type that implements `Proto` is needed here",
    note = "`RawProto` is the default, `JsonProto` and `PbProto` are others; for one of your own implement `Proto` with `Pack` and `Unpack`"
)]
pub trait Proto: Send + Sync + 'static {
    /// Returns the id and the name of the protocol.
    fn version(&self) -> (u8, &'static str);

    /// Returns the two directions for one connection.
    fn split(&self) -> (Box<dyn Pack>, Box<dyn Unpack>);

    /// Tells whether the first bytes of a connection, at least one, are of this protocol, for
    /// [`AnyOf`]. It is asked again, with all of them, each time more have come.
    ///
    /// By default never, and then `AnyOf` speaks this protocol only if it is the first of its list
    /// and this side speaks first.
    fn recognise(&self, env: &Env, bytes: &[u8]) -> Sniff {
        let _ = (env, bytes);
        Sniff::No
    }

    /// Returns the names of all protocols that this one understands: its own by default.
    fn names(&self) -> Vec<&'static str> {
        vec![self.version().1]
    }
}

impl<P: Proto + ?Sized> Proto for Arc<P> {
    fn version(&self) -> (u8, &'static str) {
        (**self).version()
    }

    fn split(&self) -> (Box<dyn Pack>, Box<dyn Unpack>) {
        (**self).split()
    }

    fn recognise(&self, env: &Env, bytes: &[u8]) -> Sniff {
        (**self).recognise(env, bytes)
    }

    fn names(&self) -> Vec<&'static str> {
        (**self).names()
    }
}

/// The writing direction of a protocol. Several tasks pack for one connection at once.
pub trait Pack: Send + Sync {
    /// Appends a frame to `dst`.
    ///
    /// # Errors
    ///
    /// Fails when the message breaks a rule of the protocol or a limit, or when a filter or the
    /// body fails. Then, and when the body panics, `dst` is as it was.
    fn pack(
        &self,
        env: &Env,
        head: &Head<'_>,
        body: Body<'_>,
        dst: &mut BytesMut,
    ) -> Result<(), ProtoError>;

    /// Appends all of a frame but its body, which the caller sends right behind it.
    ///
    /// Returns `None`, and writes nothing, when the protocol cannot do that for this head: by
    /// default never, and not when filters are to work on the body.
    fn pack_head(
        &self,
        env: &Env,
        head: &Head<'_>,
        body_len: usize,
        dst: &mut BytesMut,
    ) -> Option<Result<(), ProtoError>> {
        let _ = (env, head, body_len, dst);
        None
    }

    /// Returns the id and the name of the protocol that the connection turned out to be in, for a
    /// protocol that chooses. `None` by default, and while nothing is chosen.
    fn chosen(&self) -> Option<(u8, &'static str)> {
        None
    }
}

/// The reading direction of a protocol.
pub trait Unpack: Send {
    /// Reads the frame that `src` starts with, and returns it with the number of bytes it took.
    ///
    /// Returns `None` when more bytes are needed; being asked again with few more is cheap.
    /// `whole` says that `src` is exactly one frame, as the transport tells messages apart.
    ///
    /// # Errors
    ///
    /// Fails when the bytes break a rule of the protocol or a limit, or when a filter fails. With
    /// `whole` it is an error too when bytes are missing, or left.
    fn unpack<'a>(
        &'a mut self,
        env: &Env,
        src: &'a [u8],
        whole: bool,
    ) -> Result<Option<(Frame<'a>, usize)>, ProtoError>;

    /// Returns the length of the whole frame that `src` starts with, when that tells, so that a
    /// big one can be read into a fitting buffer. It is what the peer claims, and no more.
    fn frame_len(&self, src: &[u8]) -> Option<usize> {
        let _ = src;
        None
    }

    /// Gives back buffers kept for the next message, for a connection that falls idle.
    fn release(&mut self) {}
}
