//! The writing direction of a socket.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite as _;

use super::SocketError;
use super::spare;
use super::stream::WriteHalf;
use crate::codec::ToBody;
use crate::message::{Header, Message};
use crate::proto::{Body, Env, Pack, ProtoError};

/// Writes the messages of one connection.
///
/// A message is encoded whole before its first byte is written, and goes out in one write call if
/// the stream takes it.
pub struct SocketWriter {
    write: Box<dyn WriteHalf>,
    pack: Box<dyn Pack>,
    env: Arc<Env>,
    /// What is still to be written.
    buf: BytesMut,
}

impl SocketWriter {
    /// Puts a writer together.
    #[must_use]
    pub fn new(write: Box<dyn WriteHalf>, pack: Box<dyn Pack>, env: Arc<Env>) -> Self {
        Self {
            write,
            pack,
            env,
            buf: BytesMut::new(),
        }
    }

    /// Another descriptor of the connection.
    #[cfg(unix)]
    pub(super) fn duplicate(&self) -> io::Result<std::os::fd::OwnedFd> {
        super::duplicate(&*self.write)
    }

    /// Writes a message.
    ///
    /// # Errors
    ///
    /// Fails when the message breaks a rule of the protocol or a limit, and then nothing of it is
    /// written and the connection is good for others; or when the stream fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future never leaves half a message: what is left of it goes out with the next
    /// call, or with [`flush`](Self::flush).
    pub async fn write_message(&mut self, message: &Message) -> Result<(), SocketError> {
        self.queue_message(message)?;
        Ok(self.flush().await?)
    }

    /// Encodes a body by the header's codec and writes both as a message.
    ///
    /// # Errors
    ///
    /// As with [`write_message`](Self::write_message), and when the codec is not registered or
    /// cannot encode the body; then nothing is written either.
    ///
    /// # Cancel safety
    ///
    /// As with [`write_message`](Self::write_message).
    pub async fn write<B>(&mut self, header: &Header, body: &B) -> Result<(), SocketError>
    where
        B: ToBody + ?Sized,
    {
        match body.as_bytes() {
            Some(bytes) => self.queue(header, Body::Bytes(bytes))?,
            None => {
                let env = self.env.clone();
                let mut encode = |dst: &mut BytesMut| {
                    Ok(body.encode_body(&env.codecs, header.body_codec, dst)?)
                };
                self.queue(header, Body::Write(&mut encode))?;
            }
        }
        Ok(self.flush().await?)
    }

    /// Writes out what dropped calls left behind.
    ///
    /// # Errors
    ///
    /// Fails when the stream does.
    ///
    /// # Cancel safety
    ///
    /// As with [`write_message`](Self::write_message).
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Writes out what is left and ends this direction; the other end then reads to an end.
    ///
    /// # Errors
    ///
    /// Fails when the stream does.
    ///
    /// # Cancel safety
    ///
    /// As with [`write_message`](Self::write_message).
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// The limits and registries that messages are written with.
    #[must_use]
    pub const fn env(&self) -> &Arc<Env> {
        &self.env
    }

    pub(super) fn chosen(&self) -> Option<(u8, &'static str)> {
        self.pack.chosen()
    }

    pub(super) async fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buf.extend_from_slice(bytes);
        self.flush().await
    }

    pub(super) fn into_parts(self) -> (Box<dyn WriteHalf>, Box<dyn Pack>, BytesMut) {
        (self.write, self.pack, self.buf)
    }

    pub(super) fn queue_message(&mut self, message: &Message) -> Result<(), ProtoError> {
        self.queue(&message.header, Body::Bytes(&message.body))
    }

    fn queue(&mut self, header: &Header, body: Body<'_>) -> Result<(), ProtoError> {
        if self.buf.is_empty() {
            self.release();
            self.buf = spare::take();
        }
        let packed = header.with_head(|head| self.pack.pack(&self.env, head, body, &mut self.buf));
        if self.buf.is_empty() {
            self.release();
        }
        packed
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buf.is_empty() {
            let written = ready!(Pin::new(&mut self.write).poll_write(cx, &self.buf))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buf.advance(written.min(self.buf.len()));
        }
        self.release();
        Pin::new(&mut self.write).poll_flush(cx)
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.write).poll_shutdown(cx)
    }

    /// Gives the buffer up; nothing is in it.
    fn release(&mut self) {
        spare::give(std::mem::take(&mut self.buf));
    }
}

impl fmt::Debug for SocketWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketWriter")
            .field("unwritten", &self.buf.len())
            .finish_non_exhaustive()
    }
}
