//! Where the ends of a stream are, and the texts that name where to dial and where to listen.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::place::Network;

/// Where one end of a stream is.
///
/// Prints as the original does: `127.0.0.1:9090`, `[::1]:9090`, a path for a unix socket (`@` for
/// one without a name, `@name` for an abstract one), and `-` when nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An internet address and a port.
    Tcp(SocketAddr),
    /// A unix socket, with its path if it has one.
    Unix(Option<PathBuf>),
    /// A unix socket that keeps packets apart, with its path if it has one.
    UnixPacket(Option<PathBuf>),
    /// Whatever else a transport calls its ends.
    Other(Arc<str>),
    /// Not known.
    #[default]
    Unknown,
}

impl Address {
    /// Names an end by a text of the transport's own.
    #[must_use]
    pub fn other(text: impl Into<Arc<str>>) -> Self {
        Self::Other(text.into())
    }

    /// The same place, on the network that keeps packets apart.
    #[cfg(all(target_os = "linux", feature = "unixpacket"))]
    pub(super) fn keeping_packets(self) -> Self {
        match self {
            Self::Unix(path) => Self::UnixPacket(path),
            other => other,
        }
    }

    /// The internet address, if this end has one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addr().map(|addr| addr.ip())
    }

    /// The port, if this end has one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.socket_addr().map(|addr| addr.port())
    }

    /// The internet address with its port, if this end has one.
    #[must_use]
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) => Some(*addr),
            Self::Unix(_) | Self::UnixPacket(_) | Self::Other(_) | Self::Unknown => None,
        }
    }

    /// The path of a unix socket, if this end has one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) | Self::UnixPacket(path) => path.as_deref(),
            Self::Tcp(_) | Self::Other(_) | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(Some(path)) | Self::UnixPacket(Some(path)) => path.display().fmt(f),
            Self::Unix(None) | Self::UnixPacket(None) => f.write_str("@"),
            Self::Other(text) => f.write_str(text),
            Self::Unknown => f.write_str("-"),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(addr)
    }
}

#[cfg(unix)]
impl From<tokio::net::unix::SocketAddr> for Address {
    fn from(addr: tokio::net::unix::SocketAddr) -> Self {
        let name = addr.as_pathname().map(Path::to_path_buf);
        Self::Unix(name.or_else(|| addr.as_abstract_name().map(abstract_name)))
    }
}

/// An abstract name as addresses show it.
#[cfg(unix)]
pub(super) fn abstract_name(name: &[u8]) -> PathBuf {
    format!("@{}", String::from_utf8_lossy(name)).into()
}

impl AddressError {
    pub(super) fn path(text: &str) -> Self {
        Self::new(text, Problem::Path)
    }

    pub(super) fn no_path(network: Network) -> Self {
        Self::new(network.name(), Problem::NoPath)
    }

    pub(super) fn bad_path(text: &str, longest: usize) -> Self {
        Self::new(text, Problem::BadPath(longest))
    }

    pub(super) fn abstract_name(text: &str) -> Self {
        Self::new(text, Problem::Abstract)
    }

    fn new(text: &str, problem: Problem) -> Self {
        Self {
            text: text.into(),
            problem,
        }
    }
}

impl From<io::Result<Self>> for Address {
    fn from(asked: io::Result<Self>) -> Self {
        asked.unwrap_or_default()
    }
}

/// Which internet addresses a name may resolve to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Both kinds (`tcp`).
    #[default]
    Any,
    /// IPv4 alone (`tcp4`).
    V4,
    /// IPv6 alone (`tcp6`).
    V6,
}

impl Family {
    const fn takes(self, addr: &SocketAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => addr.is_ipv4(),
            Self::V6 => addr.is_ipv6(),
        }
    }
}

