//! The settings of a peer.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::context::OnCancel;
use crate::proto::Limits;
use crate::session::Backoff;
use crate::settings::{optional_time, time};
use crate::socket::{DialOptions, ListenOptions, SocketOptions};

/// The settings of a peer, as plain data.
///
/// The first eleven are the original's. [`PeerBuilder::build`](super::PeerBuilder::build) refuses
/// values that make no sense, and says what to write instead.
///
/// # From a file
///
/// It can be read by any format of serde. What is left out has its default, and a name that is no
/// setting is an error. Times are texts, `"500ms"` or `"1m30s"`.
///
/// ```
/// use teleport::{Peer, PeerConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let text = r#"{"listen_port": 0, "slow_comet_duration": "500ms", "limits": {"message": 65536}}"#;
/// let config: PeerConfig = serde_json::from_str(text)?;
/// let peer = Peer::builder().config(config).build()?;
/// assert_eq!(peer.config().limits.message, 65536);
/// assert!(serde_json::from_str::<PeerConfig>(r#"{"listen_prot": 9090}"#).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PeerConfig {
    /// The network to listen on and to dial by, where an address names none: `tcp` (default),
    /// `tcp4`, `tcp6`, `unix` or `unixpacket`. The last needs Linux and the feature of its name.
    pub network: String,
    /// The address of this machine to listen on, and to dial from. Default: all of them.
    pub local_ip: Option<IpAddr>,
    /// The port to listen on; 0 takes a free one. Default: none, the peer does not listen.
    pub listen_port: Option<u16>,
    /// The longest time that dialling may take, encryption included. Default: zero, no limit of
    /// our own; encryption alone has that of `handshake_timeout`.
    #[serde(deserialize_with = "time")]
    pub default_dial_timeout: Duration,
    /// How often a session that this peer dialled dials again after its connection broke: 0 never,
    /// below 0 without end. The count starts again after a connection that was stable. Default: 0.
    pub redial_times: i32,
    /// The name of the codec that bodies are sent in. Default: `json`.
    pub default_body_codec: String,
    /// The longest life of a session, from the start of its reading, and not made longer by
    /// messages. Default: zero, no limit. See [`Session::set_session_age`](crate::Session::set_session_age).
    #[serde(deserialize_with = "time")]
    pub default_session_age: Duration,
    /// How long the handling of a message may take, from its first hook to the writing of its
    /// reply, and how long a call waits that says nothing about it. Default: zero, no limit.
    ///
    /// A handler's own `#[route(age = "200ms")]` counts in place of it. The caller of a handler
    /// whose time is over is answered with error 408 `Handle Timeout` at that moment, and a push
    /// gets a log line; what becomes of the handler is said by [`on_cancel`](Self::on_cancel).
    /// Messages with a limit cost what those with plugins cost: some allocations, and a timer if
    /// they wait.
    #[serde(deserialize_with = "time")]
    pub default_context_age: Duration,
    /// From how much time on a call or push is logged as slow. Default: zero, never.
    #[serde(deserialize_with = "time")]
    pub slow_comet_duration: Duration,
    /// Whether log lines show metadata and bodies. Default: no.
    pub print_detail: bool,
    /// Whether log lines show the time that the work took. Default: no.
    pub count_time: bool,

    /// The bounds on messages. Default: 16 MiB a message.
    pub limits: Limits,
    /// The options of the sockets that are accepted and dialled. Default: no delay.
    pub socket: SocketOptions,
    /// What the pauses before dialling again are made of. Default: 100 ms, as in the original. A
    /// longer one is gentler to a server that comes back, and finds it later.
    #[serde(deserialize_with = "time")]
    pub redial_interval: Duration,
    /// The bound of pauses that are jittered. Default: 30 s.
    #[serde(deserialize_with = "time")]
    pub redial_max_interval: Duration,
    /// How the pauses are chosen. Default: [`Backoff::Jittered`]; [`Backoff::Fixed`] is as in the
    /// original.
    pub redial_backoff: Backoff,
    /// How long a connection must have lasted for the count and the pauses to start again. Default:
    /// 10 s.
    #[serde(deserialize_with = "time")]
    pub redial_stable_after: Duration,
    /// How long one attempt to dial again may take to open a stream, where dialling has no limit of
    /// its own by `default_dial_timeout` or [`Dial::timeout`](crate::peer::Dial::timeout). Default:
    /// 10 s; zero: no limit, and an attempt that hangs is the last.
    #[serde(deserialize_with = "time")]
    pub redial_attempt_timeout: Duration,
    /// How many calls and pushes of a session may wait for its next connection, with bodies of
    /// `queue_limit` bytes together; more are refused with
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy). Default: 1024.
    pub redial_max_waiting: usize,
    /// The address to listen on, in place of `local_ip` and `listen_port`: `host:port`, a path
    /// when the network is one of unix sockets, or with the network in front, as in
    /// `unix:/run/app.sock`. Default: none.
    pub listen_address: Option<String>,
    /// The port of this machine to dial from; see
    /// [`DialOptions::local_port`](crate::socket::DialOptions). Default: none, the system chooses.
    pub local_port: Option<u16>,
    /// How many connections may wait to be taken. Default: 1024; the system may cap it.
    pub backlog: u32,
    /// Whether several peers may listen on one port and share its connections. Default: no; see
    /// [`ListenOptions::reuse_port`].
    pub reuse_port: bool,
    /// The permissions of the file of a unix socket that is listened on, such as `0o660`. Default:
    /// none, what the process's umask leaves.
    pub unix_mode: Option<u32>,
    /// How many accepted connections may be in their handshakes, encryption and plugins, at once.
    /// Beyond it connections wait in the system's backlog, for `handshake_timeout` at the longest.
    /// Default: 1024. More is memory for whoever connects and says nothing.
    pub max_handshakes: usize,
    /// How long a call waits for its reply. Default: none, for ever, as in the original.
    ///
    /// A call's own timeout counts in place of it. Else the shortest counts of this, of
    /// [`default_context_age`](Self::default_context_age), and, in a handler, of what is left of
    /// its time; the last bounds calls with a timeout of their own too.
    #[serde(deserialize_with = "optional_time")]
    pub default_call_timeout: Option<Duration>,
    /// What becomes of a handler whose time is over, or whose caller gave up, unless its route
    /// says so by `#[route(on_cancel = "abort")]`. Default: [`OnCancel::Notify`].
    ///
    /// It goes on by default, because a future that is dropped half way leaves what it did half
    /// done, and code that was not written for that does not say so; the calls that it waits for
    /// end with its time, which ends most handlers. Choose [`OnCancel::Abort`] where stopping early
    /// saves work and does no harm.
    pub on_cancel: OnCancel,
    /// Whether calls carry to the other peer how much time they have left, and whether it is told
    /// when they are given up: dropped, cancelled, or out of time. Default: no, and the bytes of a
    /// call are those of the original.
    ///
    /// Calls then carry the metadata `X-Remaining-Ms`, and one that is given up costs one more
    /// small message. Peers of this kind act on both whatever they have set here; others ignore
    /// them.
    pub propagate: bool,
    /// Makes the errors of parameters that break a rule, from the path of the handler, the name of
    /// the parameter and the reason, for all types without a function of their own. Default: error
    /// 400 `Invalid Parameter`, as the original has it. See [`Bind`](crate::Bind).
    #[cfg(feature = "binder")]
    #[cfg_attr(docsrs, doc(cfg(feature = "binder")))]
    #[serde(skip)]
    pub bind_error: Option<fn(handler: &str, param: &str, reason: &str) -> crate::Rerror>,
    /// How long a new connection may take before it is a session, encryption and plugins together;
    /// on the side that dials, each of the two. Default: 5 s.
    #[serde(deserialize_with = "time")]
    pub handshake_timeout: Duration,
    /// The largest message before a connection is a session, in bytes. Default: 16 KiB.
    pub handshake_message_limit: usize,
    /// How long the first message of a connection may take, from its first byte to its last, with a
    /// second more for each 16 KiB of it that have come; then the connection is closed. So nobody
    /// holds one by a message that never ends. Who says nothing at all may stay: a client that
    /// only waits for pushes does that. Default: 30 s; zero: no limit.
    #[serde(deserialize_with = "time")]
    pub first_message_timeout: Duration,
    /// How many bytes may wait to be written to one session before calls and pushes wait for
    /// room. Default: 4 MiB. More is more memory for a reader that is slow.
    pub queue_limit: usize,
    /// How many bytes may wait before replies wait for room too. Default: 8 MiB.
    pub reply_queue_limit: usize,
    /// How many handlers of one session may wait at once. At this bound no more messages are
    /// read; while calls of this side wait for replies or for room, reading goes on, a CALL is refused
    /// with error 503, and a PUSH is dropped with a log line. Default: 4096.
    pub max_running_handlers: usize,
    /// How many calls of one session may wait for their replies; more are refused with
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy). Default: 65536.
    pub max_calls_in_flight: usize,
    /// After how long a session is closed whose queue is full, and whose other end reads nothing.
    /// Default: 30 s.
    #[serde(deserialize_with = "time")]
    pub stall_timeout: Duration,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            network: "tcp".to_owned(),
            local_ip: None,
            listen_port: None,
            default_dial_timeout: Duration::ZERO,
            redial_times: 0,
            default_body_codec: "json".to_owned(),
            default_session_age: Duration::ZERO,
            default_context_age: Duration::ZERO,
            slow_comet_duration: Duration::ZERO,
            print_detail: false,
            count_time: false,
            limits: Limits::default(),
            socket: SocketOptions::default(),
            redial_interval: Duration::from_millis(100),
            redial_max_interval: Duration::from_secs(30),
            redial_backoff: Backoff::default(),
            redial_stable_after: Duration::from_secs(10),
            redial_attempt_timeout: Duration::from_secs(10),
            redial_max_waiting: 1024,
            listen_address: None,
            local_port: None,
            backlog: 1024,
            reuse_port: false,
            unix_mode: None,
            max_handshakes: 1024,
            default_call_timeout: None,
            on_cancel: OnCancel::default(),
            propagate: false,
            #[cfg(feature = "binder")]
            bind_error: None,
            handshake_timeout: Duration::from_secs(5),
            handshake_message_limit: 16 * 1024,
            first_message_timeout: Duration::from_secs(30),
            queue_limit: 4 * 1024 * 1024,
            reply_queue_limit: 8 * 1024 * 1024,
            max_running_handlers: 4096,
            max_calls_in_flight: 65536,
            stall_timeout: Duration::from_secs(30),
        }
    }
}

