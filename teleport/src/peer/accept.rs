//! Listening, and taking connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Shared, connect};
use crate::error::{Error, ErrorKind};
use crate::plugin::Hooks;
use crate::proto::Proto;
use crate::socket::{Address, HostPort, Listener, bind_tcp};

/// How long to wait after a connection could not be taken; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Binds, tells the plugins, and takes connections in the background.
pub(super) async fn listen(
    shared: &Arc<Shared>,
    address: Option<&str>,
    proto: Arc<dyn Proto>,
) -> Result<Address, Error> {
    if shared.is_closing() {
        return Err(Error::closed("the peer is closed"));
    }
    let target = match (address, shared.config.listen_port) {
        (Some(address), _) => HostPort::parse(address)
            .map_err(|e| Error::config("the address cannot be listened on").with_source(e))?,
        (None, Some(port)) => {
            let host = shared
                .config
                .local_ip
                .map(|ip| ip.to_string())
                .unwrap_or_default();
            HostPort::new(host, port)
        }
        (None, None) => {
            return Err(Error::config(
                "listen_port is not set; set it in the builder (0 takes a free port), or name an \
                 address with listen_on",
            ));
        }
    };
    let listener = bind_tcp(&target, shared.family).await.map_err(|e| {
        Error::new(ErrorKind::Listen, format!("cannot listen on {target}")).with_source(e)
    })?;
    let bound = Listener::local_address(&listener);
    announce(shared, &bound)?;
    shared
        .tasks
        .spawn(serve(Arc::clone(shared), listener, proto));
    Ok(bound)
}

/// Tells the plugins of an address.
pub(super) fn announce(shared: &Shared, address: &Address) -> Result<(), Error> {
    let tables = shared.router.tables();
    for plugin in tables.hooks.of(Hooks::POST_LISTEN) {
        plugin.post_listen(address)?;
    }
    Ok(())
}

/// Takes connections until the peer is closed. No error of a single connection ends it.
pub(super) async fn serve<L: Listener>(
    shared: Arc<Shared>,
    mut listener: L,
    proto: Arc<dyn Proto>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                pause = FIRST_PAUSE;
                if !shared.router.load().hooks.any(Hooks::POST_ACCEPT) {
                    // Nothing to wait for: sessions appear in the order of their connections.
                    take(&shared, stream, &proto).await;
                    continue;
                }
                let (shared, proto) = (Arc::clone(&shared), Arc::clone(&proto));
                let tasks = shared.tasks.clone();
                tasks.spawn(async move { take(&shared, stream, &proto).await });
            }
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection was gone before it was taken");
            }
            Err(error) => {
                tracing::error!(%error, ?pause, "no connections can be taken; trying again");
                tokio::select! {
                    biased;
                    () = shared.closing.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Makes a session of a connection, or says why not.
async fn take<S>(shared: &Arc<Shared>, stream: S, proto: &Arc<dyn Proto>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if let Err(error) = connect::accepted(shared, stream, proto).await {
        let error = error.chain();
        tracing::info!(error = %error.escape_debug(), "a connection was refused");
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
