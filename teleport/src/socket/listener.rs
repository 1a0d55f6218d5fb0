//! What accepts streams.

use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::address::{Address, Family, HostPort};
use super::stream::with_address;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

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

/// Listens at a host and port, at the first of its addresses that lets it. No host means every
/// interface, IPv4 and IPv6; port 0 lets the system choose one.
///
/// # Errors
///
/// When the name cannot be resolved or no address can be listened on; then it is the last one's
/// error, with the address in its text.
pub async fn bind_tcp(target: &HostPort, family: Family) -> io::Result<TcpListener> {
    let mut last = None;
    for addr in target.resolve_to_listen(family).await? {
        match listen_at(addr, family) {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                let busy = error.kind() == io::ErrorKind::AddrInUse;
                last = Some(with_address(&error, addr));
                // Another address of the same name would hide that the port is taken.
                if busy {
                    break;
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

fn listen_at(addr: std::net::SocketAddr, family: Family) -> io::Result<TcpListener> {
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
    socket.bind(addr)?;
    socket.listen(BACKLOG)
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
