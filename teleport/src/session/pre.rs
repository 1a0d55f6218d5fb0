//! A connection before its read loop starts, for handshakes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::events::SessionEventKind;
use super::guard::Guard;
use super::inner::Inner;
use super::launch::encode_with;
use super::line::{Heritage, Line};
use super::{Session, control, task};
use crate::codec::{BodyRef, FromBody, ToBody};
use crate::error::{Error, ErrorKind};
use crate::message::{Message, Meta, Mtype, Seq};
use crate::peer::{Peer, Shared};
use crate::proto::{Proto, ProtoError, Stranger};
use crate::rerror::{Rerror, code};
use crate::socket::{Address, Socket, SocketError};
use crate::swap::Swap;
use crate::write_lock;

/// A connection before its read loop starts: the plugins of the peer may exchange messages on it
/// that no handler sees, and refuse it.
///
/// Messages are at most the peer's `handshake_message_limit` here, 16 KiB unless it is set, and all
/// of this may take at most its `handshake_timeout`.
pub struct PreSession {
    shared: Arc<Shared>,
    socket: Socket,
    proto: Arc<dyn Proto>,
    dialled: bool,
    counter: u64,
    context_age: Duration,
    session_age: Duration,
    /// Whether a message has come.
    heard: bool,
    /// What the other end said when it refused the connection.
    refusal: Option<Meta>,
    guard: Option<Arc<dyn Guard>>,
    line: Option<Arc<Line>>,
    /// What was given to it when this is not the session's first connection.
    heritage: Option<Heritage>,
}

impl PreSession {
    pub(crate) fn new(
        shared: Arc<Shared>,
        socket: Socket,
        proto: Arc<dyn Proto>,
        dialled: bool,
    ) -> Self {
        let config = shared.config();
        let (context_age, session_age) = (config.default_context_age, config.default_session_age);
        Self {
            shared,
            socket,
            proto,
            dialled,
            counter: 0,
            context_age,
            session_age,
            heard: false,
            refusal: None,
            guard: None,
            line: None,
            heritage: None,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Makes this a connection of a session that dials again.
    pub(crate) fn on_line(&mut self, line: &Arc<Line>, heritage: Option<Heritage>) {
        self.line = Some(Arc::clone(line));
        if let Some(heritage) = &heritage {
            self.counter = heritage.counter;
            self.socket.set_id(&*heritage.id);
            *self.socket.swap_mut() = heritage.swap.clone();
        }
        self.heritage = heritage;
    }

    /// The peer that this connection belongs to.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer::from_shared(Arc::clone(&self.shared))
    }

    /// Whether this side dialled.
    #[must_use]
    pub fn is_dialled(&self) -> bool {
        self.dialled
    }

    /// Whether the session is there already and gets another connection, for the one before was
    /// lost. Its name and its data are here, and the sequence goes on.
    #[must_use]
    pub fn is_redial(&self) -> bool {
        self.heritage.is_some()
    }

    /// The local address.
    #[must_use]
    pub fn local_address(&self) -> &Address {
        self.socket.local_address()
    }

    /// The address of the other end.
    #[must_use]
    pub fn remote_address(&self) -> &Address {
        self.socket.remote_address()
    }

    /// What was agreed on with the other end, its certificates among it, if the connection is
    /// encrypted.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn tls(&self) -> Option<&crate::socket::tls::TlsInfo> {
        self.socket.tls()
    }

