//! The contexts of plugins.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytes::Bytes;

use super::Received;
use crate::message::{Header, Uri};
use crate::rerror::Rerror;
use crate::session::Session;
use crate::swap::Swap;

/// What [`pre_dial`](crate::Plugin::pre_dial) sees: where a connection is about to be dialled.
#[derive(Debug)]
pub struct DialCtx {
    target: String,
    is_redial: bool,
}

impl DialCtx {
    pub(crate) fn new(target: String, is_redial: bool) -> Self {
        Self { target, is_redial }
    }

    /// The address, with its network if that is not TCP, such as `127.0.0.1:9090` or
    /// `unix:/run/app.sock`. Of a transport of one's own it is
    /// [`Connect::target`](crate::socket::Connect::target).
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether this is another connection of a session that lost one.
    #[must_use]
    pub fn is_redial(&self) -> bool {
        self.is_redial
    }
}

/// What [`pre_read_header`](crate::Plugin::pre_read_header) sees: the session, before anything is
/// known of the message.
#[derive(Debug)]
pub struct PreCtx {
    session: Session,
}

impl PreCtx {
    pub(crate) fn new(session: Session) -> Self {
        Self { session }
    }

    /// The session that the message comes by.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }
}

/// What the hooks of a received message see and may change.
///
/// Derefs to [`Received`].
#[derive(Debug)]
pub struct ReadCtx {
    received: Received,
    body: Bytes,
    /// What a body that does not decode is answered with.
    undecodable: Option<Box<Rerror>>,
}

impl ReadCtx {
    pub(crate) fn new(received: Received, body: Bytes) -> Self {
        Self {
            received,
            body,
            undecodable: None,
        }
    }

    pub(crate) fn into_parts(self) -> (Received, Bytes) {
        (self.received, self.body)
    }

    /// The body as it came: encoded, filters undone.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Puts another encoded body, in a codec, in the place of the one that came.
    ///
    /// Has no effect once the body was decoded.
    pub fn set_body(&mut self, codec: u8, body: impl Into<Bytes>) {
        self.received.set_body_codec(codec);
        self.body = body.into();
    }

    /// Sets the error for the case that the body does not decode to what the handler takes: for
    /// plugins that put another body in place. The decoder's text, which may quote the body, then
    /// goes to the log alone, at the level debug. Default: 400 `Bad Message` with that text. Has no
    /// effect on replies.
    pub fn set_decode_error(&mut self, rerror: Rerror) {
        self.undecodable = Some(Box::new(rerror));
    }

    /// What a body is answered with that does not decode.
    #[cold]
    pub(crate) fn undecodable(&mut self, rerror: Rerror) -> Rerror {
        match self.undecodable.take() {
            Some(set) => {
                let (remote, reason) = (self.session().remote_address(), rerror.reason());
                tracing::debug!(%remote, reason, "a body does not decode");
                *set
            }
            None => rerror,
        }
    }
}

impl Deref for ReadCtx {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

impl DerefMut for ReadCtx {
    fn deref_mut(&mut self) -> &mut Received {
        &mut self.received
    }
}

/// What the hooks of a message that is being sent see, and before it is written may change.
pub struct WriteCtx {
    session: Session,
    header: Header,
    body: Bytes,
    call_uri: Option<Uri>,
    swap: Option<Box<Swap>>,
}

/// What a reply's hooks see of the call.
pub(crate) struct Answered {
    uri: Uri,
    swap: Option<Box<Swap>>,
}

impl Answered {
    /// Takes what is wanted from the context of the call, which nobody looks at any more.
    pub(crate) fn new(call: &mut Received) -> Self {
        Self {
            uri: call.uri().clone(),
            swap: call.take_swap(),
        }
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// A call whose context is lost.
    pub(crate) fn lost(uri: Uri) -> Self {
        Self { uri, swap: None }
    }
}

impl WriteCtx {
    pub(crate) fn new(session: Session, header: Header, body: Bytes) -> Self {
        Self {
            session,
            header,
            body,
            call_uri: None,
            swap: None,
        }
    }

    pub(crate) fn answering(mut self, call: Answered) -> Self {
        self.call_uri = Some(call.uri);
        self.swap = call.swap;
        self
    }

    /// The session that the message goes by.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What stands in front of the body.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What stands in front of the body, to be changed. The sequence text and the type must stay
    /// as they are, or the other peer cannot tell what the message belongs to.
    pub fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    /// The uri of the call that a REPLY answers, as hooks and handler left it; `None` for a CALL
    /// and a PUSH, which have a uri of their own in their header.
    #[must_use]
    pub fn call_uri(&self) -> Option<&Uri> {
        self.call_uri.as_ref()
    }

    /// Data of this message's own. A REPLY has that of its call: what the hooks and the handler of
    /// the call put in is here, unless the handler panicked. Else it starts as a copy of the
    /// session's. What is put in before a CALL is written is there again for the hooks that read
    /// its reply.
    pub fn swap(&mut self) -> &mut Swap {
        let session = &self.session;
        self.swap
            .get_or_insert_with(|| Box::new(Swap::clone(&session.swap())))
    }

    /// The encoded body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Puts another encoded body, in a codec, in the place of this one.
    pub fn set_body(&mut self, codec: u8, body: impl Into<Bytes>) {
        self.header.body_codec = codec;
        self.body = body.into();
    }

    pub(crate) fn own_swap(&self) -> Option<&Swap> {
        self.swap.as_deref()
    }

    pub(crate) fn parts(&self) -> (&Header, &Bytes) {
        (&self.header, &self.body)
    }
}

impl fmt::Debug for WriteCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteCtx")
            .field("session", &self.session)
            .field("header", &self.header)
            .field("body_len", &self.body.len())
            .finish()
    }
}
