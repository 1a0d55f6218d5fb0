//! Taking connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::listen::announce;
use super::{Peer, Shared, connect};
use crate::error::Error;
use crate::plugin::Hooks;
use crate::proto::Proto;
use crate::session::Session;
#[cfg(feature = "tls")]
use crate::socket::tls::TlsServer;
use crate::socket::{Listener, Stream};

impl Peer {
    /// Takes the connections of a listener until the peer is closed.
    ///
    /// # Errors
    ///
    /// A plugin refused the address, or the peer is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes no more connections. The sessions there are go on.
    pub async fn serve_listener<L: Listener>(&self, listener: L) -> Result<(), Error> {
        self.serve_listener_with(listener, Arc::clone(&self.0.proto))
            .await
    }

    /// [`serve_listener`](Self::serve_listener) for another protocol than the peer's own.
    ///
    /// # Errors
    ///
    /// As for [`serve_listener`](Self::serve_listener).
    ///
    /// # Cancel safety
    ///
    /// As of [`serve_listener`](Self::serve_listener).
    pub async fn serve_listener_with<L: Listener>(
        &self,
        listener: L,
        proto: impl Proto,
    ) -> Result<(), Error> {
        if self.0.is_closing() {
            return Err(Error::closed("the peer is closed"));
        }
        announce(&self.0, &listener.local_address())?;
        let how = How {
            proto: Arc::new(proto),
            #[cfg(feature = "tls")]
            tls: self.0.tls_server.clone(),
        };
        let stop = self.0.closing.child_token();
        serve(Arc::clone(&self.0), listener, how, stop).await;
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
}

/// How long to wait after a connection could not be taken; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many connections in a row may be gone before they are taken, until a pause is made.
const GONE_IN_A_ROW: u32 = 64;

/// What the connections of a listener become.
#[derive(Clone)]
pub(super) struct How {
    pub(super) proto: Arc<dyn Proto>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<TlsServer>,
}

impl How {
    /// Whether a connection takes time before it is a session.
    fn takes_time(&self, shared: &Shared) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        shared.router.load().hooks.any(Hooks::POST_ACCEPT)
    }
}

/// Takes connections until it is stopped. No error of a single connection ends it, and none of the
/// system: those pass, or somebody reads about them in the log.
pub(super) async fn serve<L: Listener>(
    shared: Arc<Shared>,
    mut listener: L,
    how: How,
    stop: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    let mut gone = 0;
    loop {
        let taken = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            taken = take(&shared, &mut listener, &how) => taken,
        };
        let error = match taken {
            Ok(()) => {
                (pause, gone) = (FIRST_PAUSE, 0);
                continue;
            }
            Err(error) => error,
        };
        if is_of_one_connection(&error) && gone < GONE_IN_A_ROW {
            tracing::debug!(%error, "a connection was gone before it was taken");
            gone += 1;
            continue;
        }
        let address = listener.local_address();
        tracing::error!(%error, %address, ?pause, "no connections can be taken; trying again");
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Takes a connection and makes a session of it, in the background where that takes time.
async fn take<L: Listener>(shared: &Arc<Shared>, listener: &mut L, how: &How) -> io::Result<()> {
    if !how.takes_time(shared) {
        let stream = listener.accept().await?;
        if how.takes_time(shared) {
            // A plugin came while nobody connected.
            let permit = Arc::clone(&shared.handshakes).try_acquire_owned().ok();
            spawn(shared, Stream::new(stream), how, permit);
        } else {
            // Nothing to wait for: sessions appear in the order of their connections.
            establish(shared, Stream::new(stream), how).await;
        }
        return Ok(());
    }
    // Without room for one more handshake connections wait in the system's backlog.
    let permit = Arc::clone(&shared.handshakes).acquire_owned().await.ok();
    let stream = listener.accept().await?;
    spawn(shared, Stream::new(stream), how, permit);
    Ok(())
}

fn spawn(
    shared: &Arc<Shared>,
    stream: Stream,
    how: &How,
    permit: Option<tokio::sync::OwnedSemaphorePermit>,
) {
    let (owned, how) = (Arc::clone(shared), how.clone());
    shared.tasks.spawn(async move {
        establish(&owned, stream, &how).await;
        drop(permit);
    });
}

/// Makes a session of a connection, or says why not.
async fn establish(shared: &Arc<Shared>, stream: Stream, how: &How) {
    let remote = stream.remote_address();
    if let Err(error) = encrypt_and_accept(shared, stream, how).await {
        let error = error.chain();
        tracing::info!(error = %error.escape_debug(), %remote, "a connection was refused");
    }
}

async fn encrypt_and_accept(shared: &Arc<Shared>, stream: Stream, how: &How) -> Result<(), Error> {
    #[cfg(feature = "tls")]
    let (stream, spent) = match &how.tls {
        Some(tls) => {
            let begun = tokio::time::Instant::now();
            let stream = encrypt(shared, stream, tls).await?;
            (stream, begun.elapsed())
        }
        None => (stream, Duration::ZERO),
    };
    #[cfg(not(feature = "tls"))]
    let spent = Duration::ZERO;
    connect::accepted(shared, stream, &how.proto, spent).await?;
    Ok(())
}

/// Waits until no connection in its handshake is of interest any more. A shutdown still takes those
/// that came before it, if they are quick.
#[cfg(feature = "tls")]
async fn gone(shared: &Shared) {
    shared.closing.cancelled().await;
    if shared.is_draining() {
        shared.turns_away().await;
    }
}

/// Encrypts a connection, within the time that a handshake has.
#[cfg(feature = "tls")]
async fn encrypt(shared: &Shared, stream: Stream, tls: &TlsServer) -> Result<Stream, Error> {
    use crate::error::ErrorKind;

    let limit = shared.config.handshake_timeout;
    let failed = |e: io::Error| Error::new(ErrorKind::Io, "no TLS").with_source(e);
    let before = shared.config.socket.apply_to(&stream);
    before
        .map_err(|e| Error::new(ErrorKind::Io, "the socket options do not hold").with_source(e))?;
    tokio::select! {
        biased;
        () = gone(shared) => Err(Error::closed("the peer is closed")),
        encrypted = tokio::time::timeout(limit, tls.accept(stream)) => match encrypted {
            Ok(encrypted) => encrypted.map_err(failed),
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("the TLS handshake took longer than {limit:?}"),
            )),
        },
    }
}

/// Whether an error concerns one connection alone, so that the next can be taken at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
