//! The stream under the encryption: its first bytes are remembered, and a handshake never waits
//! for room on it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::socket::stream::Stream;

/// How much of the beginning is remembered: enough to tell what it is.
const FIRST: usize = 16;

/// How long, and for how many bytes, the other end may take to notice what it was told last.
const LAST_WORDS: Duration = Duration::from_millis(500);
const LAST_BYTES: u64 = 64 * 1024;

/// How much of what a handshake writes may wait for room. A chain of certificates is the most of it.
const HELD: usize = 64 * 1024;

/// A stream whose first bytes are remembered, to tell what they were if they were no TLS.
///
/// While it has something of its handshake to write, TLS reads nothing. On a stream with little room
/// both ends would wait for each other for ever: the one for room for its certificate, the other for
/// room for the six bytes that it answers the hello with; or the one for room for session tickets,
/// and the other, whose handshake is over, for room for its first message. So what a handshake writes
/// is always taken, up to a bound, and goes out while the stream is read.
pub(in crate::socket) struct Watched {
    stream: Stream,
    first: [u8; FIRST],
    len: usize,
    /// What was taken and has not gone out.
    held: BytesMut,
    unflushed: bool,
    /// Whether the handshake goes on, so that more may be held.
    shakes: bool,
}

impl Watched {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            first: [0; FIRST],
            len: 0,
            held: BytesMut::new(),
            unflushed: false,
            shakes: true,
        }
    }

    /// Ends the handshake: from here on writers wait for room. Waits until all of it has gone out,
    /// unless the other end has no need of the rest: then that goes as far as there is room, and the
    /// remainder while the stream is read.
    pub(super) async fn end_handshake(&mut self, rest_is_needed: bool) -> io::Result<()> {
        self.shakes = false;
        // Without the runtime's budget: having used that up is no lack of room.
        tokio::task::unconstrained(poll_fn(|cx| match self.poll_held(cx)? {
            Poll::Pending if rest_is_needed => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }))
        .await
    }

    /// The first bytes that were read.
    pub(super) fn first(&self) -> &[u8] {
        self.first.get(..self.len).unwrap_or_default()
    }

    pub(super) const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Closes after a failure, so that the other end can read why: bytes that it sent and nobody
    /// read would destroy what is on its way to it.
    pub(super) async fn end(mut self) {
        let end = async {
            // What is held is the alert that says why.
            self.shutdown().await?;
            let mut rest = self.stream.take(LAST_BYTES);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        // Nobody waits for this to work.
        let _ = tokio::time::timeout(LAST_WORDS, end).await;
    }

    /// Writes out what is held.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written.min(self.held.len()));
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
            self.held = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes behind what is held, or holds this too.
    fn poll_behind(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        if self.poll_held(cx)?.is_ready() {
            match Pin::new(&mut self.stream).poll_write_vectored(cx, bufs) {
                Poll::Ready(Ok(n)) if n > 0 && self.shakes => written = n,
                Poll::Pending => {}
                ready @ Poll::Ready(_) => return ready,
            }
        }
        if !self.shakes {
            return Poll::Pending;
        }
        // The rest as well: an alert is written once, and what was left of it would be gone.
        let (before, mut skip) = (self.held.len(), written);
        for buf in bufs {
            let rest = buf.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(buf.len());
            let room = HELD.saturating_sub(self.held.len());
            self.held
                .extend_from_slice(rest.get(..room).unwrap_or(rest));
        }
        match written + self.held.len() - before {
            0 => Poll::Pending,
            taken => Poll::Ready(Ok(taken)),
        }
    }

    /// Whether writing takes a closer look.
    fn may_hold(&self) -> bool {
        self.shakes || !self.held.is_empty() || self.unflushed
    }

    fn remember(&mut self, bytes: &[u8]) {
        let room = self.first.get_mut(self.len..).unwrap_or_default();
        for (slot, byte) in room.iter_mut().zip(bytes) {
            *slot = *byte;
            self.len += 1;
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A failure to write is one of the next write's; there may still be something to read.
        let _ = this.poll_held(cx);
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if this.len < FIRST {
            this.remember(buf.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.may_hold() {
            return this.poll_behind(cx, &[IoSlice::new(buf)]);
        }
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.may_hold() {
            return this.poll_behind(cx, bufs);
        }
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.poll_held(cx)? {
            Poll::Ready(()) => Pin::new(&mut this.stream).poll_flush(cx),
            Poll::Pending if this.shakes => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_held(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
