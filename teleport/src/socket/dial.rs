//! Dialling: from a place to a byte stream.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::address::{Family, HostPort};
use super::options::SocketOptions;
use super::place::Place;
use super::stream::Stream;

/// How long one address of a name may keep silent before the next is tried beside it, as RFC 8305
/// has it.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// What a dialled connection is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DialOptions {
    /// The address of this machine to dial from. Default: none, the system chooses.
    pub local_ip: Option<IpAddr>,
    /// The port of this machine to dial from. Default: none, the system chooses. A fixed port
    /// allows one connection to each place at a time; the system may hold it back for a minute
    /// after this side closed first.
    pub local_port: Option<u16>,
    /// What the system is told about the socket.
    pub socket: SocketOptions,
}

/// Connects to a place. The addresses of a name are tried in turn, IPv6 and IPv4 taking turns; one
/// that keeps silent for 250 ms holds the next one no longer up.
///
/// # Errors
///
/// When the name cannot be resolved or no address answers; then it is the last one's error, with
/// the address in its text.
///
/// # Cancel safety
///
/// Dropping the future gives all attempts up.
pub async fn connect(place: &Place, options: &DialOptions) -> io::Result<Stream> {
    if let Some(missing) = place.network().missing() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, missing));
    }
    match place {
        Place::Tcp(target, family) => {
            let family = match options.local_ip {
                Some(IpAddr::V4(_)) if *family == Family::Any => Family::V4,
                Some(IpAddr::V6(_)) if *family == Family::Any => Family::V6,
                _ => *family,
            };
            let addrs = in_turn(target.resolve_to_dial(family).await?);
            Ok(Stream::new(race(addrs, options).await?))
        }
        Place::Unix(path) => {
            #[cfg(unix)]
            let stream = super::unix::connect(path, &options.socket).await;
            #[cfg(not(unix))]
            let stream = {
                let _ = path;
                Err(io::ErrorKind::Unsupported.into())
            };
            stream
        }
        Place::UnixPacket(path) => {
            #[cfg(all(target_os = "linux", feature = "unixpacket"))]
            let stream = super::packet::connect(path, &options.socket).await;
            #[cfg(not(all(target_os = "linux", feature = "unixpacket")))]
            let stream = {
                let _ = path;
                Err(io::ErrorKind::Unsupported.into())
            };
            stream
        }
    }
}

/// Connects to a host by TCP; see [`connect`].
///
/// # Errors
///
/// As for [`connect`].
///
/// # Cancel safety
///
/// Dropping the future gives the attempt up.
pub async fn connect_tcp(target: &HostPort, family: Family) -> io::Result<TcpStream> {
    let addrs = in_turn(target.resolve_to_dial(family).await?);
    race(addrs, &DialOptions::default()).await
}

/// The families take turns, in the order of the first address.
fn in_turn(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addrs
        .into_iter()
        .partition(|addr| addr.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return turns;
        }
        turns.extend(pair.into_iter().flatten());
    }
}

async fn race(addrs: Vec<SocketAddr>, options: &DialOptions) -> io::Result<TcpStream> {
    if let [addr] = addrs.as_slice() {
        return connect_to(*addr, options).await;
    }
    let mut addrs = addrs.into_iter();
    let mut attempts = JoinSet::new();
    let mut last = None;
    loop {
        if let Some(addr) = addrs.next() {
            let options = options.clone();
            attempts.spawn(async move { connect_to(addr, &options).await });
        }
        let pause = tokio::time::sleep(NEXT_ADDRESS);
        tokio::pin!(pause);
        let ended = tokio::select! {
            biased;
            ended = attempts.join_next() => ended,
            () = &mut pause, if addrs.len() > 0 => continue,
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last = Some(error),
            Some(Err(gone)) => last = Some(io::Error::other(gone)),
            None if addrs.len() == 0 => break,
            None => {}
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

async fn connect_to(addr: SocketAddr, options: &DialOptions) -> io::Result<TcpStream> {
    attempt(addr, options)
        .await
        .map_err(|error| with_address(&error, addr))
}

async fn attempt(addr: SocketAddr, options: &DialOptions) -> io::Result<TcpStream> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    options.socket.apply_before(&SockRef::from(&socket))?;
    if options.local_ip.is_some() || options.local_port.is_some() {
        let any = if addr.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let local = SocketAddr::new(
            options.local_ip.unwrap_or(any),
            options.local_port.unwrap_or(0),
        );
        // Dialling again must not wait for the last packets of the connection before. On Windows
        // the option means something else: stealing the port.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        let from = |e: io::Error| io::Error::new(e.kind(), from_here(local, &e));
        socket.bind(local).map_err(from)?;
        return socket.connect(addr).await.map_err(from);
    }
    socket.connect(addr).await
}

/// What is wrong with dialling from an address of this machine, and what to do about it.
fn from_here(local: SocketAddr, error: &io::Error) -> String {
    let port = local.port();
    let advice = match error.kind() {
        // Which of the two it is depends on the moment at which the system notices.
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable if port != 0 => {
            "; a fixed local port allows one connection to each place at a time, and the address has \
             to be one of this machine: close the other connection, or leave local_port out"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; the address is none of this machine: write one that is, or leave local_ip out"
        }
        io::ErrorKind::PermissionDenied if (1..1024).contains(&port) => {
            "; ports below 1024 are for privileged users: write a higher local_port"
        }
        _ => "",
    };
    format!("from {local}: {error}{advice}")
}

fn with_address(error: &io::Error, addr: SocketAddr) -> io::Error {
    io::Error::new(error.kind(), format!("{addr}: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn families_take_turns() {
        let addrs = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"];
        let turns = in_turn(addrs.map(|a| a.parse().unwrap()).to_vec());
        let shown: Vec<_> = turns.iter().map(SocketAddr::to_string).collect();
        assert_eq!(
            shown,
            ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]
        );
        assert_eq!(in_turn(Vec::new()), []);
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken() {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = dead.local_addr().unwrap();
        drop(dead);
        let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = alive.local_addr().unwrap();
        let stream = race(vec![gone, there], &DialOptions::default())
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
        let error = race(vec![gone, gone], &DialOptions::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&gone.to_string()), "{error}");
    }

    #[tokio::test]
    async fn a_local_address_and_port_are_kept() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let options = DialOptions {
            local_ip: Some([127, 0, 0, 1].into()),
            local_port: Some(port),
            ..DialOptions::default()
        };
        let place = Place::Tcp(listener.local_addr().unwrap().into(), Family::Any);
        let first = connect(&place, &options).await.unwrap();
        assert_eq!(first.local_address().port(), Some(port));
        // The other side closes first, so that the port is free again at once.
        drop(listener.accept().await.unwrap());
        drop(first);
        let again = connect(&place, &options).await.unwrap();
        assert_eq!(again.local_address().port(), Some(port));
        let error = connect(&place, &options).await.unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }
}
