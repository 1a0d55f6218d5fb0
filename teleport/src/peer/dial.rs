//! Dialling: what can be said about it, before it is awaited.

use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Peer, connect};
use crate::error::Error;
use crate::proto::Proto;
use crate::router::handler::BoxFuture;
use crate::session::{Redial, Session};
#[cfg(feature = "tls")]
use crate::socket::tls::TlsClient;
use crate::socket::{self, Connect, Connecting, DialOptions, Place, Stream, ToAddress};

impl Peer {
    /// Dials another peer: `host:port`, `[::1]:port`, `:port` for this machine, a path when the
    /// network is one of unix sockets, an address with the network in front such as
    /// `unix:/run/app.sock`, or an address that is known. Await what this returns, or say more about
    /// it first; see [`Dial`].
    #[doc(alias = "connect")]
    pub fn dial(&self, address: impl ToAddress) -> Dial<'_> {
        Dial::to(self, address.to_address().into_owned())
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
}

/// A dialling that has not begun yet: what can be said about it, in a chain, and then awaited for
/// the session.
///
/// # Errors
///
/// Of what it is awaited to: [`Config`](crate::ErrorKind::Config) for an address that is none,
/// [`Dial`](crate::ErrorKind::Dial) when nobody answers there or the encryption fails,
/// [`Timeout`](crate::ErrorKind::Timeout) after the time it may take, or what a plugin refused the
/// connection with.
///
/// # Cancel safety
///
/// Dropping the future gives the attempt up; no session is left behind.
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
#[must_use = "nothing is dialled until this is awaited"]
pub struct Dial<'a> {
    peer: &'a Peer,
    way: Way,
    proto: Option<Arc<dyn Proto>>,
    timeout: Duration,
    redial: Redial,
}

/// How streams are opened.
enum Way {
    /// At an address, by the networks there are.
    To(Box<To>),
    /// By the user's own transport.
    By(Arc<dyn Connect>),
}

struct To {
    address: String,
    options: DialOptions,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
}

impl<'a> Dial<'a> {
    pub(super) fn to(peer: &'a Peer, address: String) -> Self {
        let way = To {
            address,
            options: peer.0.config.dial_options(),
            #[cfg(feature = "tls")]
            tls: peer.0.tls_client.clone(),
        };
        Self::new(peer, Way::To(Box::new(way)))
    }

    pub(super) fn by(peer: &'a Peer, connector: Arc<dyn Connect>) -> Self {
        Self::new(peer, Way::By(connector))
    }

    fn new(peer: &'a Peer, way: Way) -> Self {
        Self {
            peer,
            way,
            proto: None,
            timeout: peer.0.config.default_dial_timeout,
            redial: Redial::of(peer.config()),
        }
    }

    /// Speaks another protocol than the peer's own.
    pub fn proto(mut self, proto: impl Proto) -> Self {
        self.proto = Some(Arc::new(proto));
        self
    }

    /// Sets the longest time that dialling may take, encryption included; zero: no limit. Default:
    /// the peer's `default_dial_timeout`.
    pub fn timeout(mut self, longest: Duration) -> Self {
        self.timeout = longest;
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
    /// let session = peer.dial("127.0.0.1:9090").redial(Redial::forever()).await?;
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

    /// Dials from this port of this machine. Default: the peer's `local_port`. A transport of your
    /// own does as it likes.
    pub fn local_port(mut self, port: u16) -> Self {
        if let Way::To(to) = &mut self.way {
            to.options.local_port = Some(port);
        }
        self
    }

    /// Encrypts the connection. Default: the peer's `tls_client`. A transport of your own has to do
    /// so itself: [`TlsClient::connect`].
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, tls: &TlsClient) -> Self {
        if let Way::To(to) = &mut self.way {
            to.tls = Some(tls.clone());
        }
        self
    }

    /// Encrypts nothing, whatever the peer's `tls_client` is.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn plain(mut self) -> Self {
        if let Way::To(to) = &mut self.way {
            to.tls = None;
        }
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
            let connector = self.way.connector(self.peer)?;
            connect::dial(shared, connector, self.timeout, proto, self.redial).await
        })
    }
}

impl fmt::Debug for Dial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match &self.way {
            Way::To(to) => to.address.clone(),
            Way::By(connector) => connector.target(),
        };
        f.debug_struct("Dial")
            .field("target", &target)
            .finish_non_exhaustive()
    }
}

impl Way {
    /// What opens the streams, as often as it takes.
    fn connector(self, peer: &Peer) -> Result<Arc<dyn Connect>, Error> {
        let to = match self {
            Self::By(connector) => return Ok(connector),
            Self::To(to) => *to,
        };
        let place = Place::parse(&to.address, peer.0.network)
            .map_err(|e| Error::config("the address cannot be dialled").with_source(e))?;
        if let Some(missing) = place.network().missing() {
            return Err(Error::config(missing));
        }
        Ok(Arc::new(Networked {
            place,
            options: to.options,
            #[cfg(feature = "tls")]
            tls: to.tls,
            #[cfg(feature = "tls")]
            handshake_timeout: peer.0.config.handshake_timeout,
        }))
    }
}

/// Dials a place on one of the networks.
struct Networked {
    place: Place,
    options: DialOptions,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
    #[cfg(feature = "tls")]
    handshake_timeout: Duration,
}

impl Connect for Networked {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async { Ok(self.open().await?.into_halves()) })
    }

    fn target(&self) -> String {
        self.place.to_string()
    }
}

impl Networked {
    async fn open(&self) -> io::Result<Stream> {
        let stream = socket::connect(&self.place, &self.options).await?;
        self.options.socket.apply_to(&stream)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let limit = self.handshake_timeout;
            let name = self.place.server_name();
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
