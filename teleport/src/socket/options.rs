//! What the operating system is told about a connection.

use std::any::Any;
use std::io;
use std::time::Duration;

use serde::Deserialize;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::stream::Stream;
use crate::settings::optional_time;

/// Options of the connections that a peer dials and accepts.
///
/// Whatever is `None` stays as the operating system has it.
///
/// ```
/// use teleport::socket::SocketOptions;
///
/// let options = SocketOptions { read_buffer: Some(1 << 20), ..SocketOptions::default() };
/// assert!(options.no_delay);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketOptions {
    /// Whether the system probes idle connections, so that a vanished other end is noticed.
    /// Default: `None`. On costs a packet each way per period and idle connection.
    #[doc(alias = "SetSocketKeepAlive")]
    pub keep_alive: Option<bool>,
    /// The idle time before the first probe and the pause between probes, in whole seconds, from 1
    /// to 32767. Default: `None`. A value switches probing on unless `keep_alive` is `Some(false)`. Raising
    /// it saves packets and finds vanished ends later.
    #[doc(alias = "SetSocketKeepAlivePeriod")]
    #[serde(deserialize_with = "optional_time")]
    pub keep_alive_period: Option<Duration>,
    /// Whether small writes go out at once instead of waiting for the packets before them to be
    /// acknowledged. Default: `true`. Off saves packets and costs up to tens of milliseconds a
    /// message.
    #[doc(alias = "SetSocketNoDelay")]
    pub no_delay: bool,
    /// The size of the system's receive buffer, in bytes. Default: `None`, which lets the system
    /// tune it. Raising it helps throughput over long distances and costs that memory a connection;
    /// the system may double or cap the number.
    #[doc(alias = "SetSocketReadBuffer")]
    pub read_buffer: Option<usize>,
    /// The size of the system's send buffer, in bytes. Default: `None`, which lets the system tune
    /// it. Raising it lets more be written before a writer waits and costs that memory a
    /// connection; the system may double or cap the number.
    #[doc(alias = "SetSocketWriteBuffer")]
    pub write_buffer: Option<usize>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            keep_alive: None,
            keep_alive_period: None,
            no_delay: true,
            read_buffer: None,
            write_buffer: None,
        }
    }
}

/// The longest period that systems take, in seconds.
const LONGEST_PERIOD: u64 = 32767;

impl SocketOptions {
    /// Says what is wrong with the values, and what to write instead.
    ///
    /// # Errors
    ///
    /// A period without a whole second, or a buffer of no size or of one that no system takes.
    pub fn check(&self) -> Result<(), OptionsError> {
        let period = self.keep_alive_period.map(|period| period.as_secs());
        if period.is_some_and(|secs| !(1..=LONGEST_PERIOD).contains(&secs)) {
            return Err(OptionsError::new(
                "keep_alive_period",
                "write whole seconds from 1 to 32767, or None for the system's own",
            ));
        }
        for (name, bytes) in [
            ("read_buffer", self.read_buffer),
            ("write_buffer", self.write_buffer),
        ] {
            if bytes.is_some_and(|bytes| bytes == 0 || i32::try_from(bytes).is_err()) {
                return Err(OptionsError::new(
                    name,
                    "write bytes from 1 to 2147483647, or None for the system's own",
                ));
            }
        }
        Ok(())
    }

    /// Sets the options on a TCP connection.
    ///
    /// # Errors
    ///
    /// When the system refuses one.
    pub fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        socket.set_tcp_nodelay(self.no_delay)?;
        match (self.keep_alive, self.keep_alive_period) {
            (Some(false), _) => socket.set_keepalive(false)?,
            (_, Some(period)) => {
                // The system counts in seconds and refuses zero.
                let period = period.max(Duration::from_secs(1));
                let probes = TcpKeepalive::new().with_time(period).with_interval(period);
                socket.set_tcp_keepalive(&probes)?;
            }
            (Some(true), None) => socket.set_keepalive(true)?,
            (None, None) => {}
        }
        self.apply_buffers(&socket)
    }

    /// Sets the options that a stream knows: all on a TCP connection, the buffers on a unix one,
    /// none on any other.
    ///
    /// # Errors
    ///
    /// When the system refuses one.
    pub fn apply_to<S: 'static>(&self, stream: &S) -> io::Result<()> {
        let stream: &dyn Any = stream;
        if let Some(stream) = stream.downcast_ref::<Stream>() {
            return self.apply_to_stream(stream);
        }
        if let Some(tcp) = stream.downcast_ref::<TcpStream>() {
            return self.apply(tcp);
        }
        #[cfg(unix)]
        if let Some(unix) = stream.downcast_ref::<UnixStream>() {
            return self.apply_buffers(&SockRef::from(unix));
        }
        Ok(())
    }

    fn apply_to_stream(&self, stream: &Stream) -> io::Result<()> {
        if let Some(tcp) = stream.as_tcp() {
            return self.apply(tcp);
        }
        #[cfg(unix)]
        if let Some(fd) = stream.descriptor() {
            return self.apply_buffers(&SockRef::from(&fd));
        }
        Ok(())
    }

    /// Sets what has to be known before a connection is made: how large its windows may grow.
    pub(super) fn apply_before(&self, socket: &SockRef<'_>) -> io::Result<()> {
        self.apply_buffers(socket)
    }

    fn apply_buffers(&self, socket: &SockRef<'_>) -> io::Result<()> {
        if let Some(bytes) = self.read_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.write_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        Ok(())
    }
}

