//! Listening on addresses.

use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};

use tokio_util::sync::CancellationToken;

use super::Shared;
use super::accept::{self, How};
use crate::error::{Error, ErrorKind};
use crate::lock;
use crate::plugin::Hooks;
use crate::proto::Proto;
#[cfg(feature = "tls")]
use crate::socket::tls::TlsServer;
use crate::socket::{Address, BoundListener, Family, HostPort, ListenOptions, Network, Place};

/// An address to be listened on; await it for the bound address. Made by
/// [`Peer::listen_on`](super::Peer::listen_on) and [`Peer::listen_from`](super::Peer::listen_from).
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::Error> {
/// let peer = teleport::Peer::builder().build()?;
/// let address = peer.listen_on("127.0.0.1:0").backlog(16).await?;
/// assert_eq!(peer.listeners()[0].address(), &address);
/// # peer.close().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is listened on until it is awaited"]
pub struct Listen<'a> {
    shared: &'a Arc<Shared>,
    source: Source,
    options: ListenOptions,
    how: How,
}

enum Source {
    /// What the configuration says.
    Configured,
    Address(String),
    Bound(BoundListener),
}

impl<'a> Listen<'a> {
    fn new(shared: &'a Arc<Shared>, source: Source) -> Self {
        Self {
            shared,
            source,
            options: shared.config.listen_options(),
            how: How {
                proto: Arc::clone(&shared.proto),
                #[cfg(feature = "tls")]
                tls: shared.tls_server.clone(),
            },
        }
    }

    pub(super) fn configured(shared: &'a Arc<Shared>) -> Self {
        Self::new(shared, Source::Configured)
    }

    pub(super) fn on(shared: &'a Arc<Shared>, address: String) -> Self {
        Self::new(shared, Source::Address(address))
    }

    pub(super) fn from(shared: &'a Arc<Shared>, listener: BoundListener) -> Self {
        Self::new(shared, Source::Bound(listener))
    }

    /// Speaks another protocol than the peer's own.
    pub fn proto(mut self, proto: impl Proto) -> Self {
        self.how.proto = Arc::new(proto);
        self
    }

    /// Sets how many connections may wait to be taken. Default: the peer's `backlog`.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.options.backlog = connections;
        self
    }

    /// Sets whether other sockets may listen on the port too. Default: the peer's `reuse_port`.
    pub fn reuse_port(mut self, shared: bool) -> Self {
        self.options.reuse_port = shared;
        self
    }

    /// Sets the permissions of a unix socket's file. Default: the peer's `unix_mode`.
    pub fn unix_mode(mut self, mode: u32) -> Self {
        self.options.unix_mode = Some(mode);
        self
    }

    /// Encrypts the connections. Default: the peer's `tls_server`.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, tls: &TlsServer) -> Self {
        self.how.tls = Some(tls.clone());
        self
    }

    /// Encrypts nothing, whatever the peer's `tls_server` is.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn plain(mut self) -> Self {
        self.how.tls = None;
        self
    }

    async fn run(self) -> Result<Address, Error> {
        let Self {
            shared,
            source,
            options,
            how,
        } = self;
        if shared.is_closing() {
            return Err(Error::closed("the peer is closed"));
        }
        options.check().map_err(|e| Error::config(e.to_string()))?;
        let place = match source {
            Source::Bound(listener) => Err(listener),
            Source::Address(address) => Ok(Place::parse(&address, shared.network)
                .map_err(|e| Error::config("the address cannot be listened on").with_source(e))?),
            Source::Configured => Ok(configured(shared)?),
        };
        let (asked, bound) = match place {
            Ok(place) => (place.to_string(), bind(&place, &options).await?),
            Err(listener) => (listener.address().to_string(), Bound::new(listener)),
        };
        let address = bound.listener.address();
        announce(shared, &address)?;
        let listener = Arc::new(bound.listener);
        let stop = shared.closing.child_token();
        shared.listeners.add(Entry {
            asked,
            address: address.clone(),
            listener: Arc::downgrade(&listener),
            stop: stop.clone(),
            #[cfg(feature = "tls")]
            encrypted: how.tls.is_some(),
        });
        let serving = accept::serve(Arc::clone(shared), listener, how, stop);
        shared.tasks.spawn(serving);
        #[cfg(all(unix, feature = "graceful"))]
        crate::graceful::serves(bound.inherited);
        Ok(address)
    }
}

