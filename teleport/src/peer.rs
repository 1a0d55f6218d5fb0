//! Peers: instances that listen, dial, or both, and own the routes, plugins and sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::codec::Codecs;
use crate::context::OnCancel;
use crate::error::Error;
use crate::plugin::{Plugin, PluginContainer};
use crate::proto::{Env, Proto};
use crate::router::registrar::{CallController, CallFunction, PushController, PushFunction};
use crate::router::routed::RoutedFn;
use crate::router::{HandlerInfo, Router, SubRouter, UnknownCallHandler, UnknownPushHandler};
use crate::session::{
    Bounds, Events, Hub, LogStyle, Session, SessionEvents, Sessions, Sweeper, Tally,
};
#[cfg(feature = "tls")]
use crate::socket::tls::{TlsClient, TlsServer};
use crate::socket::{Address, BoundListener, Connect, Listener, Network, Stream, ToAddress};

mod accept;
mod builder;
mod config;
mod connect;
mod dial;
mod listen;
mod shutdown;
mod weak;

pub use builder::PeerBuilder;
pub use config::PeerConfig;
pub use dial::Dial;
pub use listen::{Listen, Listening};
pub use shutdown::ShutdownReport;
pub use weak::WeakPeer;

use listen::Listeners;
use shutdown::Shutdown;

/// A communication instance: a server, a client, or both at once. A cheap handle: clones are the
/// same peer.
///
/// Dropping handles closes nothing; [`close`](Self::close) does.
///
/// # Examples
///
/// ```
/// use teleport::{Peer, controller};
///
/// struct Math;
///
/// #[controller]
/// impl Math {
///     fn add(&self, arg: Vec<i64>) -> i64 {
///         arg.iter().sum()
///     }
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), teleport::Error> {
/// let server = Peer::builder().build()?;
/// server.route_call(Math)?;
/// let address = server.listen_on("127.0.0.1:0").await?;
///
/// let client = Peer::builder().build()?;
/// let session = client.dial(&address).await?;
/// let sum: i64 = session.call("/math/add", [1, 2, 3]).await?;
/// assert_eq!(sum, 6);
///
/// client.close().await;
/// server.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "Server")]
#[doc(alias = "Client")]
#[doc(alias = "Endpoint")]
pub struct Peer(Arc<Shared>);

/// What the handles, sessions and tasks of a peer share.
pub(crate) struct Shared {
    config: PeerConfig,
    network: Network,
    #[cfg(feature = "tls")]
    tls_server: Option<TlsServer>,
    #[cfg(feature = "tls")]
    tls_client: Option<TlsClient>,
    listeners: Listeners,
    /// The room for accepted connections in their handshakes.
    handshakes: Arc<Semaphore>,
    env: Arc<Env>,
    handshake_env: Arc<Env>,
    proto: Arc<dyn Proto>,
    router: Router,
    hub: Hub,
    sweeper: Sweeper,
    tasks: TaskTracker,
    closing: CancellationToken,
    shutdown: Shutdown,
    events: Events,
    defaults: CallDefaults,
}

/// What a call is unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallDefaults {
    pub(crate) codec: u8,
    pub(crate) timeout: Option<Duration>,
    pub(crate) propagate: bool,
}

impl Shared {
    pub(crate) fn config(&self) -> &PeerConfig {
        &self.config
    }

    pub(crate) fn on_cancel(&self) -> OnCancel {
        self.config.on_cancel
    }

