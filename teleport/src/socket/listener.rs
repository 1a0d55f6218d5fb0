//! What accepts streams.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::address::{Address, Family, HostPort};
use super::options::ListenOptions;
use super::place::Place;
use super::stream::Stream;

/// Anything that accepts byte streams.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not accept byte streams",
    note = "tokio's TcpListener and UnixListener do; implement `teleport::socket::Listener` for others"
)]
pub trait Listener: Send + 'static {
    /// What comes out of it.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// Those of the system. Most are about one connection, or pass (too many open files): whoever
    /// accepts in a loop should pause a little and go on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future must not lose a connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Where it listens.
    fn local_address(&self) -> Address;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        Ok(Self::accept(self).await?.0)
    }

    fn local_address(&self) -> Address {
        self.local_addr().map(Address::from).into()
    }
}

#[cfg(unix)]
impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<UnixStream> {
        Ok(Self::accept(self).await?.0)
    }

    fn local_address(&self) -> Address {
        self.local_addr().map(Address::from).into()
    }
}

/// A listener of one of the networks.
#[derive(Debug)]
pub struct BoundListener(Bound);

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(super::unix::FileListener),
    #[cfg(all(target_os = "linux", feature = "unixpacket"))]
    Packet(super::packet::PacketListener),
}

