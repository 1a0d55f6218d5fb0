//! From a stream to a session.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::context::DialCtx;
use crate::error::{Error, ErrorKind};
use crate::plugin::Hooks;
use crate::proto::Proto;
use crate::rerror::{Rerror, code};
use crate::session::{Line, PreSession, Redial, Session};
use crate::socket::{Connect, Halves, Socket, Stream};

/// Opens a stream and makes a session of it.
pub(super) async fn dial(
    shared: &Arc<Shared>,
    connector: Arc<dyn Connect>,
    timeout: Duration,
    proto: Arc<dyn Proto>,
    redial: Redial,
) -> Result<Session, Error> {
    let halves = open(shared, &*connector, timeout, false).await?;
    let mut pre = pre_session(shared, halves, &proto, true)?;
    if redial.times != 0 {
        let line = Line::new(Arc::clone(shared), connector, timeout, proto, redial);
        pre.on_line(&line, None);
    }
    Ok(agree(pre).await?.start())
}

impl Shared {
    /// Opens another connection of a session, and lets the plugins have their say.
    pub(crate) async fn open_again(
        self: &Arc<Self>,
        connector: &dyn Connect,
        timeout: Duration,
        proto: &Arc<dyn Proto>,
        line: &Arc<Line>,
    ) -> Result<PreSession, Error> {
        let halves = open(self, connector, timeout, true).await?;
        let mut pre = pre_session(self, halves, proto, true)?;
        pre.on_line(line, Some(line.heritage()));
        agree(pre).await
    }
}

/// Opens a stream, within the time that dialling may take, unless a plugin is against it.
async fn open(
    shared: &Shared,
    connector: &dyn Connect,
    timeout: Duration,
    is_redial: bool,
) -> Result<Halves, Error> {
    if shared.is_closing() {
        return Err(Error::closed("the peer is closed"));
    }
    let target = connector.target();
    let tables = shared.router.tables();
    if tables.hooks.any(Hooks::PRE_DIAL) {
        let mut ctx = DialCtx::new(target.clone(), is_redial);
        let run = tables.hooks.run(Hooks::PRE_DIAL, &mut ctx, |plugin, ctx| {
            plugin.pre_dial(ctx)
        });
        let what = "plugins took longer before the dial than";
        consent(shared, run, what, Duration::ZERO).await?;
    }
    limited(timeout, &target, connector.connect())
        .await?
        .map_err(|e| Error::new(ErrorKind::Dial, format!("cannot dial {target}")).with_source(e))
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
pub(super) async fn dialled(
    shared: &Arc<Shared>,
    stream: Stream,
    proto: &Arc<dyn Proto>,
) -> Result<Session, Error> {
    let halves = apart(shared, stream)?;
    let pre = pre_session(shared, halves, proto, true)?;
    Ok(agree(pre).await?.start())
}

/// Makes a session of a stream that the other side opened. What its encryption has `spent` is taken off the
/// time that its handshake has.
pub(super) async fn accepted(
    shared: &Arc<Shared>,
    stream: Stream,
    proto: &Arc<dyn Proto>,
    spent: Duration,
) -> Result<Session, Error> {
    let halves = apart(shared, stream)?;
    let pre = pre_session(shared, halves, proto, false)?;
    Ok(agree_within(pre, spent).await?.start())
}

/// Takes a stream apart that got the peer's options.
fn apart(shared: &Shared, stream: Stream) -> Result<Halves, Error> {
    shared
        .config
        .socket
        .apply_to(&stream)
        .map_err(|e| Error::new(ErrorKind::Io, "the socket options do not hold").with_source(e))?;
    Ok(stream.into_halves())
}

/// Makes a new connection what plugins see.
fn pre_session(
    shared: &Arc<Shared>,
    halves: Halves,
    proto: &Arc<dyn Proto>,
    is_dialled: bool,
) -> Result<PreSession, Error> {
    // A connection that was taken before a shutdown began is not turned away by it.
    if shared.is_closing() && (is_dialled || !shared.is_draining()) {
        return Err(Error::closed("the peer is closed"));
    }
    let socket = Socket::from_halves(halves, &**proto, Arc::clone(&shared.handshake_env));
    let (shared, proto) = (Arc::clone(shared), Arc::clone(proto));
    Ok(PreSession::new(shared, socket, proto, is_dialled))
}

/// Lets the plugins have their say about a new connection.
async fn agree(pre: PreSession) -> Result<PreSession, Error> {
    agree_within(pre, Duration::ZERO).await
}

async fn agree_within(mut pre: PreSession, spent: Duration) -> Result<PreSession, Error> {
    let shared = Arc::clone(pre.shared());
    let is_dialled = pre.is_dialled();
    let tables = shared.router.tables();
    let hook = if is_dialled {
        Hooks::POST_DIAL
    } else {
        Hooks::POST_ACCEPT
    };
    if tables.hooks.any(hook) {
        let run = tables.hooks.run(
            hook,
            &mut pre,
            match is_dialled {
                true => |plugin, pre| plugin.post_dial(pre),
                false => |plugin, pre| plugin.post_accept(pre),
            },
        );
        let what = "the handshake took longer than";
        if let Err(error) = consent(&shared, run, what, spent).await {
            let error = pre.refused(error);
            pre.shut().await;
            return Err(error);
        }
    }
    Ok(pre)
}

/// Waits for the word of the plugins, for so long as they may take; `too_long` says what did.
async fn consent(
    shared: &Shared,
    run: impl Future<Output = Result<(), Rerror>>,
    too_long: &str,
    spent: Duration,
) -> Result<(), Error> {
    let limit = shared.config.handshake_timeout;
    let done = tokio::select! {
        biased;
        done = tokio::time::timeout(limit.saturating_sub(spent), run) => done,
        () = shared.turns_away() => Ok(Err(Rerror::from_code(code::SERVICE_UNAVAILABLE)
            .with_reason("the peer is shutting down"))),
    };
    match done {
        Ok(agreed) => agreed.map_err(Error::refused),
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            format!("{too_long} {limit:?}"),
        )),
    }
}