    #[inline]
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    #[inline]
    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn sweeper(&self) -> &Sweeper {
        &self.sweeper
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Whether the peer shuts down, and sessions are still being made of connections that came
    /// before.
    pub(crate) fn is_draining(&self) -> bool {
        self.shutdown.is_draining()
    }

    /// What the shutdown counts.
    pub(crate) fn tally(&self) -> &Tally {
        self.shutdown.tally()
    }

    /// A connection is at its end while handlers of it run; a shutdown waits for those too.
    pub(crate) fn note_apart(&self, inner: &Arc<crate::session::Inner>) {
        self.shutdown.note_apart(inner);
    }

    /// Waits until the shutdown waits for nothing any more.
    pub(crate) async fn is_over(&self) {
        self.shutdown.is_over().await;
    }

    #[inline]
    pub(crate) fn call_defaults(&self) -> CallDefaults {
        self.defaults
    }

    pub(crate) fn log_style(&self) -> LogStyle {
        LogStyle {
            count_time: self.config.count_time,
            print_detail: self.config.print_detail,
            slow: self.config.slow_comet_duration,
        }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            soft_queue: self.config.queue_limit.max(1),
            hard_queue: self.config.reply_queue_limit.max(1),
            running: self.config.max_running_handlers.max(1),
            in_flight: self.config.max_calls_in_flight.max(1),
            stall: self.config.stall_timeout,
        }
    }
}

impl Peer {
    /// Starts the building of a peer.
    pub fn builder() -> PeerBuilder {
        PeerBuilder::new()
    }

