//! The networks, and the places on them that are dialled and listened on.

use std::fmt;
use std::path::PathBuf;

use super::address::{Address, AddressError, Family, HostPort};

/// A network to listen on and to dial by.
///
/// ```
/// use teleport::socket::Network;
///
/// assert_eq!("tcp4".parse::<Network>()?, Network::Tcp4);
/// let wrong = "udp".parse::<Network>().unwrap_err();
/// assert_eq!(
///     wrong.to_string(),
///     "network is \"udp\"; write \"tcp\", \"tcp4\", \"tcp6\", \"unix\" or \"unixpacket\""
/// );
/// # Ok::<(), teleport::socket::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// TCP, over IPv4 and IPv6.
    #[default]
    Tcp,
    /// TCP over IPv4 alone.
    Tcp4,
    /// TCP over IPv6 alone.
    Tcp6,
    /// Unix sockets: connections within one machine.
    Unix,
    /// Unix sockets that keep packets apart (`SOCK_SEQPACKET`). Linux, with the feature
    /// `unixpacket`.
    UnixPacket,
}

impl Network {
    /// The name that configurations and addresses use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tcp4 => "tcp4",
            Self::Tcp6 => "tcp6",
            Self::Unix => "unix",
            Self::UnixPacket => "unixpacket",
        }
    }

    /// Says why connections of this network cannot be made by this build; `None` if they can.
    #[must_use]
    pub const fn missing(self) -> Option<&'static str> {
        match self {
            Self::Unix if cfg!(not(unix)) => {
                Some("network \"unix\" is for Unix systems; write \"tcp\"")
            }
            Self::UnixPacket if cfg!(not(target_os = "linux")) => {
                Some("network \"unixpacket\" is for Linux; write \"unix\" or \"tcp\"")
            }
            Self::UnixPacket if cfg!(not(feature = "unixpacket")) => Some(
                "network \"unixpacket\" needs the feature `unixpacket` of the crate teleport; add \
                 it in Cargo.toml, or write \"unix\"",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        [
            Self::Tcp,
            Self::Tcp4,
            Self::Tcp6,
            Self::Unix,
            Self::UnixPacket,
        ]
        .into_iter()
        .find(|network| network.name() == text)
        .ok_or_else(|| NetworkError(text.into()))
    }
}

/// A text that names no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("network is {0:?}; write \"tcp\", \"tcp4\", \"tcp6\", \"unix\" or \"unixpacket\"")]
pub struct NetworkError(Box<str>);

/// A place to dial or to listen on: a host and port, or a unix socket.
///
/// As a text it is `host:port` or a path, whichever the network asks for, or has the network in
/// front: `unix:/run/app.sock`, `unixpacket:/run/app.sock`, `tcp:localhost:9090`. A unix name that
/// starts with `@` is an abstract one, which is in no folder and needs Linux.
///
/// ```
/// use teleport::socket::{Network, Place};
///
/// let place = Place::parse("unix:/run/app.sock", Network::Tcp)?;
/// assert_eq!(place.network(), Network::Unix);
/// assert_eq!(Place::parse("/run/app.sock", Network::Unix)?, place);
/// assert_eq!(place.to_string(), "unix:/run/app.sock");
/// # Ok::<(), teleport::socket::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// A host and a port.
    Tcp(HostPort, Family),
    /// A unix socket: its path, or `@` and its abstract name.
    Unix(PathBuf),
    /// A unix socket that keeps packets apart.
    UnixPacket(PathBuf),
}

impl Place {
    /// Reads a place; `network` is meant where the text names none.
    ///
    /// # Errors
    ///
    /// When the text is of another form; the error says what to write instead.
    pub fn parse(text: &str, network: Network) -> Result<Self, AddressError> {
        let (network, rest) = named(text).unwrap_or((network, text));
        let family = match network {
            Network::Tcp => Family::Any,
            Network::Tcp4 => Family::V4,
            Network::Tcp6 => Family::V6,
            Network::Unix => return unix_name(rest, network).map(Self::Unix),
            Network::UnixPacket => return unix_name(rest, network).map(Self::UnixPacket),
        };
        if rest.starts_with(['/', '@']) || rest.starts_with("./") {
            return Err(AddressError::path(rest));
        }
        Ok(Self::Tcp(HostPort::parse(rest)?, family))
    }

