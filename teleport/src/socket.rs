//! Message streams over byte streams.
//!
//! A [`Socket`] is a byte stream and a protocol: it reads and writes messages, and can be used
//! alone, without a peer. Below it are the parts it is made of: what a stream's ends are called
//! ([`Address`], [`HostPort`]), what accepts streams ([`Listener`]), what the operating system is
//! told about them ([`SocketOptions`]), and how they come apart ([`halves`]). Who calls whom is
//! not known here.

mod address;
mod connect;
mod dial;
mod listener;
pub mod memory;
mod options;
#[cfg(all(target_os = "linux", feature = "unixpacket"))]
mod packet;
mod place;
mod reader;
mod spare;
mod stream;
mod target;
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub mod tls;
#[cfg(unix)]
mod unix;
mod writer;

use std::fmt;
use std::future::poll_fn;
use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::codec::{BodyRef, CodecError, FromBody, ToBody};
use crate::message::{Header, Message};
use crate::proto::{Env, Pack, Proto, ProtoError, Unpack};
use crate::swap::Swap;

pub use address::{Address, AddressError, Family, HostPort};
pub use connect::{Connect, Connecting};
pub use dial::{DialOptions, connect, connect_tcp};
pub use listener::{BoundListener, Listener, bind_tcp};
pub use options::{ListenOptions, OptionsError, SocketOptions};
#[cfg(all(target_os = "linux", feature = "unixpacket"))]
#[cfg_attr(docsrs, doc(cfg(all(target_os = "linux", feature = "unixpacket"))))]
pub use packet::{PacketListener, PacketStream};
pub use place::{Network, NetworkError, Place};
pub use reader::SocketReader;
#[cfg(unix)]
pub(crate) use stream::duplicate;
pub use stream::{Halves, Stream, WriteHalf, halves};
pub use target::ToAddress;
pub use writer::SocketWriter;

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The byte stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bytes are not a message, or the message cannot be written as bytes.
    #[error(transparent)]
    Proto(#[from] ProtoError),
    /// The body of a message is not what it should be; the stream is still good.
    #[error(transparent)]
    Decode(CodecError),
}

/// How much is read ahead at most while a message waits for room.
const READ_AHEAD: usize = spare::SPARE;

/// How often is read at most before others have their turn.
const READS_PER_WAKE: usize = 4;

/// A byte stream that carries messages.
///
/// ```
/// use std::sync::Arc;
/// use teleport::message::{Message, Mtype};
/// use teleport::proto::{Env, RawProto};
/// use teleport::socket::Socket;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::socket::SocketError> {
/// let (here, there) = tokio::io::duplex(1024);
/// let env = Arc::new(Env::default());
/// let mut here = Socket::new(here, &RawProto, env.clone());
/// let mut there = Socket::new(there, &RawProto, env);
///
/// here.write_message(&Message::new(Mtype::PUSH, "/note", "hello")).await?;
/// let got = there.read_message().await?.expect("a message is there");
/// assert_eq!((got.header.uri.path(), &got.body[..]), ("/note", &b"hello"[..]));
/// # Ok(())
/// # }
/// ```
pub struct Socket {
    reader: SocketReader,
    writer: SocketWriter,
    local: Address,
    remote: Address,
    #[cfg(feature = "tls")]
    tls: Option<Arc<tls::TlsInfo>>,
    id: Option<String>,
    swap: Swap,
}

