//! What opens streams to another peer, again and again.

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use super::stream::{Halves, halves};

/// A stream that is being opened.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Halves>> + Send + 'a>>;

/// Whatever opens streams to another peer: each call of [`connect`](Self::connect) opens a new
/// one, so that a session can dial again when its connection broke.
///
/// A function that returns a future of a stream is one.
///
/// # Examples
///
/// ```
/// use teleport::socket::Connect;
/// use tokio::io::DuplexStream;
///
/// fn check(_: impl Connect) {}
///
/// check(|| async {
///     let (near, _far) = tokio::io::duplex(1024);
///     Ok::<DuplexStream, std::io::Error>(near)
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` opens no streams",
    label = "write a function that returns a future of a stream, or implement `Connect`"
)]
pub trait Connect: Send + Sync + 'static {
    /// Opens a stream.
    ///
    /// # Errors
    ///
    /// No stream can be opened now; later it may.
    fn connect(&self) -> Connecting<'_>;

    /// What is dialled, for errors and log lines. Default: `the other end`.
    fn target(&self) -> String {
        "the other end".to_owned()
    }
}

impl<F, Fut, S> Connect for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    fn connect(&self) -> Connecting<'_> {
        let stream = self();
        Box::pin(async { stream.await.map(halves) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_function_opens_a_stream_each_time() {
        let (offer, mut offered) = tokio::sync::mpsc::unbounded_channel();
        let connector = move || {
            let (near, far) = tokio::io::duplex(16);
            offer.send(far).unwrap();
            async { Ok(near) }
        };
        for byte in [1, 2] {
            let mut near = connector.connect().await.unwrap();
            near.write.write_u8(byte).await.unwrap();
            let mut far = offered.recv().await.unwrap();
            assert_eq!(far.read_u8().await.unwrap(), byte);
        }
        assert_eq!(connector.target(), "the other end");
    }
}
