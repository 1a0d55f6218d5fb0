//! What is queued, and how it gets to the stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncWrite as _;

use super::{After, MAX_SLICES, State};
use crate::session::scratch;

impl State {
    /// Writes straight from the sender's bytes and tells how many were taken.
    pub(super) fn write_now(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.write).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => {
                    self.fail(io::ErrorKind::WriteZero.into());
                    return bytes.len();
                }
                Poll::Ready(Ok(n)) => {
                    taken += n;
                    self.wrote(n);
                }
                Poll::Ready(Err(error)) => {
                    self.fail(error);
                    return bytes.len();
                }
                Poll::Pending => {
                    self.stuck = true;
                    return taken;
                }
            }
        }
        self.flush(cx);
        taken
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        match Pin::new(&mut self.write).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(error)) => self.fail(error),
            Poll::Pending => self.stuck = true,
        }
    }

    pub(super) fn drain_unless_stuck(&mut self, cx: &mut Context<'_>) {
        match self.drain(cx) {
            Poll::Pending => self.stuck = true,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => self.fail(error),
        }
    }

    /// Writes all that is queued.
    pub(super) fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.len > 0 {
            let n = if self.chunks.is_empty() {
                ready!(Pin::new(&mut self.write).poll_write(cx, &self.tail))?
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let mut count = 0;
                let pieces = self.chunks.iter().map(Bytes::as_ref);
                for (slot, piece) in slices.iter_mut().zip(pieces.chain([self.tail.as_ref()])) {
                    *slot = IoSlice::new(piece);
                    count += 1;
                }
                let slices = slices.get(..count).unwrap_or_default();
                ready!(Pin::new(&mut self.write).poll_write_vectored(cx, slices))?
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote(n);
            self.consume(n);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.write).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, n: usize) {
        self.written = self.written.wrapping_add(n as u64);
        self.unflushed = true;
    }

    fn consume(&mut self, mut n: usize) {
        self.len = self.len.saturating_sub(n);
        while let Some(front) = self.chunks.front_mut() {
            if front.len() > n {
                front.advance(n);
                return;
            }
            n -= front.len();
            self.chunks.pop_front();
        }
        if n >= self.tail.len() {
            scratch::give_pack(std::mem::take(&mut self.tail));
        } else {
            self.tail.advance(n);
        }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.closed {
            return;
        }
        if self.tail.capacity() == 0 {
            self.tail = scratch::take_pack();
        }
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(super) fn chain(&mut self, body: Bytes) {
        if body.is_empty() || self.closed {
            return;
        }
        self.len += body.len();
        if !self.tail.is_empty() {
            self.chunks
                .push_back(std::mem::take(&mut self.tail).freeze());
        }
        self.chunks.push_back(body);
    }

    pub(super) fn after_write(&self) -> After {
        if self.stuck || self.closed {
            After::Wake
        } else {
            After::Nothing
        }
    }

    #[cold]
    pub(super) fn fail(&mut self, error: io::Error) {
        self.error.get_or_insert(error);
        self.close();
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.stuck = false;
        self.dropped += self.len;
        self.chunks.clear();
        self.tail = BytesMut::new();
        self.len = 0;
    }
}
