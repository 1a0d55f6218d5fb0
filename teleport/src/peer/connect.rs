//! From a stream to a session.

use std::sync::Arc;

use super::Shared;
use crate::error::{Error, ErrorKind};
use crate::plugin::Hooks;
use crate::proto::Proto;
use crate::session::{PreSession, Session};
use crate::socket::{Socket, Stream};

/// Makes a session of a stream that this side opened.
pub(super) async fn dialled(
    shared: &Arc<Shared>,
    stream: Stream,
    proto: &dyn Proto,
) -> Result<Session, Error> {
    establish(shared, stream, proto, true).await
}

/// Makes a session of a stream that the other side opened.
pub(super) async fn accepted(
    shared: &Arc<Shared>,
    stream: Stream,
    proto: &dyn Proto,
) -> Result<Session, Error> {
    establish(shared, stream, proto, false).await
}

async fn establish(
    shared: &Arc<Shared>,
    stream: Stream,
    proto: &dyn Proto,
    is_dialled: bool,
) -> Result<Session, Error> {
    if shared.is_closing() {
        return Err(Error::closed("the peer is closed"));
    }
    shared
        .config
        .socket
        .apply_to(&stream)
        .map_err(|e| Error::new(ErrorKind::Io, "the socket options do not hold").with_source(e))?;
    let socket = Socket::from_halves(
        stream.into_halves(),
        proto,
        Arc::clone(&shared.handshake_env),
    );
    let mut pre = PreSession::new(Arc::clone(shared), socket, proto.version(), is_dialled);
    let tables = shared.router.tables();
    let hook = if is_dialled {
        Hooks::POST_DIAL
    } else {
        Hooks::POST_ACCEPT
    };
    if tables.hooks.any(hook) {
        let timeout = shared.config.handshake_timeout;
        let run = tables.hooks.run(
            hook,
            &mut pre,
            match is_dialled {
                true => |plugin, pre| plugin.post_dial(pre),
                false => |plugin, pre| plugin.post_accept(pre),
            },
        );
        let refused = match tokio::time::timeout(timeout, run).await {
            Ok(Ok(())) => None,
            Ok(Err(rerror)) => Some(Error::refused(rerror)),
            Err(_) => Some(Error::new(
                ErrorKind::Timeout,
                format!("the handshake took longer than {timeout:?}"),
            )),
        };
        if let Some(error) = refused {
            pre.shut().await;
            return Err(error);
        }
    }
    Ok(pre.start())
}
