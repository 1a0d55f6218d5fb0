//! A connection before its read loop starts, for handshakes.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::inner::Inner;
use super::launch::encode_with;
use super::{Session, task};
use crate::codec::{BodyRef, FromBody, ToBody};
use crate::error::{Error, ErrorKind};
use crate::message::{Message, Mtype, Seq};
use crate::peer::{Peer, Shared};
use crate::proto::{Proto, ProtoError, Stranger};
use crate::socket::{Address, Socket, SocketError};
use crate::swap::Swap;

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
    /// Whether a message has come.
    heard: bool,
}

impl PreSession {
    pub(crate) fn new(
        shared: Arc<Shared>,
        socket: Socket,
        proto: Arc<dyn Proto>,
        dialled: bool,
    ) -> Self {
        Self {
            shared,
            socket,
            proto,
            dialled,
            counter: 0,
            heard: false,
        }
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

    /// Names the session to be.
    pub fn set_id(&mut self, id: impl Into<String>) {
        self.socket.set_id(id);
    }

    /// Data of the session to be.
    #[must_use]
    pub fn swap(&self) -> &Swap {
        self.socket.swap()
    }

    /// Data of the session to be, to be changed.
    pub fn swap_mut(&mut self) -> &mut Swap {
        self.socket.swap_mut()
    }

    /// Sends a message. A CALL or PUSH without a sequence text gets the session's next.
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
        self.socket
            .write_message(&message)
            .await
            .map_err(|e| self.failed("send", e))
    }

    /// Receives the next message.
    ///
    /// # Errors
    ///
    /// The connection failed or was closed, or its bytes are no message, or one that is too large here.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn receive(&mut self) -> Result<Message, Error> {
        loop {
            match self.socket.read_message().await {
                Ok(Some(message)) => {
                    self.heard = true;
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
                        Some(stranger) => return Err(self.refuse(&stranger, error).await),
                        None => return Err(self.failed("receive", error.into())),
                    }
                }
                Err(error) => return Err(self.failed("receive", error)),
            }
        }
    }

    /// Tells one who came to the wrong port that it is.
    #[cold]
    async fn refuse(&mut self, stranger: &Stranger, error: ProtoError) -> Error {
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
        let _ = tokio::time::timeout(task::LAST_WRITES, self.socket.shutdown()).await;
        if self.dialled || self.local_address().socket_addr().is_none() {
            return;
        }
        // What the other end sent after it was refused must not cost it the refusal.
        let read = self.socket.into_parts().halves.read;
        self.shared.tasks().spawn(task::linger(read));
    }

    /// Starts the read loop.
    pub(crate) fn start(self) -> Session {
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
        #[cfg_attr(not(feature = "tls"), allow(unused_mut, reason = "tls sets a field"))]
        let mut inner = Inner::new(
            Arc::clone(&self.shared),
            id,
            halves.local,
            halves.remote,
            self.proto,
            parts.swap,
            self.counter,
            parts.pack,
            halves.write,
        );
        #[cfg(feature = "tls")]
        {
            inner.tls = halves.tls;
        }
        let inner = Arc::new(inner);
        self.shared.hub().insert_new(&inner);
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
        if self.shared.is_draining() {
            inner.ask_to_drain();
        } else if self.shared.is_closing() {
            inner.begin_close("the peer is closing");
        }
        Session(inner)
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
