//! Peers: instances that listen, dial, or both, and own the routes, plugins and sessions.

use std::fmt;
use std::sync::Arc;

use crate::codec::Codecs;
use crate::error::Error;
use crate::plugin::PluginContainer;
use crate::proto::Env;
use crate::router::Router;
use crate::session::{SessionEvents, Sessions};

mod accept;
mod builder;
mod close;
mod config;
mod connect;
mod dial;
mod listen;
mod listening;
mod routes;
mod shared;
mod shutdown;
mod weak;

pub use builder::PeerBuilder;
pub use config::PeerConfig;
pub use dial::Dial;
pub use listen::Listen;
pub use listening::Listening;
pub use shutdown::ShutdownReport;
pub use weak::WeakPeer;

pub(crate) use shared::{CallDefaults, Shared};

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

    /// The plugins of the peer itself, in the order in which they run.
    #[must_use]
    pub fn plugins(&self) -> PluginContainer {
        self.0.router.plugins()
    }

    /// Changes the plugins of the peer itself. It holds for messages read or sent from now on;
    /// [`post_reg`](crate::Plugin::post_reg) does not run for handlers that are registered already.
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
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("sessions", &self.0.hub.len())
            .field("closing", &self.0.is_closing())
            .finish_non_exhaustive()
    }
}