/// A host and a port as people write them: `:9090`, `localhost:9090`, `[::1]:9090`.
///
/// ```
/// use teleport::socket::HostPort;
///
/// let target: HostPort = "example.org:9090".parse()?;
/// assert_eq!((target.host(), target.port()), ("example.org", 9090));
/// let wrong = "example.org".parse::<HostPort>().unwrap_err();
/// assert_eq!(
///     wrong.to_string(),
///     "address `example.org` has no port: write `example.org:9090`"
/// );
/// # Ok::<(), teleport::socket::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// Puts a host, without brackets, and a port together. An empty host is the local machine
    /// when dialed and every interface when listened on.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// Reads an address written as `host:port`, `:port` or `[ipv6]:port`.
    ///
    /// # Errors
    ///
    /// When the text is of another form; the error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let wrong = |problem: Problem| AddressError {
            text: text.into(),
            problem,
        };
        if text.is_empty() {
            return Err(wrong(Problem::Empty));
        }
        if text.contains("://") {
            return Err(wrong(Problem::Scheme));
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest
                .split_once(']')
                .ok_or_else(|| wrong(Problem::Bracket))?;
            let port = rest
                .strip_prefix(':')
                .ok_or_else(|| wrong(Problem::NoPort))?;
            // A zone (`%eth0`) is for the resolver to understand.
            let bare = host.split_once('%').map_or(host, |(bare, _)| bare);
            if bare.parse::<Ipv6Addr>().is_err() {
                return Err(wrong(Problem::NotIpv6));
            }
            (host, port)
        } else {
            let (host, port) = text
                .rsplit_once(':')
                .ok_or_else(|| wrong(Problem::NoPort))?;
            if host.contains(':') {
                return Err(wrong(Problem::BareIpv6));
            }
            if host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
                return Err(wrong(Problem::Host));
            }
            (host, port)
        };
        if port.is_empty() {
            return Err(wrong(Problem::NoPort));
        }
        // `u16::from_str` would take a plus sign.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong(Problem::Port));
        }
        let port = port.parse().map_err(|_| wrong(Problem::Port))?;
        Ok(Self::new(host, port))
    }

    /// The host without brackets, empty when none was given.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Finds the addresses to try, in order, to reach this host. No host is the local machine.
    ///
    /// # Errors
    ///
    /// When the port is 0, when the name cannot be resolved, or when it has no address of the
    /// wanted family.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn resolve_to_dial(&self, family: Family) -> io::Result<Vec<SocketAddr>> {
        if self.port == 0 {
            let error = AddressError {
                text: self.to_string(),
                problem: Problem::DialsPort0,
            };
            return Err(error.into());
        }
        if self.host.is_empty() {
            let local = [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ];
            return Ok(self.with_port(local, family));
        }
        self.look_up(family).await
    }

    /// Finds the addresses to try, in order, to listen here. No host is every interface.
    ///
    /// # Errors
    ///
    /// When the name cannot be resolved, or when it has no address of the wanted family.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn resolve_to_listen(&self, family: Family) -> io::Result<Vec<SocketAddr>> {
        if self.host.is_empty() {
            // An IPv6 socket also takes IPv4 connections; the other one is for machines without.
            let every = [
                IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ];
            return Ok(self.with_port(every, family));
        }
        self.look_up(family).await
    }

    fn with_port(&self, ips: [IpAddr; 2], family: Family) -> Vec<SocketAddr> {
        ips.into_iter()
            .map(|ip| SocketAddr::new(ip, self.port))
            .filter(|addr| family.takes(addr))
            .collect()
    }

    async fn look_up(&self, family: Family) -> io::Result<Vec<SocketAddr>> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|e| {
            let text = match self.host.split_once('%') {
                Some((_, zone)) => format!(
                    "is there a network interface `{zone}` here, and is the address one that has a \
                     zone, such as fe80::1?"
                ),
                None => "is it written right, and is there a name server?".to_owned(),
            };
            io::Error::new(
                e.kind(),
                format!("`{}` is not found: {e}; {text}", self.host),
            )
        })?;
        let addrs: Vec<_> = found.filter(|addr| family.takes(addr)).collect();
        if addrs.is_empty() {
            let (found, write) = match family {
                Family::V4 => ("IPv4", "tcp6:"),
                Family::V6 => ("IPv6", "tcp4:"),
                Family::Any => ("", ""),
            };
            let text = format!(
                "`{}` has no {found} address: write `{write}` in front, or no network",
                self.host
            );
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text));
        }
        Ok(addrs)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl std::str::FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.ip().to_string(), addr.port())
    }
}

