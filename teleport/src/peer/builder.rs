//! Building a peer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listening::Listeners;
use super::shutdown::Shutdown;
use super::{CallDefaults, Peer, PeerConfig, Shared};
use crate::codec::{Codec, Codecs};
use crate::context::OnCancel;
use crate::error::Error;
use crate::plugin::{Hooks, Plugin, PluginContainer};
use crate::proto::{Env, Limits, Proto, RawProto};
use crate::router::Router;
use crate::session::{Backoff, Events, Hub, Sweeper};
#[cfg(feature = "tls")]
use crate::socket::tls::{TlsClient, TlsServer};
use crate::socket::{Network, NetworkError, Place, SocketOptions};
use crate::xfer::{Filters, XferFilter};

/// Builds a [`Peer`]; see [`PeerConfig`] for what the settings mean and default to.
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct PeerBuilder {
    config: PeerConfig,
    codecs: Codecs,
    filters: Filters,
    plugins: PluginContainer,
    proto: ProtoChoice,
    #[cfg(feature = "tls")]
    tls_server: Option<TlsServer>,
    #[cfg(feature = "tls")]
    tls_client: Option<TlsClient>,
    failed: Option<Error>,
}

struct ProtoChoice(Arc<dyn Proto>);

impl std::fmt::Debug for ProtoChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.version().1)
    }
}

/// Writes the setters of single settings.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $value:expr;)+) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, $name: $type) -> Self {
                self.config.$name = $value;
                self
            }
        )+
    };
}

impl PeerBuilder {
    pub(super) fn new() -> Self {
        Self {
            config: PeerConfig::default(),
            codecs: Codecs::default(),
            filters: Filters::default(),
            plugins: PluginContainer::new(),
            proto: ProtoChoice(Arc::new(RawProto)),
            #[cfg(feature = "tls")]
            tls_server: None,
            #[cfg(feature = "tls")]
            tls_client: None,
            failed: None,
        }
    }

    /// Takes all settings from a configuration.
    pub fn config(mut self, config: PeerConfig) -> Self {
        self.config = config;
        self
    }

    setters! {
        /// Sets the network: `tcp`, `tcp4`, `tcp6`, `unix` or `unixpacket`.
        network: impl Into<String> = network.into();
        /// Sets the address of this machine to listen on, and to dial from.
        local_ip: IpAddr = Some(local_ip);
        /// Sets the port to listen on; 0 takes a free one.
        listen_port: u16 = Some(listen_port);
        /// Sets the address to listen on, in place of `local_ip` and `listen_port`.
        listen_address: impl Into<String> = Some(listen_address.into());
        /// Sets the port of this machine to dial from.
        local_port: u16 = Some(local_port);
        /// Sets the longest time that dialling may take.
        default_dial_timeout: Duration = default_dial_timeout;
        /// Sets how often to dial again after a connection broke: 0 never, below 0 without end.
        redial_times: i32 = redial_times;
        /// Sets what the pauses before dialling again are made of.
        redial_interval: Duration = redial_interval;
        /// Sets the longest pause before dialling again.
        redial_max_interval: Duration = redial_max_interval;
        /// Sets how the pauses before dialling again are chosen.
        redial_backoff: Backoff = redial_backoff;
        /// Sets how long a connection must have lasted for the pauses to start again.
        redial_stable_after: Duration = redial_stable_after;
        /// Sets how long one attempt to dial again may take.
        redial_attempt_timeout: Duration = redial_attempt_timeout;
        /// Sets how many calls and pushes of a session may wait for its next connection.
        redial_max_waiting: usize = redial_max_waiting;
        /// Sets the codec that bodies are sent in, by its name.
        default_body_codec: impl Into<String> = default_body_codec.into();
        /// Sets the longest life of a session.
        default_session_age: Duration = default_session_age;
        /// Sets how long the handling of a message may take, and a call that says nothing else.
        default_context_age: Duration = default_context_age;
        /// Sets from how much time on a call or push is logged as slow.
        slow_comet_duration: Duration = slow_comet_duration;
        /// Sets whether log lines show metadata and bodies.
        print_detail: bool = print_detail;
        /// Sets whether log lines show the time that the work took.
        count_time: bool = count_time;
        /// Sets the bounds on messages; [`message_limit`](Self::message_limit) is the one that
        /// matters most.
        limits: Limits = limits;
        /// Sets the options of the sockets that are accepted and dialled.
        socket: SocketOptions = socket;
        /// Sets how long a call waits for its reply.
        default_call_timeout: Duration = Some(default_call_timeout);
        /// Sets what becomes of a handler whose time is over, or whose caller gave up.
        on_cancel: OnCancel = on_cancel;
        /// Sets whether deadlines of calls, and their ends before a reply, are told to the other
        /// peer.
        propagate: bool = propagate;
        /// Sets how many connections may wait to be taken.
        backlog: u32 = backlog;
        /// Sets whether several peers may listen on one port and share its connections.
        reuse_port: bool = reuse_port;
        /// Sets the permissions of the file of a unix socket that is listened on.
        unix_mode: u32 = Some(unix_mode);
        /// Sets how many accepted connections may be in their handshakes at once.
        max_handshakes: usize = max_handshakes;
        /// Sets how long the encryption and the plugins may take with a new connection.
        handshake_timeout: Duration = handshake_timeout;
        /// Sets how long the first message of a connection may take, from its first byte on.
        first_message_timeout: Duration = first_message_timeout;
        /// Sets the largest message before a connection is a session, in bytes.
        handshake_message_limit: usize = handshake_message_limit;
        /// Sets how many bytes may wait to be written before calls and pushes wait.
        queue_limit: usize = queue_limit;
        /// Sets how many bytes may wait to be written before replies wait.
        reply_queue_limit: usize = reply_queue_limit;
        /// Sets how many handlers of one session may wait at once.
        max_running_handlers: usize = max_running_handlers;
        /// Sets how many calls of one session may wait for their replies.
        max_calls_in_flight: usize = max_calls_in_flight;
        /// Sets after how long a session is closed whose other end reads nothing.
        stall_timeout: Duration = stall_timeout;
    }