impl<'a> IntoFuture for Listen<'a> {
    type Output = Result<Address, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Listen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listen")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The place that the configuration names.
fn configured(shared: &Shared) -> Result<Place, Error> {
    let config = &shared.config;
    if let Some(address) = &config.listen_address {
        return Place::parse(address, shared.network)
            .map_err(|e| Error::config("listen_address cannot be listened on").with_source(e));
    }
    let family = match shared.network {
        Network::Tcp => Family::Any,
        Network::Tcp4 => Family::V4,
        Network::Tcp6 => Family::V6,
        network @ (Network::Unix | Network::UnixPacket) => {
            return Err(Error::config(format!(
                "network {network:?} has no ports, and listen_address is not set; set it in the \
                 builder to a path such as \"/run/app.sock\", or name one with listen_on",
                network = network.name()
            )));
        }
    };
    let Some(port) = config.listen_port else {
        return Err(Error::config(
            "listen_port is not set; set it in the builder (0 takes a free port), or name an \
             address with listen_on",
        ));
    };
    let host = config.local_ip.map(|ip| ip.to_string());
    Ok(Place::Tcp(
        HostPort::new(host.unwrap_or_default(), port),
        family,
    ))
}

/// A listener, and where it comes from.
struct Bound {
    listener: BoundListener,
    #[cfg(all(unix, feature = "graceful"))]
    inherited: bool,
}

impl Bound {
    const fn new(listener: BoundListener) -> Self {
        Self {
            listener,
            #[cfg(all(unix, feature = "graceful"))]
            inherited: false,
        }
    }
}

/// Takes the listener that another process left for the place, or binds one.
async fn bind(place: &Place, options: &ListenOptions) -> Result<Bound, Error> {
    if let Some(missing) = place.network().missing() {
        return Err(Error::config(missing));
    }
    let failed = |e: io::Error| {
        Error::new(ErrorKind::Listen, format!("cannot listen on {place}")).with_source(e)
    };
    #[cfg(all(unix, feature = "graceful"))]
    if let Some(listener) = crate::graceful::claim(place).await {
        return Ok(Bound {
            listener: listener.map_err(failed)?,
            inherited: true,
        });
    }
    let bound = BoundListener::bind(place, options).await;
    bound.map(Bound::new).map_err(failed)
}

/// Tells the plugins of an address.
pub(super) fn announce(shared: &Shared, address: &Address) -> Result<(), Error> {
    let tables = shared.router.tables();
    for plugin in tables.hooks.of(Hooks::POST_LISTEN) {
        plugin.post_listen(address)?;
    }
    Ok(())
}

/// The addresses that a peer listens on.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<Entry>>);

struct Entry {
    asked: String,
    address: Address,
    listener: Weak<BoundListener>,
    stop: CancellationToken,
    #[cfg(feature = "tls")]
    encrypted: bool,
}

impl Listeners {
    fn add(&self, entry: Entry) {
        let mut entries = lock(&self.0);
        entries.retain(|entry| entry.listener.strong_count() > 0);
        entries.push(entry);
    }

    pub(super) fn all(&self) -> Vec<Listening> {
        let entries = lock(&self.0);
        let of = |entry: &Entry| {
            Some(Listening {
                asked: entry.asked.clone(),
                address: entry.address.clone(),
                listener: entry.listener.upgrade()?,
                stop: entry.stop.clone(),
                #[cfg(feature = "tls")]
                encrypted: entry.encrypted,
            })
        };
        entries.iter().filter_map(of).collect()
    }
}

/// An address that a peer listens on.
///
/// While it is held the socket stays open, also when the peer takes no connections any more: drop
/// it soon.
#[derive(Clone, Debug)]
pub struct Listening {
    asked: String,
    address: Address,
    listener: Arc<BoundListener>,
    stop: CancellationToken,
    #[cfg(feature = "tls")]
    encrypted: bool,
}

impl Listening {
    /// The address that was asked for, where `listen_on` was given one: with port 0, if that was in
    /// it.
    #[must_use]
    pub fn asked(&self) -> &str {
        &self.asked
    }

    /// The bound address.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Whether its connections are encrypted.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Takes no more connections here. Sessions go on. The address is free when this and its clones
    /// are dropped too.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Leaves the file of a unix socket where it is when this peer is done with it: another process
    /// goes on with the socket.
    pub fn keep_file(&self) {
        self.listener.keep_file();
    }

    /// Whether the file of a unix socket is removed with the listener.
    #[cfg(all(unix, feature = "graceful"))]
    pub(crate) fn owns_file(&self) -> bool {
        self.listener.owns_file()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Listening {
    /// The listening socket, to hand it to another process.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
