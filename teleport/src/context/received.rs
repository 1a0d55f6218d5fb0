//! A received message without its body, and where it came from.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;

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
