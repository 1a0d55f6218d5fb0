//! The standard proxy: it has no routes, and forwards everything to a backend.

use teleport::plugins::proxy::{Forward, Proxy};
use teleport::session::{RawReply, Request};
use teleport::{BoxFuture, Caller, Error, Peer, Session, codec::Codecs};
use tokio::sync::Mutex;

use super::{Options, builder};

/// The name of the program on the wire.
pub const PROGRAM: &str = "relay";

/// Builds the proxy.
///
/// # Errors
///
/// The options do not fit together.
pub fn relay(options: &Options, backend: impl Caller + 'static) -> Result<Peer, Error> {
    let forward = Forward::to(backend).program(PROGRAM);
    builder(options)?.plugin(Proxy::new(forward)).build()
}

/// A backend that is dialled when it is needed, so that the proxy can be there before it.
#[derive(Debug)]
pub struct Dialled {
    peer: Peer,
    address: String,
    session: Mutex<Option<Session>>,
}

impl Dialled {
    /// A backend at an address, which is not dialled yet.
    pub fn new(peer: Peer, address: impl Into<String>) -> Self {
        Self {
            peer,
            address: address.into(),
            session: Mutex::default(),
        }
    }

    async fn session(&self) -> Result<Session, Error> {
        let mut session = self.session.lock().await;
        match &*session {
            Some(session) if session.health() => Ok(session.clone()),
            _ => {
                let dialled = self.peer.dial(&self.address).await?;
                Ok(session.insert(dialled).clone())
            }
        }
    }
}

impl Caller for Dialled {
    fn call_raw(&self, request: Request) -> BoxFuture<'_, Result<RawReply, Error>> {
        Box::pin(async move { self.session().await?.call_raw(request).await })
    }

    fn push_raw(&self, request: Request) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.session().await?.push_raw(request).await })
    }

    fn codecs(&self) -> Codecs {
        self.peer.codecs().clone()
    }

    fn default_codec(&self) -> u8 {
        teleport::codec::JSON
    }
}
