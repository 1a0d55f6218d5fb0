//! Unix sockets that keep packets apart (`SOCK_SEQPACKET`), used as byte streams.
//!
//! Where one packet ends and the next begins means nothing here. A packet that is larger than the
//! reader's space is kept until it is read whole; what is written is cut into packets that the
//! socket takes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

use super::address::Address;
use super::listener::Listener;
use super::options::{ListenOptions, SocketOptions};
use super::stream::Stream;
use super::unix::FileListener;

/// What one packet carries at most: far below the socket's limit, which is its send buffer.
const PACKET: usize = 64 * 1024;

/// A connection that keeps packets apart; as a byte stream it does not show them.
#[derive(Debug)]
pub struct PacketStream {
    /// A socket of the other type: only readiness is asked of it, never its bytes.
    socket: Arc<UnixStream>,
    /// The rest of a packet that was larger than the reader's space.
    rest: Bytes,
}

impl PacketStream {
    fn new(socket: UnixStream) -> Self {
        Self {
            socket: Arc::new(socket),
            rest: Bytes::new(),
        }
    }

    fn from_socket(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self::new(UnixStream::from_std(socket.into())?))
    }

    /// Two connected ends.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (near, far) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        Ok((Self::from_socket(near)?, Self::from_socket(far)?))
    }

    pub(super) fn local_address(&self) -> Address {
        named(self.socket.local_addr())
    }

    pub(super) fn remote_address(&self) -> Address {
        named(self.socket.peer_addr())
    }

    /// Takes the two directions apart. Dropping the second one ends it.
    pub(super) fn into_split(self) -> (Self, PacketWrite) {
        let write = PacketWrite(Arc::clone(&self.socket));
        (self, write)
    }
}

impl AsFd for PacketStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsyncRead for PacketStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if self.rest.is_empty() {
            let socket = Arc::clone(&self.socket);
            loop {
                ready!(socket.poll_read_ready(cx))?;
                match socket.try_io(Interest::READABLE, || receive(&socket, buf)) {
                    Ok(rest) => {
                        self.rest = rest;
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        }
        let now = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest.split_to(now));
        if !self.rest.has_remaining() {
            // An idle connection holds no buffer.
            self.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// Takes one packet into the reader's space, or aside if it is larger; returns what is left of it.
fn receive(socket: &UnixStream, buf: &mut ReadBuf<'_>) -> io::Result<Bytes> {
    let (_, whole) = rustix::net::recv(socket, &mut [0_u8], RecvFlags::PEEK | RecvFlags::TRUNC)?;
    let room = buf.remaining();
    if whole <= room {
        let space = buf.initialize_unfilled();
        let (got, _) = rustix::net::recv(socket, space, RecvFlags::empty())?;
        buf.advance(got);
        return Ok(Bytes::new());
    }
    // No more than the system holds of it already.
    let mut packet = vec![0; whole];
    let (got, _) = rustix::net::recv(socket, packet.as_mut_slice(), RecvFlags::empty())?;
    packet.truncate(got);
    let mut packet = Bytes::from(packet);
    buf.put_slice(&packet.split_to(room.min(got)));
    Ok(packet)
}

impl AsyncWrite for PacketStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_send(&self.socket, cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shut(&self.socket))
    }
}

/// The writing direction of a [`PacketStream`].
#[derive(Debug)]
pub(super) struct PacketWrite(Arc<UnixStream>);

impl PacketWrite {
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }
}

impl AsyncWrite for PacketWrite {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_send(&self.0, cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shut(&self.0))
    }
}

impl Drop for PacketWrite {
    fn drop(&mut self) {
        // Whoever reads at the other end reads to an end, as with the other sockets.
        let _ = shut(&self.0);
    }
}

