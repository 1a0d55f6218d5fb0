//! The standard proxy: it has no routes, and forwards everything to a backend.

use std::sync::Arc;

use teleport::plugins::proxy::{Forward, Proxy};
use teleport::session::{Calling, RawReply, Request};
use teleport::socket::{Connect, Connecting};
use teleport::{Caller, Error, Peer, Session, codec::Codecs};
use tokio::sync::Mutex;

use super::{Notes, Options, add_routes, guarded};

/// The name of the program on the wire.
pub const PROGRAM: &str = "relay";

/// Builds the proxy.
///
/// # Errors
///
/// The options do not fit together.
pub fn relay(options: &Options, backend: impl Caller + 'static) -> Result<Peer, Error> {
    let forward = Forward::to(backend).program(PROGRAM);
    let peer = guarded(options)?.plugin(Proxy::new(forward)).build()?;
    add_routes(&peer, options, &Notes::default())?;
    Ok(peer)
}

/// A backend that is dialled when it is needed, so that the proxy can be there before it, and again
/// when it is back.
pub struct Dialled {
    peer: Peer,
    place: Place,
    session: Mutex<Option<Session>>,
}

enum Place {
    Address(String),
    Connector(Shared),
}

#[derive(Clone)]
struct Shared(Arc<dyn Connect>);

impl Connect for Shared {
    fn connect(&self) -> Connecting<'_> {
        self.0.connect()
    }
}

impl Dialled {
    /// A backend at an address, which is not dialled yet.
    pub fn new(peer: Peer, address: impl Into<String>) -> Self {
        Self::at(peer, Place::Address(address.into()))
    }

    /// A backend that this connects to, and which is not dialled yet.
    pub fn by(peer: Peer, connector: impl Connect) -> Self {
        Self::at(peer, Place::Connector(Shared(Arc::new(connector))))
    }

    fn at(peer: Peer, place: Place) -> Self {
        Self {
            peer,
            place,
            session: Mutex::default(),
        }
    }

    /// Dials, unless that is done.
    ///
    /// # Errors
    ///
    /// There is no backend now.
    pub async fn session(&self) -> Result<Session, Error> {
        let mut session = self.session.lock().await;
        match &*session {
            Some(session) if session.health() => Ok(session.clone()),
            _ => {
                let dialled = match &self.place {
                    Place::Address(address) => self.peer.dial(address).await?,
                    Place::Connector(connector) => self.peer.dial_by(connector.clone()).await?,
                };
                Ok(session.insert(dialled).clone())
            }
        }
    }
}

impl Caller for Dialled {
    fn call_raw(&self, request: Request) -> Calling<'_, RawReply> {
        Box::pin(async move { self.session().await?.call_raw(request).await })
    }

    fn push_raw(&self, request: Request) -> Calling<'_, ()> {
        Box::pin(async move { self.session().await?.push_raw(request).await })
    }

    fn codecs(&self) -> Codecs {
        self.peer.codecs().clone()
    }
}
