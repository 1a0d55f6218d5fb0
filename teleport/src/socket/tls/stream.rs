//! Encrypted streams, and how they come apart.

use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::TlsInfo;
use super::watched::Watched;
use crate::socket::stream::{Halves, Stream};

/// An encrypted connection.
pub(in crate::socket) struct TlsConn {
    tls: TlsStream<Watched>,
    info: Arc<TlsInfo>,
}

impl TlsConn {
    pub(super) fn new(tls: TlsStream<Watched>, info: Arc<TlsInfo>) -> Self {
        Self { tls, info }
    }

    /// The stream under the encryption.
    pub(in crate::socket) fn inner(&self) -> &Stream {
        self.tls.get_ref().0.stream()
    }

    /// Takes the two directions apart. Both need the one state of the encryption, for as long as
    /// one poll takes.
    pub(in crate::socket) fn into_halves(self) -> Halves {
        let info = Arc::clone(&self.info);
        let shared = Shared(Arc::new(Mutex::new(self)));
        let mut halves = Halves::new(TlsRead(shared.clone()), TlsWrite(shared));
        halves.tls = Some(info);
        halves
    }
}

impl AsyncRead for TlsConn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.tls).poll_read(cx, buf) {
            // An end without a word of goodbye. Whether it tore a message apart is for those to
            // tell who know what a message is.
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            polled => polled,
        }
    }
}

impl AsyncWrite for TlsConn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

/// What both directions need.
#[derive(Clone)]
struct Shared(Arc<Mutex<TlsConn>>);

impl Shared {
    /// After a panic within, the encryption says itself whether it can go on.
    fn get(&self) -> MutexGuard<'_, TlsConn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TlsRead(Shared);

impl AsyncRead for TlsRead {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.get()).poll_read(cx, buf)
    }
}

/// The writing direction of an encrypted connection.
pub(in crate::socket) struct TlsWrite(Shared);

impl TlsWrite {
    #[cfg(unix)]
    pub(in crate::socket) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.get().inner().duplicate()
    }
}

impl AsyncWrite for TlsWrite {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.get()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.get()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.get()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.get()).poll_shutdown(cx)
    }
}
