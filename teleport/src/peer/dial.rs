//! Dialling: what can be said about it, before it is awaited.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use super::{Peer, connect};
use crate::error::Error;
use crate::proto::Proto;
use crate::router::handler::BoxFuture;
use crate::session::Session;
use crate::socket::Connect;

/// A dialling that has not begun yet: what can be said about it, in a chain, and then awaited for
/// the session.
///
/// # Errors
///
/// Of what it is awaited to: [`Config`](crate::ErrorKind::Config) for an address that is none,
/// [`Dial`](crate::ErrorKind::Dial) when nobody answers there,
/// [`Timeout`](crate::ErrorKind::Timeout) after the configured `default_dial_timeout`, or what a
/// plugin refused the connection with.
///
/// # Cancel safety
///
/// Dropping the future gives the attempt up; no session is left behind.
#[must_use = "nothing is dialled until this is awaited"]
pub struct Dial<'a> {
    peer: &'a Peer,
    connector: Result<Arc<dyn Connect>, Error>,
    proto: Option<Arc<dyn Proto>>,
}

impl<'a> Dial<'a> {
    pub(super) fn new(peer: &'a Peer, connector: Result<Arc<dyn Connect>, Error>) -> Self {
        Self {
            peer,
            connector,
            proto: None,
        }
    }

    /// Speaks another protocol than the peer's own.
    pub fn proto(mut self, proto: impl Proto) -> Self {
        self.proto = Some(Arc::new(proto));
        self
    }
}

impl<'a> IntoFuture for Dial<'a> {
    type Output = Result<Session, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let shared = &self.peer.0;
            let proto = self.proto.unwrap_or_else(|| Arc::clone(&shared.proto));
            connect::dial(shared, &*self.connector?, &proto).await
        })
    }
}

impl fmt::Debug for Dial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial")
            .field("target", &self.connector.as_ref().map(|c| c.target()))
            .finish_non_exhaustive()
    }
}
