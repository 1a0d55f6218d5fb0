//! A received message without its body, and where it came from.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Life;
use crate::codec::{BodyRef, FromBody};
use crate::message::{Head, Meta, Mtype, Seq, Uri, meta};
use crate::peer::Peer;
use crate::rerror::Rerror;
use crate::session::Session;
use crate::swap::Swap;
use crate::xfer::XferPipe;

/// A received message without its body, and where it came from: what all contexts share.
pub struct Received {
    session: Session,
    seq: Seq,
    mtype: Mtype,
    uri: Uri,
    meta: Meta,
    body_codec: u8,
    xfer: XferPipe,
    size: usize,
    swap: Option<Box<Swap>>,
    /// What limits the handling; mostly nothing does.
    life: Option<Arc<Life>>,
}

impl Received {
    #[inline]
    pub(crate) fn new(session: Session, head: &Head<'_>, size: usize) -> Self {
        Self {
            session,
            seq: Seq::from(head.seq),
            mtype: head.mtype,
            uri: Uri::new(head.uri),
            meta: if head.meta.is_empty() {
                Meta::new()
            } else {
                Meta::from_encoded(Bytes::copy_from_slice(head.meta))
            },
            body_codec: head.body_codec,
            xfer: XferPipe::from_wire(head.xfer),
            size,
            swap: None,
            life: None,
        }
    }

    /// The peer that received the message.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.session.peer()
    }

    /// The session that the message came by; it can be called and pushed to.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The address of the other end of the connection, without its port; `None` when the
    /// connection has no IP address.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.session.remote_address().ip()
    }

    /// The address of the first client, as a proxy noted it in the metadata `X-Real-IP`, else the
    /// address of the other end. The metadata is whatever the other peer says.
    #[must_use]
    pub fn real_ip(&self) -> String {
        match self.meta.get(meta::REAL_IP) {
            Some(ip) if !ip.is_empty() => ip.to_owned(),
            _ => self.session.remote_address().to_string(),
        }
    }

    /// Data of this message's own. It starts as a copy of the session's; a REPLY has that of its
    /// call, as the hooks before the call was written left it.
    pub fn swap(&mut self) -> &mut Swap {
        let session = &self.session;
        self.swap
            .get_or_insert_with(|| Box::new(Swap::clone(&session.swap())))
    }

    pub(crate) fn set_swap(&mut self, swap: Option<Box<Swap>>) {
        self.swap = swap;
    }

    pub(crate) fn take_swap(&mut self) -> Option<Box<Swap>> {
        self.swap.take()
    }

    /// The sequence text that names the call.
    #[must_use]
    pub fn seq(&self) -> &Seq {
        &self.seq
    }

    /// The type of the message.
    #[must_use]
    pub fn mtype(&self) -> Mtype {
        self.mtype
    }

    /// The metadata that came with the message.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The metadata that came with the message, to be changed for those who look at it later.
    pub fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    /// The uri.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The uri, to be changed. In a header hook this changes the route.
    pub fn uri_mut(&mut self) -> &mut Uri {
        &mut self.uri
    }

    /// Puts another uri in the place of the one that came.
    #[doc(alias = "ResetUri")]
    pub fn reset_uri(&mut self, uri: impl AsRef<[u8]>) {
        self.uri.reset(uri);
    }

    /// The decoded path of the uri.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The first value of a query parameter.
    #[must_use]
    pub fn query(&self, key: &str) -> Option<&str> {
        self.uri.query(key)
    }

    /// The id of the codec that the body came in.
    #[must_use]
    pub fn body_codec(&self) -> u8 {
        self.body_codec
    }

    /// The transfer filters that the message came through.
    #[must_use]
    pub fn xfer(&self) -> &XferPipe {
        &self.xfer
    }

    /// The size of the whole frame, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn life(&self) -> Option<&Arc<Life>> {
        self.life.as_ref()
    }

    pub(crate) fn set_life(&mut self, life: Option<Arc<Life>>) {
        self.life = life;
    }

    /// When the time to handle the message is over: its context age counted from its first hook,
    /// or what its caller has left, if that is less. `None` without a limit.
    ///
    /// It is a time of the clock that never jumps, for `tokio::time::timeout_at` and the like.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.life.as_ref()?.deadline()
    }

    /// How much time is left to handle the message; zero when it is over, `None` without a limit.
    ///
    /// Calls that the handler makes have no more than this. A task that it spawns has to be told:
    ///
    /// ```
    /// # use teleport::{CallCtx, Error};
    /// # async fn handler(ctx: &mut CallCtx) -> Result<(), Error> {
    /// let (session, remaining) = (ctx.session().clone(), ctx.remaining());
    /// tokio::spawn(async move {
    ///     let mut call = session.call::<String>("/who/are/you", ());
    ///     if let Some(remaining) = remaining {
    ///         call = call.timeout(remaining);
    ///     }
    ///     call.await
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.deadline()?.saturating_duration_since(Instant::now()))
    }

    /// Whether the handler was told that nobody waits for it any more: its time is over, or its
    /// caller gave up. Never under [`OnCancel::Finish`](super::OnCancel::Finish). So is every handler
    /// at the deadline of a [shutdown](crate::Peer::shutdown), for those that cannot be dropped then.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let is_told = self.life.as_ref().is_some_and(|life| life.is_told());
        is_told || self.session.inner().is_cut()
    }

    /// Waits until [`is_cancelled`](Self::is_cancelled); for ever, if that never happens.
    ///
    /// The future borrows nothing, so it can be kept, and moved into a task that the handler
    /// spawns.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use teleport::{CallCtx, Rerror};
    /// # async fn work() -> u32 { 1 }
    /// async fn handler(ctx: &mut CallCtx) -> Result<u32, Rerror> {
    ///     tokio::select! {
    ///         done = work() => Ok(done),
    ///         () = ctx.cancelled() => Err(Rerror::timeout("stopped half way")), // nobody gets it
    ///     }
    /// }
    /// ```
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        let life = self.life.clone();
        async move {
            match life {
                Some(life) => life.told().await,
                None => std::future::pending().await,
            }
        }
    }

    pub(crate) fn set_body_codec(&mut self, codec: u8) {
        self.body_codec = codec;
    }

    /// Decodes bytes in the codec of this message: for handlers that take [`Bytes`] and know
    /// later what is in them.
    ///
    /// # Errors
    ///
    /// Error 400 with the decoder's text.
    pub fn decode<T: FromBody>(&self, body: &Bytes) -> Result<T, Rerror> {
        let codecs = &self.session.inner().env().codecs;
        T::from_body(codecs, self.body_codec, BodyRef::shared(body))
            .map_err(|error| Rerror::bad_message(error.to_string()))
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("session", &self.session)
            .field("seq", &self.seq)
            .field("mtype", &self.mtype)
            .field("uri", &self.uri)
            .field("meta", &self.meta)
            .field("body_codec", &self.body_codec)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
