//! Listening on addresses.

use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use super::accept::{self, How};
use super::listening::Entry;
use super::{Peer, Shared};
use crate::error::{Error, ErrorKind};
use crate::plugin::Hooks;
use crate::proto::Proto;
#[cfg(feature = "tls")]
use crate::socket::tls::TlsServer;
use crate::socket::{
    Address, BoundListener, Family, HostPort, ListenOptions, Network, Place, ToAddress,
};

impl Peer {
    /// Listens on the configured `listen_address`, or `local_ip` and `listen_port`, and returns the
    /// bound address. Connections are taken in the background until the peer is closed.
    ///
    /// Await what this returns, or say more about the address first; see [`Listen`].
    ///
    /// # Errors
    ///
    /// Of what is awaited: [`Config`](crate::ErrorKind::Config) without a `listen_address` and a
    /// `listen_port`, [`Listen`](crate::ErrorKind::Listen) if the address cannot be listened on, or
    /// what a plugin refused it with.
    pub fn listen(&self) -> Listen<'_> {
        Listen::new(&self.0, Source::Configured)
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
        Listen::new(&self.0, Source::Address(address.to_address().into_owned()))
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
        Listen::new(&self.0, Source::Bound(listener))
    }

    /// [`listen`](Self::listen)s, and returns when the peer is [`close`](Self::close)d, or was
    /// [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops the waiting: the peer listens on until it is closed.
    pub async fn listen_and_serve(&self) -> Result<(), Error> {
        let address = self.listen().await?;
        tracing::info!(%address, "listening");
        self.closed().await;
        Ok(())
    }
}

/// An address to be listened on: what can be said about it, in a chain, and then awaited for the
/// bound address. Made by [`Peer::listen`], [`Peer::listen_on`] and [`Peer::listen_from`].
///
/// # Errors
///
/// Of what it is awaited to: those of [`Peer::listen`].
///
/// # Cancel safety
///
/// Dropping the future before it is ready gives the address up again.
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
