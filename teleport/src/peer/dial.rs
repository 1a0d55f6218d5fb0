//! Dialling: what can be said about it, before it is awaited.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use super::{Peer, connect};
use crate::error::Error;
use crate::proto::Proto;
use crate::router::handler::BoxFuture;
use crate::session::{Redial, Session};
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
    redial: Redial,
}

impl<'a> Dial<'a> {
    pub(super) fn new(peer: &'a Peer, connector: Result<Arc<dyn Connect>, Error>) -> Self {
        Self {
            peer,
            connector,
            proto: None,
            redial: Redial::of(peer.config()),
        }
    }

    /// Speaks another protocol than the peer's own.
    pub fn proto(mut self, proto: impl Proto) -> Self {
        self.proto = Some(Arc::new(proto));
        self
    }

    /// Sets how the session dials again when its connection is lost. Default: as the peer's
    /// configuration says, which is not at all unless it is set.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use teleport::session::Redial;
    ///
    /// # async fn run(peer: teleport::Peer) -> Result<(), teleport::Error> {
    /// let session = peer.dial("127.0.0.1:9090").redial(Redial::for_ever()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn redial(mut self, redial: Redial) -> Self {
        self.redial = redial;
        self
    }

    /// Sets how often the session dials again, 0 never, below 0 without end; the rest is as the
    /// peer's configuration says.
    pub fn redial_times(mut self, times: i32) -> Self {
        self.redial.times = times;
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
            connect::dial(shared, self.connector?, proto, self.redial).await
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