/// Sends as much as fits into one packet. Nothing is no packet: the other end would take an empty
/// one for the end.
fn poll_send(socket: &UnixStream, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return Poll::Ready(Ok(0));
    }
    let mut size = buf.len().min(PACKET);
    loop {
        ready!(socket.poll_write_ready(cx))?;
        let packet = buf.get(..size).unwrap_or(buf);
        let sent = socket.try_io(Interest::WRITABLE, || {
            Ok(rustix::net::send(socket, packet, SendFlags::NOSIGNAL)?)
        });
        match sent {
            Ok(sent) => return Poll::Ready(Ok(sent)),
            Err(error) if is_passing(&error) => {}
            // The send buffer was set smaller than a packet of ours.
            Err(error) if too_large(&error) && size > 1 => size /= 2,
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// Whether to ask for readiness again.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn too_large(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

fn shut(socket: &UnixStream) -> io::Result<()> {
    SockRef::from(socket).shutdown(std::net::Shutdown::Write)
}

fn named(address: io::Result<tokio::net::unix::SocketAddr>) -> Address {
    Address::from(address.map(Address::from)).keeping_packets()
}

/// Connects to a path.
pub(super) async fn connect(path: &Path, options: &SocketOptions) -> io::Result<Stream> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    options.apply_before(&SockRef::from(&socket))?;
    super::unix::connect_socket(&socket, path).await?;
    Ok(Stream::new(PacketStream::from_socket(socket)?))
}

/// Listens for connections that keep packets apart.
#[derive(Debug)]
pub struct PacketListener(FileListener);

impl PacketListener {
    pub(super) fn bind(path: &Path, options: &ListenOptions) -> io::Result<Self> {
        Ok(Self(FileListener::bind(path, Type::SEQPACKET, options)?))
    }

    pub(super) fn adopt(socket: Socket) -> io::Result<Self> {
        Ok(Self(FileListener::adopt(socket.into())?))
    }

    #[cfg(feature = "graceful")]
    pub(super) fn take_file(&mut self) {
        self.0.take_file();
    }

    #[cfg(feature = "graceful")]
    pub(super) const fn owns_file(&self) -> bool {
        self.0.owns_file()
    }

    pub(super) fn keep_file(&self) {
        self.0.keep_file();
    }

    pub(super) async fn accept(&self) -> io::Result<PacketStream> {
        Ok(PacketStream::new(self.0.accept().await?))
    }

    pub(super) fn address(&self) -> Address {
        self.0.address().keeping_packets()
    }
}

impl AsFd for PacketListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener for PacketListener {
    type Stream = PacketStream;

    async fn accept(&mut self) -> io::Result<PacketStream> {
        Self::accept(self).await
    }

    fn local_address(&self) -> Address {
        self.address()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_packet_larger_than_the_readers_space_loses_nothing() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for space in 1..40 {
            let (mut near, mut far) = PacketStream::pair().unwrap();
            near.write_all(&bytes).await.unwrap();
            near.write_all(b"next").await.unwrap();
            near.shutdown().await.unwrap();
            let mut read = Vec::new();
            let mut buf = vec![0; space];
            loop {
                let n = far.read(&mut buf).await.unwrap();
                if n == 0 {
                    break;
                }
                read.extend_from_slice(buf.get(..n).unwrap());
            }
            assert_eq!(read, [bytes.as_slice(), b"next"].concat(), "{space}");
            assert!(far.rest.is_empty());
        }
    }

    #[tokio::test]
    async fn what_is_larger_than_the_socket_takes_is_cut() {
        let (mut near, mut far) = PacketStream::pair().unwrap();
        SockRef::from(&*near.socket)
            .set_send_buffer_size(4096)
            .unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        let sent = bytes.clone();
        let writing = tokio::spawn(async move {
            near.write_all(&sent).await.unwrap();
            drop(near);
        });
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        writing.await.unwrap();
        assert!(read == bytes);
    }

    #[tokio::test]
    async fn dropping_the_write_half_ends_the_other_side() {
        let (near, mut far) = PacketStream::pair().unwrap();
        let (mut read, write) = near.into_split();
        drop(write);
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
        far.write_all(b"x").await.unwrap();
        assert_eq!(read.read_u8().await.unwrap(), b'x');
    }
}
