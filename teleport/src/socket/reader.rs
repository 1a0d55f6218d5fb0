//! The reading direction of a socket.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::SocketError;
use super::spare::{self, SPARE};
use crate::message::{Header, Message};
use crate::proto::{Env, ProtoError, ProtoErrorKind, Unpack};

/// Bodies below this are copied out of the read buffer, so that one that is kept does not hold on
/// to a large buffer.
const SHARED_FROM: usize = 4 << 10;

/// Room below this is not worth a read call of its own while more is missing.
const LEAST_ROOM: usize = 16 << 10;

/// Reads the messages of one connection.
///
/// The read buffer grows by what has arrived, never by what the other end claims, and is given up
/// whenever no part of a frame is left in it.
pub struct SocketReader {
    read: Box<dyn AsyncRead + Send + Unpin>,
    unpack: Box<dyn Unpack>,
    env: Arc<Env>,
    buf: BytesMut,
    /// The size that `buf` was made with; its parts that became bodies count.
    made: usize,
}

impl SocketReader {
    /// Puts a reader together. `unread` are bytes that were read already.
    #[must_use]
    pub fn new(
        read: Box<dyn AsyncRead + Send + Unpin>,
        unpack: Box<dyn Unpack>,
        env: Arc<Env>,
        unread: BytesMut,
    ) -> Self {
        let made = unread.capacity();
        Self {
            read,
            unpack,
            env,
            buf: unread,
            made,
        }
    }

    /// Reads the next message, or `None` when the other end has ended between two messages.
    ///
    /// # Errors
    ///
    /// Fails when the stream fails, when the bytes are not a frame of the protocol, and, with
    /// [`ProtoErrorKind::Incomplete`], when the stream ends within a frame. A broken frame cannot
    /// be skipped: asking again gives the same error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; what has been read is there for the next call.
    pub async fn read_message(&mut self) -> Result<Option<Message>, SocketError> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Polls for the next message; [`read_message`](Self::read_message) as a function to poll.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, SocketError>> {
        loop {
            if let Some(message) = self.take_message()? {
                return Poll::Ready(Ok(Some(message)));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(self.ended());
            }
        }
    }

    /// The limits and registries that messages are read with.
    #[must_use]
    pub const fn env(&self) -> &Arc<Env> {
        &self.env
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.buf
    }

    /// Drops what was read.
    pub(super) fn forget(&mut self) {
        self.release();
    }

    pub(super) async fn read_more(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    pub(super) fn into_parts(
        self,
    ) -> (Box<dyn AsyncRead + Send + Unpin>, Box<dyn Unpack>, BytesMut) {
        (self.read, self.unpack, self.buf)
    }

    /// Takes a message out of what has been read, if a whole one is there.
    fn take_message(&mut self) -> Result<Option<Message>, ProtoError> {
        if self.buf.is_empty() {
            return Ok(None);
        }
        let Some((frame, used)) = self.unpack.unpack(&self.env, &self.buf, false)? else {
            return Ok(None);
        };
        if used == 0 || used > self.buf.len() {
            return Err(took(used, self.buf.len()));
        }
        let header = Header::from_head(&frame.head);
        let body = frame.body;
        let place = if worth_sharing(body.len(), self.made) {
            offset_in(&self.buf, body)
        } else {
            None
        };
        let body = if let Some(start) = place {
            let end = start + body.len();
            // The body may not reach beyond what the protocol said it took.
            if end > used {
                return Err(took(used, end));
            }
            self.buf.split_to(used).freeze().slice(start..end)
        } else {
            let body = Bytes::copy_from_slice(body);
            self.buf.advance(used);
            body
        };
        if self.buf.is_empty() {
            self.release();
        }
        Ok(Some(Message::from_parts(header, body, used)))
    }

    /// Reads once, into room that fits what is missing.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        let polled = pin!(self.read.read_buf(&mut self.buf)).poll(cx);
        if self.buf.is_empty() {
            self.release();
        }
        polled
    }

    fn make_room(&mut self) {
        let len = self.buf.len();
        if len == 0 {
            self.release();
            self.buf = spare::take();
            self.made = SPARE;
            return;
        }
        let whole = self
            .unpack
            .frame_len(&self.buf)
            .filter(|whole| *whole > len);
        let missing = whole.map_or(LEAST_ROOM, |whole| whole - len);
        if self.buf.capacity() - len >= missing.min(LEAST_ROOM) {
            return;
        }
        let doubled = len.saturating_mul(2);
        let size = whole.map_or(doubled, |whole| whole.min(doubled)).max(SPARE);
        let mut larger = if size == SPARE {
            spare::take()
        } else {
            BytesMut::with_capacity(size)
        };
        larger.extend_from_slice(&self.buf);
        spare::give(std::mem::replace(&mut self.buf, larger));
        self.made = size;
    }

    /// Gives the buffer up; nothing is in it.
    fn release(&mut self) {
        spare::give(std::mem::take(&mut self.buf));
        self.made = 0;
    }

    /// What the end of the stream means.
    fn ended(&self) -> Result<Option<Message>, SocketError> {
        if self.buf.is_empty() {
            return Ok(None);
        }
        let len = self.buf.len();
        let text = match self.unpack.frame_len(&self.buf) {
            Some(whole) => format!("the stream ended within a frame: {len} of {whole} bytes"),
            None => format!("the stream ended within a frame, after {len} bytes"),
        };
        Err(ProtoError::new(ProtoErrorKind::Incomplete, text).into())
    }
}

impl fmt::Debug for SocketReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketReader")
            .field("unread", &self.buf.len())
            .finish_non_exhaustive()
    }
}

/// Whether a body of this length is better kept as a part of its read buffer than copied.
const fn worth_sharing(len: usize, made: usize) -> bool {
    len >= SHARED_FROM && len >= made / 4
}

/// Where a part stands in the whole, if it does.
fn offset_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (start.checked_add(part.len())? <= whole.len()).then_some(start)
}

#[cold]
fn took(used: usize, there: usize) -> ProtoError {
    ProtoError::new(
        ProtoErrorKind::BadLength,
        format!("the protocol says that it took {used} bytes of {there}"),
    )
}

#[cfg(test)]
mod tests;
