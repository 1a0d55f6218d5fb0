//! From a stream to a session.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

use super::Shared;
use crate::error::{Error, ErrorKind};
use crate::plugin::Hooks;
use crate::proto::Proto;
use crate::session::{PreSession, Session};
use crate::socket::{Family, HostPort, Socket, connect_tcp};

/// Dials by tcp.
pub(super) async fn dial(
    shared: &Arc<Shared>,
    address: &str,
    proto: Arc<dyn Proto>,
) -> Result<Session, Error> {
    let target = HostPort::parse(address)
        .map_err(|e| Error::config("the address cannot be dialled").with_source(e))?;
    let timeout = shared.config.default_dial_timeout;
    let stream = limited(timeout, address, connect(shared, &target))
        .await?
        .map_err(|e| {
            Error::new(ErrorKind::Dial, format!("cannot dial {address}")).with_source(e)
        })?;
    dialled(shared, stream, &proto).await
}

async fn connect(shared: &Shared, target: &HostPort) -> std::io::Result<TcpStream> {
    let Some(local) = shared.config.local_ip else {
        return connect_tcp(target, shared.family).await;
    };
    let family = if local.is_ipv4() {
        Family::V4
    } else {
        Family::V6
    };
    let mut last = None;
    for address in target.resolve_to_dial(family).await? {
        let socket = if local.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.bind((local, 0).into())?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into()))
}

async fn limited<T>(
    timeout: Duration,
    address: &str,
    work: impl Future<Output = T>,
) -> Result<T, Error> {
    if timeout.is_zero() {
        return Ok(work.await);
    }
    tokio::time::timeout(timeout, work).await.map_err(|_| {
        Error::new(
            ErrorKind::Timeout,
            format!("{address} did not answer within {timeout:?}"),
        )
    })
}

/// Makes a session of a stream that this side opened.
pub(super) async fn dialled<S>(
    shared: &Arc<Shared>,
    stream: S,
    proto: &Arc<dyn Proto>,
) -> Result<Session, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    establish(shared, stream, proto, true).await
}

/// Makes a session of a stream that the other side opened.
pub(super) async fn accepted<S>(
    shared: &Arc<Shared>,
    stream: S,
    proto: &Arc<dyn Proto>,
) -> Result<Session, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    establish(shared, stream, proto, false).await
}

async fn establish<S>(
    shared: &Arc<Shared>,
    stream: S,
    proto: &Arc<dyn Proto>,
    is_dialled: bool,
) -> Result<Session, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if shared.is_closing() {
        return Err(Error::closed("the peer is closed"));
    }
    shared
        .config
        .socket
        .apply_to(&stream)
        .map_err(|e| Error::new(ErrorKind::Io, "the socket options do not hold").with_source(e))?;
    let socket = Socket::new(stream, &**proto, Arc::clone(&shared.handshake_env));
    let mut pre = PreSession::new(Arc::clone(shared), socket, Arc::clone(proto), is_dialled);
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
