//! The stream under the encryption, with its first bytes remembered.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::socket::stream::Stream;

/// How much of the beginning is remembered: enough to tell what it is.
const FIRST: usize = 16;

/// How long, and for how many bytes, the other end may take to notice what it was told last.
const LAST_WORDS: Duration = Duration::from_millis(500);
const LAST_BYTES: u64 = 64 * 1024;

/// A stream whose first bytes are remembered, to tell what they were if they were no TLS.
pub(in crate::socket) struct Watched {
    stream: Stream,
    first: [u8; FIRST],
    len: usize,
}

impl Watched {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            first: [0; FIRST],
            len: 0,
        }
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
            self.stream.shutdown().await?;
            let mut rest = self.stream.take(LAST_BYTES);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        // Nobody waits for this to work.
        let _ = tokio::time::timeout(LAST_WORDS, end).await;
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
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