    /// Encrypts all connections that are taken: those of addresses that are listened on, unless
    /// [`Listen::plain`](super::Listen::plain) says otherwise, and those of
    /// [`serve_listener`](Peer::serve_listener).
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls_server(mut self, tls: TlsServer) -> Self {
        self.tls_server = Some(tls);
        self
    }

    /// Encrypts all connections that are dialled, unless [`Dial::plain`](super::Dial::plain) says
    /// otherwise.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls_client(mut self, tls: TlsClient) -> Self {
        self.tls_client = Some(tls);
        self
    }

    /// Sets what makes the errors of parameters that break a rule. See
    /// [`PeerConfig::bind_error`].
    ///
    /// ```
    /// use teleport::{Peer, Rerror};
    ///
    /// let peer = Peer::builder().bind_error(|handler, param, reason| {
    ///     Rerror::new(422, "Unprocessable", format!("{param} of {handler}: {reason}"))
    /// });
    /// ```
    #[cfg(feature = "binder")]
    #[cfg_attr(docsrs, doc(cfg(feature = "binder")))]
    pub fn bind_error(
        mut self,
        make: fn(handler: &str, param: &str, reason: &str) -> crate::Rerror,
    ) -> Self {
        self.config.bind_error = Some(make);
        self
    }

    /// Sets the largest message, in bytes; 0: no limit.
    #[doc(alias = "SetMessageSizeLimit")]
    pub fn message_limit(mut self, bytes: usize) -> Self {
        self.config.limits.message = bytes;
        self
    }

    /// Sets the protocol that is spoken. Default: raw.
    #[doc(alias = "SetDefaultProtoFunc")]
    pub fn proto(mut self, proto: impl Proto) -> Self {
        self.proto = ProtoChoice(Arc::new(proto));
        self
    }

    /// Adds a body codec. An id or a name that is taken is an error of [`build`](Self::build).
    pub fn codec(mut self, codec: impl Codec) -> Self {
        if let Err(error) = self.codecs.register(codec) {
            self.fail("the codec cannot be registered", error);
        }
        self
    }

    /// Sets all body codecs at once.
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
        self
    }

    /// Adds a transfer filter. An id or a name that is taken is an error of
    /// [`build`](Self::build).
    pub fn xfer_filter(mut self, filter: impl XferFilter) -> Self {
        if let Err(error) = self.filters.register(filter) {
            self.fail("the transfer filter cannot be registered", error);
        }
        self
    }

    /// Sets all transfer filters at once.
    pub fn xfer_filters(mut self, filters: Filters) -> Self {
        self.filters = filters;
        self
    }

    /// Adds a plugin. A second one of its name is an error of [`build`](Self::build).
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        if let Err(error) = self.plugins.append(plugin) {
            self.failed.get_or_insert(error);
        }
        self
    }

    /// Sets all plugins at once, with those on the left and on the right.
    pub fn plugins(mut self, plugins: PluginContainer) -> Self {
        self.plugins = plugins;
        self
    }

    fn fail(&mut self, text: &'static str, error: impl std::error::Error + Send + Sync + 'static) {
        if self.failed.is_none() {
            self.failed = Some(Error::config(text).with_source(error));
        }
    }

    /// Lets the plugins change the configuration and their own set.
    fn run_pre_new_peer(&mut self) -> Result<(), Error> {
        let mut changed = self.plugins.clone();
        for plugin in self.plugins.iter() {
            if plugin.hooks().contains(Hooks::PRE_NEW_PEER) {
                plugin.pre_new_peer(&mut self.config, &mut changed)?;
            }
        }
        self.plugins = changed;
        Ok(())
    }

    /// Builds the peer.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when a setting is wrong, or a codec or filter is there
    /// twice; the error says what to write instead. [`Plugin`](crate::ErrorKind::Plugin) when a
    /// plugin is there twice. What a plugin refuses to build the peer with.
    pub fn build(mut self) -> Result<Peer, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.run_pre_new_peer()?;
        let network = check(&self.config)?;
        let name = &self.config.default_body_codec;
        let Some(codec) = self.codecs.id_of(name) else {
            return Err(Error::config(format!(
                "default_body_codec is {name:?}, and no codec has that name; register one, or \
                 write the name of another such as \"json\""
            )));
        };
        let env = Env {
            limits: self.config.limits.clone(),
            codecs: self.codecs,
            filters: self.filters,
        };
        let handshake_env = narrowed(&env, self.config.handshake_message_limit);
        let handshakes = self.config.max_handshakes.min(Semaphore::MAX_PERMITS);
        let defaults = CallDefaults {
            codec,
            timeout: self.config.default_call_timeout,
            propagate: self.config.propagate,
        };
        let peer = Peer(Arc::new(Shared {
            config: self.config,
            network,
            #[cfg(feature = "tls")]
            tls_server: self.tls_server,
            #[cfg(feature = "tls")]
            tls_client: self.tls_client,
            listeners: Listeners::default(),
            handshakes: Arc::new(Semaphore::new(handshakes)),
            env: Arc::new(env),
            handshake_env: Arc::new(handshake_env),
            proto: self.proto.0,
            router: Router::new(self.plugins.clone())?,
            hub: Hub::default(),
            sweeper: Sweeper::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            shutdown: Shutdown::default(),
            events: Events::default(),
            defaults,
        }));
        for plugin in self.plugins.iter() {
            if plugin.hooks().contains(Hooks::POST_NEW_PEER) {
                plugin.post_new_peer(&peer)?;
            }
        }
        Ok(peer)
    }
}

