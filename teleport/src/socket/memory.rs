//! Connections in memory, for tests: no port, no system, and a paused clock does not disturb them.
//!
//! ```
//! use teleport::Peer;
//! use teleport::socket::memory;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (listener, connector) = memory::listen("server");
//! let server = Peer::builder().build()?;
//! let serving = tokio::spawn({
//!     let server = server.clone();
//!     async move { server.serve_listener(listener).await }
//! });
//!
//! let client = Peer::builder().build()?;
//! let session = client.dial_conn(connector.connect().await?).await?;
//! assert_eq!(session.remote_address().to_string(), "memory:server");
//! # client.close().await;
//! # server.close().await;
//! # serving.await.expect("it does not panic")?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

use super::address::Address;
use super::listener::Listener;

/// How many bytes a connection holds each way unless another number is set.
const ROOM: usize = 64 * 1024;

/// How many connections may wait to be taken, as with a listening socket.
const BACKLOG: usize = 128;

/// A listener in memory, and what connects to it. The name is for addresses and messages alone:
/// two listeners of one name are two.
#[must_use]
pub fn listen(name: &str) -> (MemoryListener, MemoryConnector) {
    let (send, receive) = mpsc::channel(BACKLOG);
    let address = Address::other(format!("memory:{name}"));
    let connector = MemoryConnector {
        waiting: send,
        address: address.clone(),
        dialled: Arc::new(AtomicU64::new(0)),
        room: ROOM,
    };
    let listener = MemoryListener {
        waiting: receive,
        address,
    };
    (listener, connector)
}

/// The listening end; see [`listen`]. Dropped, it refuses connections.
pub struct MemoryListener {
    waiting: mpsc::Receiver<MemoryStream>,
    address: Address,
}

impl Listener for MemoryListener {
    type Stream = MemoryStream;

    /// Waits for ever once all connectors are gone.
    async fn accept(&mut self) -> io::Result<MemoryStream> {
        match self.waiting.recv().await {
            Some(stream) => Ok(stream),
            None => std::future::pending().await,
        }
    }

    fn local_address(&self) -> Address {
        self.address.clone()
    }
}

impl fmt::Debug for MemoryListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryListener")
            .field(&self.address)
            .finish()
    }
}

/// What connects to a [`MemoryListener`]. Clones connect to the same one.
#[derive(Clone)]
pub struct MemoryConnector {
    waiting: mpsc::Sender<MemoryStream>,
    address: Address,
    dialled: Arc<AtomicU64>,
    room: usize,
}

impl MemoryConnector {
    /// Sets how many bytes a connection holds each way before its writer waits. Default: 64 KiB.
    #[must_use]
    pub fn room(self, bytes: usize) -> Self {
        Self {
            room: bytes.max(1),
            ..self
        }
    }

    /// Connects. It is done when the listener has room for one more that waits.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) when the listener is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future connects nobody.
    pub async fn connect(&self) -> io::Result<MemoryStream> {
        let place = self.waiting.reserve().await.map_err(|_| {
            io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("nobody listens at {}", self.address),
            )
        })?;
        let number = self.dialled.fetch_add(1, Ordering::Relaxed) + 1;
        let here = Address::other(format!("{}#{number}", self.address));
        let (near, far) = tokio::io::duplex(self.room);
        place.send(MemoryStream {
            stream: far,
            local: self.address.clone(),
            remote: here.clone(),
        });
        Ok(MemoryStream {
            stream: near,
            local: here,
            remote: self.address.clone(),
        })
    }

    /// Where the listener is.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }
}

impl fmt::Debug for MemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryConnector")
            .field(&self.address)
            .finish()
    }
}

/// One end of a connection in memory.
#[derive(Debug)]
pub struct MemoryStream {
    stream: DuplexStream,
    local: Address,
    remote: Address,
}

impl MemoryStream {
    /// This end's address and the other's.
    pub(super) fn addresses(&self) -> (Address, Address) {
        (self.local.clone(), self.remote.clone())
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