    /// Lends the descriptor of the connection; see [`Session::with_fd`].
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) when the connection is no socket of the system, or no descriptor is
    /// free.
    #[cfg(unix)]
    pub fn with_fd<T>(
        &self,
        look: impl FnOnce(std::os::fd::BorrowedFd<'_>) -> T,
    ) -> Result<T, Error> {
        self.socket.with_fd(look).map_err(Error::no_descriptor)
    }

    /// The id and the name of the protocol that is spoken.
    #[must_use]
    pub fn proto(&self) -> (u8, &'static str) {
        let chosen = self.socket.chosen();
        chosen.unwrap_or_else(|| self.proto.version())
    }

    /// The name that was set, or that the session has already.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.socket.name()
    }

    /// Names the session to be.
    pub fn set_id(&mut self, id: impl Into<String>) {
        self.socket.set_id(id);
    }

    /// The age of the contexts of the session to be; zero: no limit.
    #[must_use]
    pub fn context_age(&self) -> Duration {
        self.context_age
    }

    /// Sets the age of the contexts of the session to be; see [`Session::set_context_age`].
    pub fn set_context_age(&mut self, age: Duration) {
        self.context_age = age;
    }

    /// The age of the session to be; zero: no limit.
    #[must_use]
    pub fn session_age(&self) -> Duration {
        self.session_age
    }

    /// Sets the age of the session to be, counted from the start of its reading; see
    /// [`Session::set_session_age`].
    pub fn set_session_age(&mut self, age: Duration) {
        self.session_age = age;
    }

    /// Data of the session to be.
    #[must_use]
    pub fn swap(&self) -> &Swap {
        self.socket.swap()
    }

    /// Data of the session to be, to be changed.
    ///
    /// On [another connection](Self::is_redial) of a session its values are shared with the handles
    /// there are, and [`Swap::get_mut`] gives `None` for them: insert a new value in its place.
    pub fn swap_mut(&mut self) -> &mut Swap {
        self.socket.swap_mut()
    }

    /// Puts a guard in place: it vouches for all further messages of this connection that no message
    /// hook sees. For plugins that encrypt or authenticate, when their handshake is done.
    ///
    /// # Errors
    ///
    /// [`Plugin`](ErrorKind::Plugin) when another plugin's guard is there.
    pub fn set_guard(&mut self, guard: Arc<dyn Guard>) -> Result<(), Error> {
        if self.guard.is_some() {
            let text = "two plugins want to guard one connection; use one of them";
            return Err(Error::new(ErrorKind::Plugin, text.to_owned()));
        }
        self.guard = Some(guard);
        Ok(())
    }

    /// Whether a guard is in place.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.guard.is_some()
    }

    /// Sends a message. A CALL or PUSH without a sequence text gets the session's next. Where the
    /// connection has no room for it, what the other end sends is read meanwhile, for
    /// [`receive`](Self::receive).
    ///
    /// # Errors
    ///
    /// The message cannot be packed, or the connection failed.
    ///
    /// # Cancel safety
    ///
    /// The message is sent as a whole, or with the next one, or not at all.
    pub async fn send(&mut self, mut message: Message) -> Result<(), Error> {
        if message.header.seq.is_empty() && message.header.mtype != Mtype::REPLY {
            message.header.seq = self.next_seq();
        }
        if let Some(guard) = &self.guard {
            guard.seal(&mut message).map_err(Error::refused)?;
        }
        self.socket
            .write_while_reading(&message)
            .await
            .map_err(|e| self.failed("send", e))
    }

    /// Receives the next message.
    ///
    /// # Errors
    ///
    /// The connection failed or was closed, or its bytes are no message, or one that is too large
    /// here, or that the [guard](Self::set_guard) does not take.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn receive(&mut self) -> Result<Message, Error> {
        loop {
            match self.socket.read_message().await {
                Ok(Some(mut message)) => {
                    self.heard = true;
                    if let Some(guard) = &self.guard {
                        guard.open(&mut message).map_err(Error::refused)?;
                    }
                    self.refusal = control::refusal_of(&message);
                    return Ok(message);
                }
                Ok(None) => return Err(self.closed()),
                Err(SocketError::Proto(error)) if !self.heard => {
                    let stranger = {
                        let unread = self.socket.unread();
                        Stranger::of(self.socket.env(), &*self.proto, unread)
                    };
                    match stranger {
                        Some(stranger) if stranger.needs_more() => {
                            match self.socket.read_more().await {
                                Ok(0) => return Err(self.closed()),
                                Ok(_) => {}
                                Err(error) => return Err(self.failed("receive", error.into())),
                            }
                        }
                        Some(stranger) => return Err(self.refuse_stranger(&stranger, error).await),
                        None => return Err(self.failed("receive", error.into())),
                    }
                }
                Err(error) => return Err(self.failed("receive", error)),
            }
        }
    }

    /// Tells the other end that it may not come in, whatever it waits for: for hooks that refuse a
    /// connection without having read anything from it. `meta` goes along, a hint when to
    /// [try again](crate::message::meta::RETRY_AFTER_MS) perhaps. The hook has to return the error
    /// as well.
    ///
    /// A handshake of the other end fails with the error. A session of the other end takes it as
    /// the reason of the end, and its calls [may be retried](Error::may_retry) elsewhere. The
    /// original ignores what it did not ask for, and sees the connection close.
    ///
    /// # Errors
    ///
    /// As of [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As of [`send`](Self::send).
    pub async fn refuse(&mut self, rerror: &Rerror, meta: Meta) -> Result<(), Error> {
        self.send(control::refusal(rerror, meta)).await
    }

    /// The error of a handshake that failed: what a plugin says, with what the other end said.
    pub(crate) fn refused(&self, error: Error) -> Error {
        let Some(meta) = &self.refusal else {
            return error;
        };
        let is_busy = error.rerror().map(Rerror::code) == Some(code::SERVICE_UNAVAILABLE);
        let error = error.with_meta(Some(meta));
        if is_busy { error.not_run() } else { error }
    }

    /// Tells one who came to the wrong port that it is.
    #[cold]
    async fn refuse_stranger(&mut self, stranger: &Stranger, error: ProtoError) -> Error {
        if let Some(answer) = stranger.answer() {
            // One who is gone needs no answer.
            let _ = self.socket.write_bytes(answer).await;
        }
        let text = format!(
            "cannot receive on the new connection with {}: {}",
            self.remote_address(),
            stranger.says()
        );
        Error::new(ErrorKind::Protocol, text).with_source(error)
    }

    #[cold]
    fn closed(&self) -> Error {
        Error::closed(format!("{} closed the connection", self.remote_address()))
    }

    /// The next sequence text; it is taken by this.
    pub fn next_seq(&mut self) -> Seq {
        let seq = Seq::from_counter(self.counter);
        self.counter += 1;
        seq
    }

    /// Encodes a body, by the codecs of the peer.
    ///
    /// # Errors
    ///
    /// The codec cannot.
    pub fn encode(&self, codec: u8, body: &impl ToBody) -> Result<Bytes, Error> {
        encode_with(&self.shared.env().codecs, codec, body)
    }

    /// Decodes the body of a message, by the codecs of the peer.
    ///
    /// # Errors
    ///
    /// The codec cannot.
    pub fn decode<T: FromBody>(&self, message: &Message) -> Result<T, Error> {
        let codecs = &self.shared.env().codecs;
        T::from_body(
            codecs,
            message.header.body_codec,
            BodyRef::shared(&message.body),
        )
        .map_err(Error::decode)
    }

    #[cold]
    fn failed(&self, what: &str, error: SocketError) -> Error {
        let kind = match &error {
            SocketError::Proto(_) => ErrorKind::Protocol,
            _ => ErrorKind::Io,
        };
        let text = format!(
            "cannot {what} on the new connection with {}",
            self.remote_address()
        );
        Error::new(kind, text).with_source(error)
    }

    /// Closes the connection, after what was sent, if the other end reads it.
    pub(crate) async fn shut(mut self) {
        // Nobody is interested in the shutdown of a connection that was refused.
        let _ = tokio::time::timeout(task::LAST_WRITES, self.socket.shut()).await;
        if self.dialled || self.local_address().socket_addr().is_none() {
            return;
        }
        // What the other end sent after it was refused must not cost it the refusal.
        let read = self.socket.into_parts().halves.read;
        self.shared.tasks().spawn(task::linger(read));
    }

    /// Starts the read loop.
    pub(crate) fn start(self) -> Session {
        let shared = Arc::clone(&self.shared);
        let inner = self.run(|inner, id, swap| {
            let id = id.unwrap_or_else(|| Inner::natural_id(inner.number));
            inner.replace_id(id);
            *write_lock(inner.swap()) = swap;
            if let Some(line) = inner.line() {
                line.begin(inner);
            }
            let shared = &inner.shared;
            shared.hub().insert_new(inner);
            shared
                .events()
                .tell(|| (Session(Arc::clone(inner)), SessionEventKind::Connected));
        });
        let session = Session(inner);
        if shared.is_draining() {
            session.0.ask_to_drain();
        } else if shared.is_closing() {
            session.0.begin_close("the peer is closing");
        }
        session
    }

    /// Starts the read loop of another connection of a session.
    pub(super) fn start_again(mut self, line: &Line) -> (Arc<Inner>, Option<Arc<str>>) {
        let given = self.heritage.take();
        let mut name = None;
        let inner = self.run(|inner, id, swap| {
            name = id;
            if let Some(given) = &given {
                line.merge_swap(&given.swap, &swap);
            }
            line.add(inner);
        });
        let given = given.map(|given| given.id);
        (inner, name.filter(|name| given.as_ref() != Some(name)))
    }

    /// Puts the parts together, and lets `join` make the result known before it is read.
    fn run(self, join: impl FnOnce(&Arc<Inner>, Option<Arc<str>>, Swap)) -> Arc<Inner> {
        let parts = self.socket.into_parts();
        let halves = parts.halves;
        let natural = if self.dialled {
            &halves.local
        } else {
            &halves.remote
        };
        let id = parts
            .id
            .or_else(|| natural.socket_addr().map(|addr| addr.to_string()));
        let mut inner = Inner::new(
            self.shared,
            self.line,
            halves.local,
            halves.remote,
            self.proto,
            self.counter,
            parts.pack,
            halves.write,
        );
        inner.guard = self.guard;
        #[cfg(feature = "tls")]
        {
            inner.tls = halves.tls;
        }
        let inner = Arc::new(inner);
        inner.set_context_age(self.context_age);
        join(&inner, id.map(Arc::from), parts.swap);
        if !parts.unwritten.is_empty() {
            // A send that was given up half way; its rest must go before anything else.
            let _ = inner.put(&parts.unwritten, None, super::outbound::When::Now);
        }
        task::start(
            Arc::clone(&inner),
            halves.read,
            parts.unpack,
            parts.unread,
            !self.heard,
        );
        inner.set_session_age(self.session_age);
        inner
    }
}

impl fmt::Debug for PreSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreSession")
            .field("socket", &self.socket)
            .field("dialled", &self.dialled)
            .finish_non_exhaustive()
    }
}