    /// The network that it is on.
    #[must_use]
    pub const fn network(&self) -> Network {
        match self {
            Self::Tcp(_, Family::Any) => Network::Tcp,
            Self::Tcp(_, Family::V4) => Network::Tcp4,
            Self::Tcp(_, Family::V6) => Network::Tcp6,
            Self::Unix(_) => Network::Unix,
            Self::UnixPacket(_) => Network::UnixPacket,
        }
    }

    /// The host, if it has one; empty for this machine.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp(target, _) => Some(target.host()),
            Self::Unix(_) | Self::UnixPacket(_) => None,
        }
    }

    /// The name that a certificate of whoever is there has to be for: the host, `localhost` for this
    /// machine, and nothing for a unix socket, which has no host.
    #[must_use]
    pub fn server_name(&self) -> &str {
        match self.host() {
            Some("") => "localhost",
            host => host.unwrap_or_default(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(target, Family::Any) => target.fmt(f),
            Self::Tcp(target, _) => write!(f, "{}:{target}", self.network()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::UnixPacket(path) => write!(f, "unixpacket:{}", path.display()),
        }
    }
}

impl From<&Place> for Address {
    /// Where the other end of a connection to the place is.
    fn from(place: &Place) -> Self {
        match place {
            Place::Tcp(target, _) => Self::other(target.to_string()),
            Place::Unix(path) => Self::Unix(Some(path.clone())),
            Place::UnixPacket(path) => Self::UnixPacket(Some(path.clone())),
        }
    }
}

/// The network in front of an address.
fn named(text: &str) -> Option<(Network, &str)> {
    let (name, rest) = text.split_once(':')?;
    let network: Network = name.parse().ok()?;
    // `tcp:9090` is a host that is called tcp.
    let is_host = !matches!(network, Network::Unix | Network::UnixPacket) && !rest.contains(':');
    (!is_host && !rest.starts_with("//")).then_some((network, rest))
}

/// The longest name of a unix socket that every system takes.
const LONGEST_NAME: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

fn unix_name(text: &str, network: Network) -> Result<PathBuf, AddressError> {
    if text.is_empty() || text == "@" {
        return Err(AddressError::no_path(network));
    }
    if text.contains('\0') || text.len() > LONGEST_NAME {
        return Err(AddressError::bad_path(text, LONGEST_NAME));
    }
    if text.starts_with('@') && cfg!(not(target_os = "linux")) {
        return Err(AddressError::abstract_name(text));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parsed(text: &str, network: Network) -> Place {
        Place::parse(text, network).unwrap()
    }

    #[test]
    fn a_network_in_front_wins() {
        for (text, network, shown) in [
            ("localhost:1", Network::Tcp, "localhost:1"),
            ("tcp:localhost:1", Network::Unix, "localhost:1"),
            ("tcp4::9090", Network::Unix, "tcp4::9090"),
            ("tcp6:[::1]:80", Network::Tcp, "tcp6:[::1]:80"),
            ("tcp:9090", Network::Tcp, "tcp:9090"),
            ("/a/b", Network::Unix, "unix:/a/b"),
            ("rel.sock", Network::UnixPacket, "unixpacket:rel.sock"),
            ("unix:a", Network::Tcp, "unix:a"),
            ("unixpacket:/a", Network::Unix, "unixpacket:/a"),
        ] {
            let place = parsed(text, network);
            assert_eq!(place.to_string(), shown);
            assert_eq!(parsed(shown, Network::Tcp), place);
        }
        assert_eq!(parsed("tcp:9090", Network::Tcp).host(), Some("tcp"));
        let names = [":1", "a:1", "[::1]:1", "unix:/a"].map(|text| parsed(text, Network::Tcp));
        assert_eq!(
            names.each_ref().map(Place::server_name),
            ["localhost", "a", "::1", ""]
        );
    }

    #[test]
    fn an_error_says_what_to_write() {
        let wrong = |text: &str, network| Place::parse(text, network).unwrap_err().to_string();
        assert!(wrong("/run/x", Network::Tcp).contains("write `unix:/run/x`"));
        assert!(wrong("unix:", Network::Tcp).contains("write `unix:/run/app.sock`"));
        assert!(wrong("unix:@", Network::Tcp).contains("has no path"));
        assert!(wrong("9090", Network::Tcp4).contains("write `:9090`"));
        assert!(wrong("tcp://a:1", Network::Tcp).contains("write `a:1`"));
        let long = format!("unix:/{}", "x".repeat(200));
        assert!(wrong(&long, Network::Tcp).contains("at most 10"));
    }
}