    pub(crate) fn from_shared(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    pub(crate) fn router(&self) -> &Router {
        &self.0.router
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &PeerConfig {
        &self.0.config
    }

    /// The body codecs.
    #[must_use]
    pub fn codecs(&self) -> &Codecs {
        &self.0.env.codecs
    }

    /// The bounds on messages, the codecs and the transfer filters, as protocols see them.
    #[must_use]
    pub fn env(&self) -> &Arc<Env> {
        &self.0.env
    }

    /// The sessions of this peer.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        Sessions::new(Arc::clone(&self.0))
    }

    /// What becomes of the sessions of this peer from now on.
    ///
    /// Costs nothing while there is no receiver.
    #[must_use]
    pub fn session_events(&self) -> SessionEvents {
        self.0.events.subscribe()
    }

    /// The registered handlers, ordered by path.
    #[must_use]
    pub fn routes(&self) -> Vec<HandlerInfo> {
        self.0.router.list()
    }

    /// The plugins of the peer itself, in the order in which they run.
    #[must_use]
    pub fn plugins(&self) -> PluginContainer {
        self.0.router.plugins()
    }

    /// Changes the plugins of the peer itself. It holds for messages read or sent from now on;
    /// [`post_reg`](Plugin::post_reg) does not run for handlers that are registered already.
    ///
    /// `change` runs under a lock: it must not register or change anything on this peer.
    ///
    /// # Errors
    ///
    /// The error of `change`, or one that says why the new plugins do not fit the routes. Then
    /// nothing is changed.
    pub fn change_plugins(
        &self,
        change: impl FnOnce(&mut PluginContainer) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.0.router.change_plugins(change)
    }

    /// A group of routes with a path in front.
    #[doc(alias = "nest")]
    pub fn sub_route(&self, prefix: &str) -> SubRouter {
        self.root().sub_route(prefix)
    }

    /// The root of the routes, with a plugin for the handlers registered through what this
    /// returns.
    pub fn with(&self, plugin: impl Plugin) -> SubRouter {
        self.root().with(plugin)
    }

    fn root(&self) -> SubRouter {
        SubRouter::root(self.clone())
    }

    /// Registers the methods of a `#[controller]` for calls and returns their paths.
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_call<C: CallController>(&self, controller: C) -> Result<Vec<String>, Error> {
        self.root().route_call(controller)
    }

    /// Registers the methods of a `#[push_handler]` for pushes and returns their paths.
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_push<C: PushController>(&self, controller: C) -> Result<Vec<String>, Error> {
        self.root().route_push(controller)
    }

    /// Registers a `#[controller]` function for calls and returns its path.
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_call_fn<F, Args, M>(&self, function: F) -> Result<String, Error>
    where
        F: RoutedFn<Args, M>,
        M: CallFunction,
    {
        self.root().route_call_fn(function)
    }

    /// Registers a `#[push_handler]` function for pushes and returns its path.
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_push_fn<F, Args, M>(&self, function: F) -> Result<String, Error>
    where
        F: RoutedFn<Args, M>,
        M: PushFunction,
    {
        self.root().route_push_fn(function)
    }

    /// Registers one method of a `#[controller]` under its own name alone; see
    /// [`SubRouter::route_call_method`].
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call_method`].
    pub fn route_call_method<C, F>(&self, controller: Arc<C>, method: F) -> Result<String, Error>
    where
        C: CallController,
    {
        self.root().route_call_method(controller, method)
    }

    /// Registers one method of a `#[push_handler]` under its own name alone; see
    /// [`SubRouter::route_call_method`].
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call_method`].
    pub fn route_push_method<C, F>(&self, controller: Arc<C>, method: F) -> Result<String, Error>
    where
        C: PushController,
    {
        self.root().route_push_method(controller, method)
    }

    /// Registers a handler for the calls of one path, which takes bodies as they come; see
    /// [`SubRouter::route_call_raw`].
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_call_raw<H, M>(&self, path: &str, handler: H) -> Result<String, Error>
    where
        H: UnknownCallHandler<M>,
    {
        self.root().route_call_raw(path, handler)
    }

    /// Registers a handler for the pushes of one path, which takes bodies as they come; see
    /// [`SubRouter::route_call_raw`].
    ///
    /// # Errors
    ///
    /// As for [`SubRouter::route_call`].
    pub fn route_push_raw<H, M>(&self, path: &str, handler: H) -> Result<String, Error>
    where
        H: UnknownPushHandler<M>,
    {
        self.root().route_push_raw(path, handler)
    }

    /// Registers the handler of calls that no route takes.
    ///
    /// # Errors
    ///
    /// There is one already.
    #[doc(alias = "fallback")]
    pub fn set_unknown_call<H, M>(&self, handler: H) -> Result<(), Error>
    where
        H: UnknownCallHandler<M>,
    {
        self.root().set_unknown_call(handler)
    }

    /// Registers the handler of pushes that no route takes.
    ///
    /// # Errors
    ///
    /// There is one already.
    pub fn set_unknown_push<H, M>(&self, handler: H) -> Result<(), Error>
    where
        H: UnknownPushHandler<M>,
    {
        self.root().set_unknown_push(handler)
    }

    /// Dials another peer: `host:port`, `[::1]:port`, `:port` for this machine, a path when the
    /// network is one of unix sockets, an address with the network in front such as
    /// `unix:/run/app.sock`, or an address that is known. Await what this returns, or say more about
    /// it first; see [`Dial`].
    #[doc(alias = "connect")]
    pub fn dial(&self, address: impl ToAddress) -> Dial<'_> {
        Dial::to(self, address.to_address().into_owned())
    }

    /// [`dial`](Self::dial) by another protocol than the peer's own.
    pub fn dial_with(&self, address: impl ToAddress, proto: impl Proto) -> Dial<'_> {
        self.dial(address).proto(proto)
    }

    /// Dials by a transport of your own, which can be dialled again when the connection broke.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::Peer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), teleport::Error> {
    /// let server = Peer::builder().build()?;
    /// let client = Peer::builder().build()?;
    /// let there = server.clone();
    /// let session = client
    ///     .dial_by(move || {
    ///         let there = there.clone();
    ///         async move {
    ///             let (near, far) = tokio::io::duplex(1024);
    ///             there.serve_conn(far).await.map_err(std::io::Error::other)?;
    ///             Ok(near)
    ///         }
    ///     })
    ///     .await?;
    /// assert!(session.health());
    /// # Ok(())
    /// # }
    /// ```
    pub fn dial_by(&self, connector: impl Connect) -> Dial<'_> {
        Dial::by(self, Arc::new(connector))
    }

    /// Listens on the configured `listen_address`, or `local_ip` and `listen_port`, and returns the
    /// bound address. Connections are taken in the background until the peer is closed.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) without a `listen_address` and a `listen_port`,
    /// [`Listen`](crate::ErrorKind::Listen) if the address cannot be listened on, or what a plugin
    /// refused it with.
    pub async fn listen(&self) -> Result<Address, Error> {
        Listen::configured(&self.0).await
    }