/// What a listening socket is like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenOptions {
    /// How many connections may wait to be taken. Default: 1024; the system may cap it. More is
    /// patience with bursts, and memory of the system for them.
    pub backlog: u32,
    /// Whether several sockets of this user may listen on one port, among which the system shares
    /// the connections out (`SO_REUSEPORT`). Default: no, so that a port taken by mistake is
    /// noticed. An error where the system has nothing of the kind.
    pub reuse_port: bool,
    /// Who may connect to a unix socket, as the permissions of its file: `0o660` is its user and
    /// group. Default: `None`, what the process's umask leaves.
    pub unix_mode: Option<u32>,
    /// The buffers of the connections; set before a connection is made, they bound its window.
    pub socket: SocketOptions,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 1024,
            reuse_port: false,
            unix_mode: None,
            socket: SocketOptions::default(),
        }
    }
}

impl ListenOptions {
    /// Says what is wrong with the values, and what to write instead.
    ///
    /// # Errors
    ///
    /// A backlog of nothing, permissions that are none, or what
    /// [`SocketOptions::check`] refuses.
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.backlog == 0 || i32::try_from(self.backlog).is_err() {
            return Err(OptionsError::new(
                "backlog",
                "write a number from 1 to 2147483647",
            ));
        }
        if self.unix_mode.is_some_and(|mode| mode > 0o777) {
            return Err(OptionsError::new(
                "unix_mode",
                "write permissions such as 0o660",
            ));
        }
        if self.reuse_port && cfg!(not(unix)) {
            return Err(OptionsError::new(
                "reuse_port",
                "this system has no such thing",
            ));
        }
        self.socket.check()
    }
}

/// An option that has no such value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} has a bad value: {hint}")]
pub struct OptionsError {
    name: &'static str,
    hint: &'static str,
}

impl OptionsError {
    const fn new(name: &'static str, hint: &'static str) -> Self {
        Self { name, hint }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    async fn connection() -> TcpStream {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn by_default_only_the_delay_is_touched() {
        let (untouched, touched) = (connection().await, connection().await);
        SocketOptions::default().apply(&touched).unwrap();
        let (before, after) = (SockRef::from(&untouched), SockRef::from(&touched));
        assert!(after.tcp_nodelay().unwrap());
        assert_eq!(after.keepalive().unwrap(), before.keepalive().unwrap());
        assert_eq!(
            after.recv_buffer_size().unwrap(),
            before.recv_buffer_size().unwrap()
        );
    }

    #[tokio::test]
    async fn every_option_reaches_the_system() {
        let stream = connection().await;
        let options = SocketOptions {
            keep_alive_period: Some(Duration::from_secs(7)),
            no_delay: false,
            read_buffer: Some(32 << 10),
            write_buffer: Some(48 << 10),
            ..SocketOptions::default()
        };
        options.apply_to(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(!socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
        assert!(socket.recv_buffer_size().unwrap() >= 32 << 10);
        assert!(socket.send_buffer_size().unwrap() >= 48 << 10);
        let off = SocketOptions {
            keep_alive: Some(false),
            ..options
        };
        off.apply(&stream).unwrap();
        assert!(!socket.keepalive().unwrap());
    }

    #[tokio::test]
    async fn a_stream_without_options_is_left_alone() {
        let (stream, _other) = tokio::io::duplex(1);
        SocketOptions::default().apply_to(&stream).unwrap();
    }

    #[test]
    fn a_bad_value_is_named() {
        let wrong = |options: SocketOptions| options.check().unwrap_err().to_string();
        let zero = |seconds| SocketOptions {
            keep_alive_period: Some(Duration::from_millis(seconds)),
            ..SocketOptions::default()
        };
        assert!(wrong(zero(999)).starts_with("keep_alive_period has a bad value"));
        assert!(wrong(zero(40_000_000)).contains("32767"));
        assert!(zero(1000).check().is_ok());
        let read = SocketOptions {
            read_buffer: Some(0),
            ..SocketOptions::default()
        };
        assert!(wrong(read).starts_with("read_buffer"));
        let write = SocketOptions {
            write_buffer: Some(usize::MAX),
            ..SocketOptions::default()
        };
        assert!(wrong(write).starts_with("write_buffer"));
        let backlog = ListenOptions {
            backlog: 0,
            ..ListenOptions::default()
        };
        assert!(
            backlog
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("backlog")
        );
        let mode = ListenOptions {
            unix_mode: Some(0o1777),
            ..ListenOptions::default()
        };
        assert!(mode.check().unwrap_err().to_string().contains("0o660"));
    }
}