impl Socket {
    /// Puts a stream and a protocol together.
    pub fn new<S>(stream: S, proto: &dyn Proto, env: Arc<Env>) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::from_halves(halves(stream), proto, env)
    }

    /// Puts a stream that came apart already and a protocol together.
    #[must_use]
    pub fn from_halves(halves: Halves, proto: &dyn Proto, env: Arc<Env>) -> Self {
        let (pack, unpack) = proto.split();
        Self {
            reader: SocketReader::new(halves.read, unpack, env.clone(), BytesMut::new()),
            writer: SocketWriter::new(halves.write, pack, env),
            local: halves.local,
            remote: halves.remote,
            #[cfg(feature = "tls")]
            tls: halves.tls,
            id: None,
            swap: Swap::new(),
        }
    }

    /// Reads the next message; see [`SocketReader::read_message`].
    ///
    /// # Errors
    ///
    /// When the stream fails, ends within a frame, or carries no frame of the protocol.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn read_message(&mut self) -> Result<Option<Message>, SocketError> {
        self.reader.read_message().await
    }

    /// Writes a message; see [`SocketWriter::write_message`].
    ///
    /// # Errors
    ///
    /// When the message cannot be packed, with nothing written, or when the stream fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future never leaves half a message: the rest goes out with the next call.
    pub async fn write_message(&mut self, message: &Message) -> Result<(), SocketError> {
        self.writer.write_message(message).await
    }

    /// Writes a message, and reads meanwhile where the stream has no room for it: two ends that
    /// both write first do not wait for each other. What is read ahead has a bound.
    pub(crate) async fn write_while_reading(
        &mut self,
        message: &Message,
    ) -> Result<(), SocketError> {
        self.writer.queue_message(message)?;
        Ok(poll_fn(|cx| self.poll_write_while_reading(cx)).await?)
    }

    fn poll_write_while_reading(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(written) = self.writer.poll_flush(cx) {
            return Poll::Ready(written);
        }
        while self.reader.unread().len() < READ_AHEAD {
            match self.reader.poll_fill(cx)? {
                Poll::Ready(1..) => {}
                // The other end has nothing more to say, and may listen still.
                Poll::Ready(0) | Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    /// [`shutdown`](Self::shutdown), for one whose other end may be at its end too: what that says
    /// last is read, and dropped.
    pub(crate) async fn shut(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            if let Poll::Ready(shut) = self.writer.poll_shutdown(cx) {
                return Poll::Ready(shut);
            }
            for _ in 0..READS_PER_WAKE {
                if !matches!(self.reader.poll_fill(cx), Poll::Ready(Ok(1..))) {
                    return Poll::Pending;
                }
                self.reader.forget();
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// Encodes a body by the header's codec and writes both as a message; see
    /// [`SocketWriter::write`].
    ///
    /// # Errors
    ///
    /// When the body cannot be encoded or the message not packed, with nothing written, or when
    /// the stream fails.
    ///
    /// # Cancel safety
    ///
    /// As with [`write_message`](Self::write_message).
    pub async fn write<B>(&mut self, header: &Header, body: &B) -> Result<(), SocketError>
    where
        B: ToBody + ?Sized,
    {
        self.writer.write(header, body).await
    }

    /// Decodes the body of a message by the codec that it names.
    ///
    /// # Errors
    ///
    /// With the kind [`Decode`](SocketError::Decode), when the codec is not registered or cannot
    /// decode the body.
    pub fn decode<T: FromBody>(&self, message: &Message) -> Result<T, SocketError> {
        let body = BodyRef::shared(&message.body);
        let decoded = T::from_body(&self.env().codecs, message.header.body_codec, body);
        decoded.map_err(SocketError::Decode)
    }

    /// Ends the writing direction, after what is left to be written.
    ///
    /// # Errors
    ///
    /// When the stream fails.
    ///
    /// # Cancel safety
    ///
    /// As with [`write_message`](Self::write_message): what is left can be written later.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.writer.shutdown().await
    }

    /// The name of the socket: the other end's address until one is set.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.clone().unwrap_or_else(|| self.remote.to_string())
    }

    /// The name that was set.
    pub(crate) fn name(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Names the socket.
    pub fn set_id(&mut self, id: impl Into<String>) {
        self.id = Some(id.into());
    }

    /// Data of the user's own that goes with the socket.
    #[must_use]
    pub const fn swap(&self) -> &Swap {
        &self.swap
    }

    /// Data of the user's own that goes with the socket, to be changed.
    pub const fn swap_mut(&mut self) -> &mut Swap {
        &mut self.swap
    }

    /// Where this end is.
    #[must_use]
    pub const fn local_address(&self) -> &Address {
        &self.local
    }

    /// Where the other end is.
    #[must_use]
    pub const fn remote_address(&self) -> &Address {
        &self.remote
    }

    /// What was agreed on with the other end, if the stream is encrypted.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn tls(&self) -> Option<&tls::TlsInfo> {
        self.tls.as_deref()
    }

    /// Lends the descriptor of the connection, to set or to read what is not offered here.
    ///
    /// It is a duplicate, made for this and closed at the end: what is set on it holds for the
    /// connection. Do not read, write or shut it.
    ///
    /// # Errors
    ///
    /// When the stream is no socket of the system, or no descriptor is free.
    #[cfg(unix)]
    pub fn with_fd<T>(&self, look: impl FnOnce(BorrowedFd<'_>) -> T) -> io::Result<T> {
        Ok(look(self.writer.duplicate()?.as_fd()))
    }

    /// The limits and registries that messages are read and written with.
    #[must_use]
    pub const fn env(&self) -> &Arc<Env> {
        self.reader.env()
    }

    /// The protocol that the connection turned out to be in, if it is one that chooses.
    pub(crate) fn chosen(&self) -> Option<(u8, &'static str)> {
        self.writer.chosen()
    }

    /// What was read and not taken.
    pub(crate) fn unread(&self) -> &[u8] {
        self.reader.unread()
    }

    /// Reads once more, whatever there is already.
    pub(crate) async fn read_more(&mut self) -> io::Result<usize> {
        self.reader.read_more().await
    }

    /// Writes bytes that are no message of the protocol.
    pub(crate) async fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_bytes(bytes).await
    }

    /// Takes the two directions apart, so that both can be used at once. Name and own data are
    /// dropped: take them before.
    #[must_use]
    pub fn split(self) -> (SocketReader, SocketWriter) {
        (self.reader, self.writer)
    }

    /// Takes everything apart.
    #[must_use]
    pub fn into_parts(self) -> SocketParts {
        let env = self.reader.env().clone();
        let (read, unpack, unread) = self.reader.into_parts();
        let (write, pack, unwritten) = self.writer.into_parts();
        SocketParts {
            halves: Halves {
                read,
                write,
                local: self.local,
                remote: self.remote,
                #[cfg(feature = "tls")]
                tls: self.tls,
            },
            pack,
            unpack,
            env,
            unread,
            unwritten,
            id: self.id,
            swap: self.swap,
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.id())
            .field("local", &self.local)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// What a [`Socket`] is made of.
#[non_exhaustive]
pub struct SocketParts {
    /// The directions of the byte stream, and where its ends are.
    pub halves: Halves,
    /// The writing direction of the protocol.
    pub pack: Box<dyn Pack>,
    /// The reading direction of the protocol.
    pub unpack: Box<dyn Unpack>,
    /// The limits and registries.
    pub env: Arc<Env>,
    /// Bytes that were read and belong to messages not taken yet.
    pub unread: BytesMut,
    /// Bytes of a message whose writing was given up half way; they go first.
    pub unwritten: BytesMut,
    /// The name, if one was set.
    pub id: Option<String>,
    /// Data of the user's own.
    pub swap: Swap,
}

impl fmt::Debug for SocketParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketParts")
            .field("halves", &self.halves)
            .field("unread", &self.unread.len())
            .field("unwritten", &self.unwritten.len())
            .field("id", &self.id)
            .field("swap", &self.swap)
            .finish_non_exhaustive()
    }
}
