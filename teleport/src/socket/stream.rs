//! Byte streams, and how they come apart into the two directions that are used side by side.

use std::any::Any;
use std::fmt;
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

use super::address::Address;
use super::memory::MemoryStream;
#[cfg(all(target_os = "linux", feature = "unixpacket"))]
use super::packet::{PacketStream, PacketWrite};
#[cfg(feature = "tls")]
use super::tls::{TlsConn, TlsInfo, TlsWrite};

/// The two directions of a byte stream, and where its ends are.
///
/// Dropping the write half of a TCP or unix stream shuts its write side down, so that the other
/// end reads to an end. For other streams that is up to the stream: shut it down before.
#[non_exhaustive]
pub struct Halves {
    /// Bytes from the other end.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// Bytes to the other end.
    pub write: Box<dyn WriteHalf>,
    /// Where this end is.
    pub local: Address,
    /// Where the other end is.
    pub remote: Address,
    /// What was agreed on, if the stream is encrypted.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub tls: Option<Arc<TlsInfo>>,
}

/// The writing direction of a stream. Everything that can be written to is one.
pub trait WriteHalf: AsyncWrite + Send + Unpin + Any {}

impl<W: AsyncWrite + Send + Unpin + Any> WriteHalf for W {}

/// Another descriptor of the connection that a half writes to; an error if it has none.
#[cfg(unix)]
pub(crate) fn duplicate(half: &dyn WriteHalf) -> io::Result<OwnedFd> {
    let half: &dyn Any = half;
    if let Some(tcp) = half.downcast_ref::<tcp::OwnedWriteHalf>() {
        let tcp: &TcpStream = tcp.as_ref();
        return tcp.as_fd().try_clone_to_owned();
    }
    if let Some(unix) = half.downcast_ref::<unix::OwnedWriteHalf>() {
        let unix: &UnixStream = unix.as_ref();
        return unix.as_fd().try_clone_to_owned();
    }
    #[cfg(all(target_os = "linux", feature = "unixpacket"))]
    if let Some(packet) = half.downcast_ref::<PacketWrite>() {
        return packet.duplicate();
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = half.downcast_ref::<TlsWrite>() {
        return tls.duplicate();
    }
    Err(no_descriptor())
}

#[cfg(unix)]
fn no_descriptor() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "the connection has no descriptor: it is closed, or no socket of the system",
    )
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
            #[cfg(feature = "tls")]
            tls: None,
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

/// A byte stream of any kind that knows where its ends are.
///
/// It is made [from any stream](Self::new): those of TCP and unix sockets, in memory, and
/// encrypted ones are told apart.
pub struct Stream(Kind);

enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(all(target_os = "linux", feature = "unixpacket"))]
    Packet(PacketStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsConn>),
    Other(Box<Other>),
}

/// A stream that is not told apart.
struct Other {
    stream: Box<dyn AnyStream>,
    local: Address,
    remote: Address,
}

trait AnyStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> AnyStream for S {}