    /// [`listen`](Self::listen) for another protocol than the peer's own.
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub async fn listen_with(&self, proto: impl Proto) -> Result<Address, Error> {
        Listen::configured(&self.0).proto(proto).await
    }

    /// Listens on an address, and returns the bound address: `host:port`, `[::1]:port`, `:port` for
    /// all interfaces, a path when the network is one of unix sockets, or with the network in front
    /// such as `unix:/run/app.sock`. A peer may listen on several.
    ///
    /// Await what this returns, or say more about the address first; see [`Listen`].
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub fn listen_on(&self, address: impl ToAddress) -> Listen<'_> {
        Listen::on(&self.0, address.to_address().into_owned())
    }

    /// Goes on with a socket that listens already, such as one inherited from another process, and
    /// returns its address. Connections are taken in the background until the peer is closed.
    ///
    /// Await what this returns, or say more about the address first; see [`Listen`].
    ///
    /// # Errors
    ///
    /// What a plugin refused the address with, or the peer is closed.
    pub fn listen_from(&self, listener: BoundListener) -> Listen<'_> {
        Listen::from(&self.0, listener)
    }

    /// The addresses that this peer listens on, in the order in which that began.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listening> {
        self.0.listeners.all()
    }

    /// [`listen_on`](Self::listen_on) for another protocol than the peer's own.
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub async fn listen_on_with(
        &self,
        address: impl ToAddress,
        proto: impl Proto,
    ) -> Result<Address, Error> {
        self.listen_on(address).proto(proto).await
    }

    /// [`listen`](Self::listen)s, and returns when the peer is [`close`](Self::close)d, or was
    /// [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub async fn listen_and_serve(&self) -> Result<(), Error> {
        let address = self.listen().await?;
        tracing::info!(%address, "listening");
        self.closed().await;
        Ok(())
    }

    /// Takes the connections of a listener until the peer is closed.
    ///
    /// # Errors
    ///
    /// A plugin refused the address, or the peer is closed.
    pub async fn serve_listener<L: Listener>(&self, listener: L) -> Result<(), Error> {
        self.serve_listener_with(listener, Arc::clone(&self.0.proto))
            .await
    }

    /// [`serve_listener`](Self::serve_listener) for another protocol than the peer's own.
    ///
    /// # Errors
    ///
    /// As for [`serve_listener`](Self::serve_listener).
    pub async fn serve_listener_with<L: Listener>(
        &self,
        listener: L,
        proto: impl Proto,
    ) -> Result<(), Error> {
        if self.0.is_closing() {
            return Err(Error::closed("the peer is closed"));
        }
        listen::announce(&self.0, &listener.local_address())?;
        let how = accept::How {
            proto: Arc::new(proto),
            #[cfg(feature = "tls")]
            tls: self.0.tls_server.clone(),
        };
        let stop = self.0.closing.child_token();
        accept::serve(Arc::clone(&self.0), listener, how, stop).await;
        Ok(())
    }

    /// Makes a session of any stream, as if it had been accepted. It is taken as it is: not
    /// encrypted by the peer's settings.
    ///
    /// # Errors
    ///
    /// What a plugin refused the connection with, or the peer is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the stream.
    pub async fn serve_conn<S>(&self, stream: S) -> Result<Session, Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        connect::accepted(&self.0, Stream::new(stream), &self.0.proto, Duration::ZERO).await
    }

    /// [`serve_conn`](Self::serve_conn) for another protocol than the peer's own.
    ///
    /// # Errors
    ///
    /// As for [`serve_conn`](Self::serve_conn).
    ///
    /// # Cancel safety
    ///
    /// As of [`serve_conn`](Self::serve_conn).
    pub async fn serve_conn_with<S>(&self, stream: S, proto: impl Proto) -> Result<Session, Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let proto: Arc<dyn Proto> = Arc::new(proto);
        connect::accepted(&self.0, Stream::new(stream), &proto, Duration::ZERO).await
    }

    /// Makes a session of any stream, as if it had been dialled. It is taken as it is: not
    /// encrypted by the peer's settings.
    ///
    /// # Errors
    ///
    /// What a plugin refused the connection with, or the peer is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the stream.
    pub async fn dial_conn<S>(&self, stream: S) -> Result<Session, Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        connect::dialled(&self.0, Stream::new(stream), &self.0.proto).await
    }

    /// [`dial_conn`](Self::dial_conn) by another protocol than the peer's own.
    ///
    /// # Errors
    ///
    /// As for [`dial_conn`](Self::dial_conn).
    ///
    /// # Cancel safety
    ///
    /// As of [`dial_conn`](Self::dial_conn).
    pub async fn dial_conn_with<S>(&self, stream: S, proto: impl Proto) -> Result<Session, Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let proto: Arc<dyn Proto> = Arc::new(proto);
        connect::dialled(&self.0, Stream::new(stream), &proto).await
    }

    /// Closes the peer in good order: listens no more, and closes all sessions as
    /// [`Session::close`] does. Returns when all of this is done, however long a handler takes;
    /// [`shutdown`](Self::shutdown) has a deadline.
    ///
    /// The closing begins with the call; the future only waits for its end. A handler that awaited
    /// it for its own peer would wait for itself: `drop(peer.close())` is for there.
    ///
    /// # Cancel safety
    ///
    /// The closing goes on when the future is dropped.
    pub fn close(&self) -> impl Future<Output = ()> + Send + '_ {
        self.0.closing.cancel();
        for session in self.sessions().all() {
            session.inner().begin_close("the peer is closing");
        }
        self.0.tasks.close();
        self.at_end()
    }

    /// Shuts the peer down so that nothing is lost: listens no more, tells the other ends, lets
    /// handlers that run and calls in flight come to their end, writes what is queued, and closes.
    /// At the deadline what is left is cut off. The report says what became of everything.
    ///
    /// Other ends of this kind make no more calls here when they are told, and close when their
    /// calls are done. Those that do not understand are served for a moment more, half of the
    /// deadline and 1 s at most; a session on which nothing moves for 100 ms is closed. A call that
    /// comes too late is answered with error 503 and the metadata
    /// [`NOT_RUN`](crate::message::meta::NOT_RUN), and at the very end the other end is told that
    /// all calls without a reply were not run.
    ///
    /// The shutdown begins with the call. A second call, while it lasts, cuts everything off at
    /// once; both get the report. A deadline of zero does so too. After the deadline the hooks
    /// [`post_disconnect`](crate::Plugin::post_disconnect) may take half a second more.
    ///
    /// A handler that awaited this for its own peer would wait for itself, until the deadline.
    ///
    /// # Cancel safety
    ///
    /// The shutdown goes on when the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), teleport::Error> {
    /// use std::time::Duration;
    ///
    /// let server = teleport::Peer::builder().build()?;
    /// server.listen_on("127.0.0.1:0").await?;
    /// let report = server.shutdown(Duration::from_secs(10)).await;
    /// assert!(report.is_complete(), "{report}");
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "graceful")]
    #[doc(alias = "drain")]
    pub fn shutdown(
        &self,
        deadline: Duration,
    ) -> impl Future<Output = ShutdownReport> + Send + use<> {
        shutdown::shut_down(&self.0, deadline)
    }

    /// Waits for all tasks, or for the end of a shutdown that cut them off.
    async fn at_end(&self) {
        tokio::select! {
            () = self.0.tasks.wait() => {}
            () = self.0.is_over() => {}
        }
    }

    /// Waits until somebody closes the peer.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn closed(&self) {
        self.0.closing.cancelled().await;
        self.at_end().await;
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("sessions", &self.0.hub.len())
            .field("closing", &self.0.is_closing())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