/// What holds for messages before a connection is a session.
fn narrowed(env: &Env, handshake_message_limit: usize) -> Env {
    let mut env = env.clone();
    let limit = &mut env.limits.message;
    *limit = match *limit {
        0 => handshake_message_limit,
        limit => limit.min(handshake_message_limit),
    };
    env
}

/// Refuses settings that are wrong, and networks that this build has not.
fn check(config: &PeerConfig) -> Result<Network, Error> {
    let network: Network = config
        .network
        .parse()
        .map_err(|e: NetworkError| Error::config(e.to_string()))?;
    if let Some(missing) = network.missing() {
        return Err(Error::config(missing));
    }
    if let Some(address) = &config.listen_address {
        Place::parse(address, network)
            .map_err(|e| Error::config("listen_address cannot be listened on").with_source(e))?;
    }
    config
        .listen_options()
        .check()
        .map_err(|e| Error::config(e.to_string()))?;
    if config.max_handshakes == 0 {
        return Err(Error::config(
            "max_handshakes is 0, so that no connection could be taken; write 1 or more",
        ));
    }
    if config.redial_interval.is_zero() {
        return Err(Error::config(
            "redial_interval is zero, which would dial in a hot loop; write 100 ms, or set \
             redial_times to 0 to never dial again",
        ));
    }
    Ok(network)
}