/// An address that cannot be used as written. Its text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    text: String,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Empty,
    Scheme,
    Bracket,
    NotIpv6,
    BareIpv6,
    Host,
    NoPort,
    Port,
    DialsPort0,
    Path,
    NoPath,
    BadPath(usize),
    Abstract,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.problem {
            Problem::Empty => f.write_str("address is empty: write `host:9090` or `:9090`"),
            Problem::Scheme => {
                let rest = text.split_once("://").map_or("", |(_, rest)| rest);
                write!(f, "address `{text}` starts with a scheme: write `{rest}`")
            }
            Problem::Bracket => write!(f, "address `{text}` lacks a `]`: write `[::1]:9090`"),
            Problem::NotIpv6 => write!(
                f,
                "address `{text}` has no IPv6 address in its brackets: write `[::1]:9090`, or a name without brackets"
            ),
            Problem::BareIpv6 => write!(
                f,
                "address `{text}` has more than one colon: put an IPv6 address in brackets, as in `[::1]:9090`"
            ),
            Problem::Host => write!(
                f,
                "address `{text}` has a blank, a control character or a slash in its host: write `host:9090`"
            ),
            Problem::NoPort if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                write!(f, "address `{text}` is only a number: write `:{text}`")
            }
            Problem::NoPort => {
                let host = text.trim_end_matches(':');
                write!(f, "address `{text}` has no port: write `{host}:9090`")
            }
            Problem::Port => {
                write!(
                    f,
                    "address `{text}` has a bad port: write a number from 0 to 65535"
                )
            }
            Problem::Path => write!(f, "address `{text}` is a path: write `unix:{text}`"),
            Problem::NoPath => {
                write!(
                    f,
                    "address `{text}:` has no path: write `{text}:/run/app.sock`"
                )
            }
            Problem::BadPath(longest) => write!(
                f,
                "address `{}` is no path of a unix socket: write one of at most {longest} bytes, without a zero byte",
                text.escape_debug()
            ),
            Problem::Abstract => write!(
                f,
                "address `{text}` is an abstract name, which only Linux has: write a path"
            ),
            Problem::DialsPort0 => write!(
                f,
                "address `{text}` cannot be dialed: port 0 only makes sense for listening, write the port that the other end listens on"
            ),
        }
    }
}

impl std::error::Error for AddressError {}

impl From<AddressError> for io::Error {
    fn from(error: AddressError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn wrong(text: &str) -> String {
        HostPort::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn addresses_print_as_go_prints_them() {
        let shown = |address: Address| address.to_string();
        assert_eq!(
            shown(Address::Tcp("127.0.0.1:9090".parse().unwrap())),
            "127.0.0.1:9090"
        );
        assert_eq!(
            shown(Address::Tcp("[::1]:9090".parse().unwrap())),
            "[::1]:9090"
        );
        assert_eq!(
            shown(Address::Unix(Some("/tmp/a.sock".into()))),
            "/tmp/a.sock"
        );
        assert_eq!(shown(Address::Unix(None)), "@");
        assert_eq!(shown(Address::other("pipe")), "pipe");
        assert_eq!(shown(Address::default()), "-");
    }

    #[test]
    fn the_usual_forms_are_read() {
        for (text, host, port) in [
            (":9090", "", 9090),
            ("localhost:1", "localhost", 1),
            ("[::1]:9090", "::1", 9090),
            ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
            ("10.0.0.1:65535", "10.0.0.1", 65535),
        ] {
            let read = HostPort::parse(text).unwrap();
            assert_eq!((read.host(), read.port()), (host, port));
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn an_error_says_what_to_write() {
        assert_eq!(wrong(""), "address is empty: write `host:9090` or `:9090`");
        assert_eq!(
            wrong("9090"),
            "address `9090` is only a number: write `:9090`"
        );
        assert_eq!(
            wrong("host:"),
            "address `host:` has no port: write `host:9090`"
        );
        assert_eq!(
            wrong("[::1]"),
            "address `[::1]` has no port: write `[::1]:9090`"
        );
        assert!(wrong("::1:9090").contains("`[::1]:9090`"));
        assert!(wrong("[::1:9090").contains("lacks a `]`"));
        assert!(wrong("[host]:9090").contains("without brackets"));
        assert!(wrong("tcp://host:9090").ends_with("write `host:9090`"));
        for port in ["x", "70000", "+1", "-1", " 1"] {
            assert!(
                wrong(&format!("host:{port}")).contains("bad port"),
                "{port}"
            );
        }
        assert!(wrong("a b:1").contains("blank"));
    }

    #[tokio::test]
    async fn no_host_is_the_local_machine_or_every_interface() {
        let target = HostPort::new("", 9090);
        let local = target.resolve_to_dial(Family::Any).await.unwrap();
        assert_eq!(local.first(), Some(&"127.0.0.1:9090".parse().unwrap()));
        let every = target.resolve_to_listen(Family::V4).await.unwrap();
        assert_eq!(every, ["0.0.0.0:9090".parse().unwrap()]);
        let six = target.resolve_to_dial(Family::V6).await.unwrap();
        assert_eq!(six, ["[::1]:9090".parse().unwrap()]);
    }

    #[tokio::test]
    async fn port_zero_is_not_dialed() {
        let error = HostPort::new("", 0)
            .resolve_to_dial(Family::Any)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn an_address_of_the_other_family_is_an_error() {
        let target = HostPort::new("127.0.0.1", 1);
        let error = target.resolve_to_dial(Family::V6).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
