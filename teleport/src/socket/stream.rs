//! Taking a byte stream apart into the two directions that are used side by side.

use std::any::Any;
use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::address::{Address, Family, HostPort};

/// The two directions of a byte stream, and where its ends are.
///
/// Dropping the write half of a TCP or unix stream shuts its write side down, so that the other
/// end reads to an end. For other streams that is up to the stream: shut it down before.
pub struct Halves {
    /// Bytes from the other end.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// Bytes to the other end.
    pub write: Box<dyn AsyncWrite + Send + Unpin>,
    /// Where this end is.
    pub local: Address,
    /// Where the other end is.
    pub remote: Address,
}

impl Halves {
    /// Puts two directions together that are apart already, such as a process's output and input.
    pub fn new(
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            read: Box::new(read),
            write: Box::new(write),
            local: Address::Unknown,
            remote: Address::Unknown,
        }
    }

    /// Says where the ends are.
    #[must_use]
    pub fn with_addresses(self, local: Address, remote: Address) -> Self {
        Self {
            local,
            remote,
            ..self
        }
    }
}

impl fmt::Debug for Halves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Halves")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// Takes a stream apart. TCP and unix streams come apart without a lock between the halves and
/// know their addresses; every other stream is split by [`tokio::io::split`]. For directions that
/// are apart already see [`Halves::new`].
pub fn halves<S>(stream: S) -> Halves
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut stream = Some(stream);
    if let Some(tcp) = taken::<S, TcpStream>(&mut stream) {
        let local = Address::from(tcp.local_addr().map(Address::from));
        let remote = Address::from(tcp.peer_addr().map(Address::from));
        let (read, write) = tcp.into_split();
        return Halves::new(read, write).with_addresses(local, remote);
    }
    #[cfg(unix)]
    if let Some(unix) = taken::<S, UnixStream>(&mut stream) {
        let local = Address::from(unix.local_addr().map(Address::from));
        let remote = Address::from(unix.peer_addr().map(Address::from));
        let (read, write) = unix.into_split();
        return Halves::new(read, write).with_addresses(local, remote);
    }
    match stream {
        Some(other) => {
            let (read, write) = tokio::io::split(other);
            Halves::new(read, write)
        }
        // Not reached: a stream is taken only where a function returned above.
        None => Halves::new(tokio::io::empty(), tokio::io::sink()),
    }
}

/// Takes the stream out when it is a `T`.
fn taken<S: 'static, T: 'static>(stream: &mut Option<S>) -> Option<T> {
    (stream as &mut dyn Any)
        .downcast_mut::<Option<T>>()
        .and_then(Option::take)
}

/// Connects to a host, trying its addresses in turn until one answers.
///
/// # Errors
///
/// When the name cannot be resolved or no address answers; then it is the last one's error, with
/// the address in its text.
///
/// # Cancel safety
///
/// Dropping the future gives the attempt up.
pub async fn connect_tcp(target: &HostPort, family: Family) -> io::Result<TcpStream> {
    let mut last = None;
    for addr in target.resolve_to_dial(family).await? {
        match TcpStream::connect(addr).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(with_address(&error, addr)),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

pub(super) fn with_address(error: &io::Error, addr: std::net::SocketAddr) -> io::Error {
    io::Error::new(error.kind(), format!("{addr}: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::socket::bind_tcp;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn dropping_a_tcp_write_half_ends_the_other_side() {
        let listener = bind_tcp(&HostPort::new("127.0.0.1", 0), Family::Any)
            .await
            .unwrap();
        let target = HostPort::from(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(connect_tcp(&target, Family::Any), async {
            listener.accept().await
        });
        let (near, mut far) = (halves(near.unwrap()), halves(far.unwrap().0));
        assert_eq!(near.remote.to_string(), target.to_string());
        assert_eq!(near.local, far.remote);
        assert_eq!(near.local.ip(), Some("127.0.0.1".parse().unwrap()));
        drop(near.write);
        let mut rest = Vec::new();
        far.read.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
        // The other direction is still open.
        far.write.write_all(b"x").await.unwrap();
        let mut near = near.read;
        assert_eq!(near.read_u8().await.unwrap(), b'x');
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_unix_pair_has_no_names() {
        let (near, far) = UnixStream::pair().unwrap();
        let (near, mut far) = (halves(near), halves(far));
        assert_eq!(
            (near.local, near.remote),
            (Address::Unix(None), Address::Unix(None))
        );
        drop(near.write);
        assert_eq!(far.read.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn any_other_stream_is_split() {
        let (near, far) = tokio::io::duplex(16);
        let (mut near, mut far) = (halves(near), halves(far));
        near.write.write_all(b"ab").await.unwrap();
        near.write.shutdown().await.unwrap();
        let mut read = Vec::new();
        far.read.read_to_end(&mut read).await.unwrap();
        assert_eq!(
            (read.as_slice(), far.local.to_string()),
            (&b"ab"[..], "-".to_owned())
        );
    }

    #[tokio::test]
    async fn a_refused_connection_names_the_address() {
        let listener = bind_tcp(&HostPort::new("127.0.0.1", 0), Family::Any)
            .await
            .unwrap();
        let target = HostPort::from(listener.local_addr().unwrap());
        drop(listener);
        let error = connect_tcp(&target, Family::Any).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&target.to_string()), "{error}");
    }
}