impl Stream {
    /// Takes any stream.
    pub fn new<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut stream = Some(stream);
        if let Some(same) = taken::<S, Self>(&mut stream) {
            return same;
        }
        if let Some(tcp) = taken::<S, TcpStream>(&mut stream) {
            return Self(Kind::Tcp(tcp));
        }
        #[cfg(unix)]
        if let Some(unix) = taken::<S, UnixStream>(&mut stream) {
            return Self(Kind::Unix(unix));
        }
        #[cfg(all(target_os = "linux", feature = "unixpacket"))]
        if let Some(packet) = taken::<S, PacketStream>(&mut stream) {
            return Self(Kind::Packet(packet));
        }
        if let Some(memory) = taken::<S, MemoryStream>(&mut stream) {
            let (local, remote) = memory.addresses();
            return Self::other(memory, local, remote);
        }
        match stream {
            Some(other) => Self::other(other, Address::Unknown, Address::Unknown),
            // Not reached: a stream is taken only where a function returned above.
            None => Self::other(tokio::io::empty(), Address::Unknown, Address::Unknown),
        }
    }

    /// Takes any stream, and the word of whoever made it for where its ends are: for one that comes
    /// through a tunnel, or from a balancer that says whom it stands for.
    ///
    /// It is not told apart: a TCP or unix stream gets no socket options then, has no descriptor, and
    /// its halves share a lock.
    pub fn with_addresses<S>(stream: S, local: Address, remote: Address) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::other(stream, local, remote)
    }

    fn other<S>(stream: S, local: Address, remote: Address) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self(Kind::Other(Box::new(Other {
            stream: Box::new(stream),
            local,
            remote,
        })))
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(stream: TlsConn) -> Self {
        Self(Kind::Tls(Box::new(stream)))
    }

    /// Where this end is.
    #[must_use]
    pub fn local_address(&self) -> Address {
        match &self.0 {
            Kind::Tcp(tcp) => tcp.local_addr().map(Address::from).into(),
            #[cfg(unix)]
            Kind::Unix(unix) => unix.local_addr().map(Address::from).into(),
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Kind::Packet(packet) => packet.local_address(),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner().local_address(),
            Kind::Other(other) => other.local.clone(),
        }
    }

    /// Where the other end is.
    #[must_use]
    pub fn remote_address(&self) -> Address {
        match &self.0 {
            Kind::Tcp(tcp) => tcp.peer_addr().map(Address::from).into(),
            #[cfg(unix)]
            Kind::Unix(unix) => unix.peer_addr().map(Address::from).into(),
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Kind::Packet(packet) => packet.remote_address(),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner().remote_address(),
            Kind::Other(other) => other.remote.clone(),
        }
    }

    /// The TCP connection that this is, if it is one and not encrypted.
    #[must_use]
    pub const fn as_tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }

    /// The system's socket under the stream, encrypted or not.
    #[cfg(unix)]
    pub(super) fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        match &self.0 {
            Kind::Tcp(tcp) => Some(tcp.as_fd()),
            Kind::Unix(unix) => Some(unix.as_fd()),
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Kind::Packet(packet) => Some(packet.as_fd()),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.inner().descriptor(),
            Kind::Other(_) => None,
        }
    }

    #[cfg(all(unix, feature = "tls"))]
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.descriptor()
            .ok_or_else(no_descriptor)?
            .try_clone_to_owned()
    }

    /// Takes the two directions apart; see [`halves`].
    #[must_use]
    pub fn into_halves(self) -> Halves {
        let (local, remote) = (self.local_address(), self.remote_address());
        let halves = match self.0 {
            Kind::Tcp(tcp) => {
                let (read, write) = tcp.into_split();
                Halves::new(read, write)
            }
            #[cfg(unix)]
            Kind::Unix(unix) => {
                let (read, write) = unix.into_split();
                Halves::new(read, write)
            }
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Kind::Packet(packet) => {
                let (read, write) = packet.into_split();
                Halves::new(read, write)
            }
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => tls.into_halves(),
            Kind::Other(other) => {
                let (read, write) = tokio::io::split(other.stream);
                Halves::new(read, write)
            }
        };
        halves.with_addresses(local, remote)
    }

    fn as_dyn(&mut self) -> Pin<&mut dyn AnyStream> {
        match &mut self.0 {
            Kind::Tcp(tcp) => Pin::new(tcp),
            #[cfg(unix)]
            Kind::Unix(unix) => Pin::new(unix),
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Kind::Packet(packet) => Pin::new(packet),
            #[cfg(feature = "tls")]
            Kind::Tls(tls) => Pin::new(&mut **tls),
            Kind::Other(other) => Pin::new(&mut *other.stream),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().as_dyn().poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().as_dyn().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().as_dyn().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Kind::Other(other) => other.stream.is_write_vectored(),
            _ => true,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().as_dyn().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().as_dyn().poll_shutdown(cx)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("local", &self.local_address())
            .field("remote", &self.remote_address())
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
    Stream::new(stream).into_halves()
}

/// Takes the stream out when it is a `T`.
fn taken<S: 'static, T: 'static>(stream: &mut Option<S>) -> Option<T> {
    (stream as &mut dyn Any)
        .downcast_mut::<Option<T>>()
        .and_then(Option::take)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::socket::{Family, HostPort, bind_tcp, connect_tcp};
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