impl PeerConfig {
    /// What a socket that listens is like.
    pub(super) fn listen_options(&self) -> ListenOptions {
        ListenOptions {
            backlog: self.backlog,
            reuse_port: self.reuse_port,
            unix_mode: self.unix_mode,
            socket: self.socket.clone(),
        }
    }

    /// What a socket that dials is like.
    pub(super) fn dial_options(&self) -> DialOptions {
        DialOptions {
            local_ip: self.local_ip,
            local_port: self.local_port,
            socket: self.socket.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(text: &str) -> Result<PeerConfig, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn what_a_file_leaves_out_has_its_default() {
        let (read, default) = (read("{}").unwrap(), PeerConfig::default());
        assert_eq!(format!("{read:?}"), format!("{default:?}"));
    }

    #[test]
    fn settings_of_every_kind_come_from_a_file() {
        let config = read(
            r#"{"network": "tcp6", "local_ip": "::1", "listen_port": 9090, "redial_times": -1,
                "redial_backoff": "fixed", "default_session_age": "24h", "on_cancel": "abort",
                "default_call_timeout": "1.5s", "print_detail": true, "unix_mode": 432,
                "socket": {"no_delay": false, "keep_alive_period": "1m30s"},
                "limits": {"message": 0}}"#,
        );
        let config = config.unwrap();
        assert_eq!(config.network, "tcp6");
        assert_eq!(config.local_ip, "::1".parse().ok());
        assert_eq!((config.listen_port, config.redial_times), (Some(9090), -1));
        assert_eq!(config.redial_backoff, Backoff::Fixed);
        assert_eq!(config.default_session_age, Duration::from_secs(86400));
        assert_eq!(config.on_cancel, OnCancel::Abort);
        assert_eq!(
            config.default_call_timeout,
            Some(Duration::from_millis(1500))
        );
        assert!(config.print_detail && !config.socket.no_delay);
        assert_eq!(
            config.socket.keep_alive_period,
            Some(Duration::from_secs(90))
        );
        assert_eq!((config.limits.message, config.limits.pipe), (0, 255));
        assert_eq!(config.unix_mode, Some(0o660));
    }

    #[test]
    fn every_time_is_a_text_in_a_file() {
        let source = include_str!("config.rs");
        let fields = source.lines().filter_map(|line| {
            let (name, ty) = line.trim().strip_prefix("pub ")?.split_once(": ")?;
            ty.contains("Duration").then_some(name)
        });
        let fields: Vec<&str> = fields.collect();
        assert!(fields.len() > 8, "{fields:?}");
        for field in fields {
            let config = read(&format!(r#"{{"{field}": "1m30s"}}"#));
            assert!(config.is_ok(), "{field}: {config:?}");
        }
    }

    #[test]
    fn what_a_file_says_wrongly_is_told() {
        for (text, told) in [
            (r#"{"listen_prot": 1}"#, "unknown field `listen_prot`"),
            (r#"{"listen_port": 65536}"#, "65536"),
            (r#"{"stall_timeout": 5}"#, "a time such as \"500ms\""),
            (r#"{"stall_timeout": "5"}"#, "\"5\" is no time"),
            (r#"{"default_call_timeout": "-1s"}"#, "\"-1s\" is no time"),
            (r#"{"on_cancel": "stop"}"#, "unknown variant `stop`"),
            (
                r#"{"socket": {"nodelay": true}}"#,
                "unknown field `nodelay`",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