impl BoundListener {
    /// Listens at a place. The file of a unix socket that nobody listens at is replaced, and the
    /// file is removed when the listener is dropped.
    ///
    /// # Errors
    ///
    /// When the name cannot be resolved, the address is taken, or the system refuses; then it is
    /// the last one's error, with the address in its text.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the address up again.
    pub async fn bind(place: &Place, options: &ListenOptions) -> io::Result<Self> {
        if let Some(missing) = place.network().missing() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, missing));
        }
        match place {
            Place::Tcp(target, family) => {
                let tcp = bind_tcp_with(target, *family, options).await?;
                Ok(Self(Bound::Tcp(tcp)))
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                let unix = super::unix::FileListener::bind(path, socket2::Type::STREAM, options)?;
                Ok(Self(Bound::Unix(unix)))
            }
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Place::UnixPacket(path) => {
                let packet = super::packet::PacketListener::bind(path, options)?;
                Ok(Self(Bound::Packet(packet)))
            }
            #[allow(unreachable_patterns, reason = "not so on every system")]
            Place::Unix(_) | Place::UnixPacket(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Goes on with a socket that listens already, such as one that another process made. The
    /// file of a unix socket is left to whoever made it.
    ///
    /// # Errors
    ///
    /// When the system refuses to make it non-blocking.
    pub fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self(Bound::Tcp(TcpListener::from_std(listener)?)))
    }

    /// Goes on with a socket that listens already, of whatever network: the way for descriptors
    /// that were inherited. The file of a unix socket is left to whoever made it.
    ///
    /// # Errors
    ///
    /// When the descriptor is no listening socket of a network that this build knows.
    #[cfg(unix)]
    pub fn from_descriptor(descriptor: std::os::fd::OwnedFd) -> io::Result<Self> {
        let socket = socket2::Socket::from(descriptor);
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        let kind = socket
            .r#type()
            .map_err(|e| io::Error::new(e.kind(), format!("the descriptor is no socket: {e}")))?;
        let local = socket.local_addr()?;
        #[cfg(target_os = "linux")]
        if !socket.is_listener()? {
            return Err(wrong("the descriptor is a socket that does not listen"));
        }
        if kind == socket2::Type::STREAM && local.is_unix() {
            let listener = std::os::unix::net::UnixListener::from(socket);
            return Ok(Self(Bound::Unix(super::unix::FileListener::adopt(
                listener,
            )?)));
        }
        if kind == socket2::Type::STREAM && (local.is_ipv4() || local.is_ipv6()) {
            return Self::from_tcp(socket.into());
        }
        #[cfg(all(target_os = "linux", feature = "unixpacket"))]
        if kind == socket2::Type::SEQPACKET && local.is_unix() {
            let listener = super::packet::PacketListener::adopt(socket)?;
            return Ok(Self(Bound::Packet(listener)));
        }
        Err(wrong("the descriptor is a socket of another network"))
    }

    /// Looks after the file of a unix socket that another process left to this one.
    #[cfg(all(unix, feature = "graceful"))]
    pub(crate) fn take_file(&mut self) {
        match &mut self.0 {
            Bound::Tcp(_) => {}
            Bound::Unix(unix) => unix.take_file(),
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Bound::Packet(packet) => packet.take_file(),
        }
    }

    /// Whether the file of a unix socket is removed with the listener.
    #[cfg(all(unix, feature = "graceful"))]
    pub(crate) fn owns_file(&self) -> bool {
        match &self.0 {
            Bound::Tcp(_) => false,
            Bound::Unix(unix) => unix.owns_file(),
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Bound::Packet(packet) => packet.owns_file(),
        }
    }

    /// Leaves the file of a unix socket where it is when the listener is dropped: another process
    /// goes on with it.
    pub fn keep_file(&self) {
        match &self.0 {
            Bound::Tcp(_) => {}
            #[cfg(unix)]
            Bound::Unix(unix) => unix.keep_file(),
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Bound::Packet(packet) => packet.keep_file(),
        }
    }

    pub(crate) async fn accept_shared(&self) -> io::Result<Stream> {
        match &self.0 {
            Bound::Tcp(tcp) => Ok(Stream::new(tcp.accept().await?.0)),
            #[cfg(unix)]
            Bound::Unix(unix) => Ok(Stream::new(unix.accept().await?)),
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Bound::Packet(packet) => Ok(Stream::new(packet.accept().await?)),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Address {
        match &self.0 {
            Bound::Tcp(tcp) => tcp.local_addr().map(Address::from).into(),
            #[cfg(unix)]
            Bound::Unix(unix) => unix.address(),
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Bound::Packet(packet) => packet.address(),
        }
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for BoundListener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match &self.0 {
            Bound::Tcp(tcp) => tcp.as_fd(),
            Bound::Unix(unix) => unix.as_fd(),
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            Bound::Packet(packet) => packet.as_fd(),
        }
    }
}

impl Listener for BoundListener {
    type Stream = Stream;

    async fn accept(&mut self) -> io::Result<Stream> {
        self.accept_shared().await
    }

    fn local_address(&self) -> Address {
        self.address()
    }
}

impl Listener for Arc<BoundListener> {
    type Stream = Stream;

    async fn accept(&mut self) -> io::Result<Stream> {
        self.accept_shared().await
    }

    fn local_address(&self) -> Address {
        self.address()
    }
}

/// Listens at a host and port, at the first of its addresses that lets it. No host means every
/// interface, IPv4 and IPv6; port 0 lets the system choose one.
///
/// # Errors
///
/// When the name cannot be resolved or no address can be listened on; then it is the last one's
/// error, with the address in its text.
///
/// # Cancel safety
///
/// Dropping the future gives the address up again.
pub async fn bind_tcp(target: &HostPort, family: Family) -> io::Result<TcpListener> {
    bind_tcp_with(target, family, &ListenOptions::default()).await
}

async fn bind_tcp_with(
    target: &HostPort,
    family: Family,
    options: &ListenOptions,
) -> io::Result<TcpListener> {
    let mut last = None;
    for addr in target.resolve_to_listen(family).await? {
        match listen_at(addr, family, options) {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                let busy = error.kind() == io::ErrorKind::AddrInUse;
                last = Some(io::Error::new(error.kind(), not_here(addr, &error)));
                // Another address of the same name would hide that the port is taken.
                if busy {
                    break;
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// Why an address cannot be listened on, and what to do about it.
fn not_here(addr: std::net::SocketAddr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; somebody listens there: stop it, write another port, or share the port by setting \
             reuse_port on both"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; the address is none of this machine: write one that is, or none for all"
        }
        io::ErrorKind::PermissionDenied if addr.port() < 1024 => {
            "; ports below 1024 are for privileged users: write a higher one, or give the program \
             CAP_NET_BIND_SERVICE"
        }
        _ => "",
    };
    format!("{addr}: {error}{advice}")
}

fn listen_at(
    addr: std::net::SocketAddr,
    family: Family,
    options: &ListenOptions,
) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv6() {
        let socket = TcpSocket::new_v6()?;
        socket2::SockRef::from(&socket).set_only_v6(family == Family::V6)?;
        socket
    } else {
        TcpSocket::new_v4()?
    };
    // A server that restarts must not wait for the old connections' last packets. On Windows the
    // option means something else: stealing the port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    #[cfg(unix)]
    socket.set_reuseport(options.reuse_port)?;
    options
        .socket
        .apply_before(&socket2::SockRef::from(&socket))?;
    socket.bind(addr)?;
    socket.listen(options.backlog)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::socket::connect_tcp;

    async fn accepted<L: Listener>(listener: &mut L) -> L::Stream {
        listener.accept().await.unwrap()
    }

    #[tokio::test]
    async fn every_interface_takes_local_connections() {
        let mut listener = bind_tcp(&":0".parse().unwrap(), Family::Any).await.unwrap();
        let port = Listener::local_address(&listener).port().unwrap();
        let target = HostPort::new("", port);
        let (dialed, _stream) =
            tokio::join!(connect_tcp(&target, Family::Any), accepted(&mut listener));
        assert_eq!(
            dialed.unwrap().peer_addr().unwrap().to_string(),
            format!("127.0.0.1:{port}")
        );
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error_that_names_it() {
        let first = bind_tcp(&"127.0.0.1:0".parse().unwrap(), Family::Any)
            .await
            .unwrap();
        let target = HostPort::from(first.local_addr().unwrap());
        let error = bind_tcp(&target, Family::Any).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&target.to_string()), "{error}");
    }

    #[test]
    fn a_privileged_port_is_called_one() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let said = |addr: &str| not_here(addr.parse().unwrap(), &denied);
        assert!(said("127.0.0.1:80").contains("below 1024"));
        assert!(!said("127.0.0.1:8080").contains("below 1024"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_unix_listener_accepts_and_knows_its_path() {
        let path = std::env::temp_dir().join(format!("teleport-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_address().path(), Some(path.as_path()));
        let (dialed, accepted) = tokio::join!(UnixStream::connect(&path), accepted(&mut listener));
        let dialed = crate::socket::halves(dialed.unwrap());
        assert_eq!(dialed.remote.to_string(), path.display().to_string());
        assert_eq!(crate::socket::halves(accepted).remote.to_string(), "@");
        std::fs::remove_file(&path).unwrap();
    }
}
