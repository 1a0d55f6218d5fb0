//! Dialling other peers.

use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Shared, connect};
use crate::error::{Error, ErrorKind};
use crate::proto::Proto;
use crate::session::Session;
#[cfg(feature = "tls")]
use crate::socket::tls::TlsClient;
use crate::socket::{DialOptions, Place, Stream, connect};

/// A connection to be dialled; await it for the session. Made by [`Peer::dial`](super::Peer::dial).
///
/// # Examples
///
/// ```no_run
/// # async fn run(peer: teleport::Peer) -> Result<(), teleport::Error> {
/// use std::time::Duration;
///
/// let session = peer.dial("unix:/run/app.sock").timeout(Duration::from_secs(1)).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is dialled until it is awaited"]
pub struct Dial<'a> {
    shared: &'a Arc<Shared>,
    address: String,
    proto: Arc<dyn Proto>,
    timeout: Duration,
    options: DialOptions,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
}

impl<'a> Dial<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, address: String) -> Self {
        Self {
            shared,
            address,
            proto: Arc::clone(&shared.proto),
            timeout: shared.config.default_dial_timeout,
            options: shared.config.dial_options(),
            #[cfg(feature = "tls")]
            tls: shared.tls_client.clone(),
        }
    }

    /// Speaks another protocol than the peer's own.
    pub fn proto(mut self, proto: impl Proto) -> Self {
        self.proto = Arc::new(proto);
        self
    }

    /// Sets the longest time that dialling may take, encryption included; zero: no limit. Default:
    /// the peer's `default_dial_timeout`.
    pub fn timeout(mut self, longest: Duration) -> Self {
        self.timeout = longest;
        self
    }

    /// Dials from this port of this machine. Default: the peer's `local_port`.
    pub fn local_port(mut self, port: u16) -> Self {
        self.options.local_port = Some(port);
        self
    }

    /// Encrypts the connection. Default: the peer's `tls_client`.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, tls: &TlsClient) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// Encrypts nothing, whatever the peer's `tls_client` is.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn plain(mut self) -> Self {
        self.tls = None;
        self
    }

    async fn run(self) -> Result<Session, Error> {
        let shared = self.shared;
        let proto = Arc::clone(&self.proto);
        let target = self.target()?;
        let stream = target.connect(shared).await?;
        connect::dialled(shared, stream, &*proto).await
    }

    fn target(self) -> Result<Target, Error> {
        let place = Place::parse(&self.address, self.shared.network)
            .map_err(|e| Error::config("the address cannot be dialled").with_source(e))?;
        if let Some(missing) = place.network().missing() {
            return Err(Error::config(missing));
        }
        Ok(Target {
            place,
            timeout: self.timeout,
            options: self.options,
            #[cfg(feature = "tls")]
            tls: self.tls,
        })
    }
}

impl<'a> IntoFuture for Dial<'a> {
    type Output = Result<Session, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Dial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Where a session's connection goes, and how it is made, as often as it takes.
pub(super) struct Target {
    place: Place,
    timeout: Duration,
    options: DialOptions,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
}

impl Target {
    /// Makes a connection.
    pub(super) async fn connect(&self, shared: &Shared) -> Result<Stream, Error> {
        let attempt = self.attempt(shared);
        let attempted = if self.timeout.is_zero() {
            attempt.await
        } else {
            tokio::time::timeout(self.timeout, attempt)
                .await
                .map_err(|_| {
                    let (place, timeout) = (&self.place, self.timeout);
                    let text = format!("{place} did not answer within {timeout:?}");
                    Error::new(ErrorKind::Timeout, text)
                })?
        };
        attempted.map_err(|error| {
            Error::new(ErrorKind::Dial, format!("cannot dial {}", self.place)).with_source(error)
        })
    }

    async fn attempt(&self, shared: &Shared) -> io::Result<Stream> {
        let stream = connect(&self.place, &self.options).await?;
        shared.config.socket.apply_to(&stream)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let limit = shared.config.handshake_timeout;
            let name = self.place.host().unwrap_or_default();
            return tokio::time::timeout(limit, tls.connect(stream, name))
                .await
                .unwrap_or_else(|_| {
                    let text = format!("the TLS handshake took longer than {limit:?}");
                    Err(io::Error::new(io::ErrorKind::TimedOut, text))
                });
        }
        Ok(stream)
    }
}
