//! What the operating system is told about a connection.

use std::any::Any;
use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Whether the system probes idle connections, so that a vanished other end is noticed.
    /// Default: `None`. On costs a packet each way per period and idle connection.
    pub keep_alive: Option<bool>,
    /// The idle time before the first probe and the pause between probes, in whole seconds.
    /// Default: `None`. A value switches probing on unless `keep_alive` is `Some(false)`. Raising
    /// it saves packets and finds vanished ends later.
    pub keep_alive_period: Option<Duration>,
    /// Whether small writes go out at once instead of waiting for the packets before them to be
    /// acknowledged. Default: `true`. Off saves packets and costs up to tens of milliseconds a
    /// message.
    pub no_delay: bool,
    /// The size of the system's receive buffer, in bytes. Default: `None`, which lets the system
    /// tune it. Raising it helps throughput over long distances and costs that memory a connection;
    /// the system may double or cap the number.
    pub read_buffer: Option<usize>,
    /// The size of the system's send buffer, in bytes. Default: `None`, which lets the system tune
    /// it. Raising it lets more be written before a writer waits and costs that memory a
    /// connection; the system may double or cap the number.
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

impl SocketOptions {
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
        if let Some(tcp) = stream.downcast_ref::<TcpStream>() {
            return self.apply(tcp);
        }
        #[cfg(unix)]
        if let Some(unix) = stream.downcast_ref::<UnixStream>() {
            return self.apply_buffers(&SockRef::from(unix));
        }
        Ok(())
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
}
