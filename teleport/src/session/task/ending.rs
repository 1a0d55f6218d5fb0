//! The end of a connection: what is left is written, and everybody is told.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::Task;
use crate::plugin::Hooks;
use crate::rerror::Rerror;
use crate::session::Session;
use crate::session::control::Notice;
use crate::session::events::SessionEventKind;
use crate::session::inner::Inner;

/// How long the other end may take nothing of what is left for it when a connection ends.
pub(in crate::session) const LAST_WRITES: Duration = Duration::from_secs(5);

/// How often it may take something in that time, and something more.
const LAST_ROUNDS: usize = 12;

/// How long the other end may take to close its side after this one.
const LINGER: Duration = Duration::from_secs(1);

/// How many bytes of the other end are read to no end at most.
const LINGER_BYTES: usize = 1 << 20;

/// Ends a session whose reading is over.
pub(super) async fn run_out(task: Task, end: End) {
    let inner = &end.0;
    let Task { read, reading, .. } = task;
    let may_reset = !inner.is_aborted() && inner.local.socket_addr().is_some();
    let mut read = reading.then_some(read);
    inner.unread.store(0, Ordering::Relaxed);
    if let Some(drain) = inner.drain.get().filter(|_| inner.is_closing()) {
        let pushes_dropped = drain.pushes_dropped();
        if inner.tell(Notice::Gone { pushes_dropped }).is_err() {
            tracing::debug!(remote = %inner.remote, "the other end cannot be told of the end");
        }
    }
    finish(inner, &mut read).await;
    if let Some(read) = read.filter(|_| may_reset && !inner.out.was_cut()) {
        tokio::select! {
            () = linger(read) => {}
            () = inner.shared.over() => {}
        }
    }
}

/// Sees to it that a session whose task is gone, by a panic or with its runtime, is over for
/// everybody else too.
pub(super) struct End(pub(super) Arc<Inner>);

impl Drop for End {
    fn drop(&mut self) {
        let inner = &self.0;
        inner.forget_age();
        if !inner.is_closed() {
            const REASON: &str = "the task of the session ended early";
            inner.set_reason(REASON);
            inner.calls.close();
            inner.out.cut();
            match inner.line() {
                Some(line) => line.task_gone(inner, REASON),
                None => {
                    inner.tell_closed();
                    inner.shared.hub().retire(inner);
                }
            }
            inner.finish();
        }
    }
}

/// Writes what is left, shuts the connection, and runs the last hooks.
async fn finish(inner: &Arc<Inner>, read: &mut Option<Box<dyn AsyncRead + Send + Unpin>>) {
    inner.calls.close();
    if inner.is_aborted() {
        inner.out.close();
    }
    let mut written = None;
    for round in 1.. {
        let shutdown = poll_fn(|cx| {
            inner.waker.register(cx.waker());
            if inner.is_aborted() {
                inner.out.cut();
                return Poll::Ready(());
            }
            if inner.out.poll_shutdown(cx).is_ready() {
                return Poll::Ready(());
            }
            // Two ends that end at once must not wait for each other's reading.
            drop_what_comes(cx, read);
            Poll::Pending
        });
        if tokio::time::timeout(LAST_WRITES, shutdown).await.is_ok() {
            break;
        }
        let (now, left) = inner.out.progress();
        if written.replace(now) == Some(now) || round == LAST_ROUNDS {
            inner.out.cut();
            let remote = &inner.remote;
            tracing::warn!(%remote, left, "the other end did not read what was left for it");
            break;
        }
    }
    let reason = inner.close_reason().unwrap_or_default();
    tracing::debug!(remote = %inner.remote, local = %inner.local, reason, "connection closed");
    match inner.line() {
        None => {
            inner.shared.hub().retire(inner);
            inner.run_last_hooks().await;
            inner.tell_closed();
        }
        Some(line) if line.ends_with(inner) => line.finish(Some(inner)).await,
        // The session goes on without this connection.
        Some(_) => {}
    }
    inner.finish();
}

impl Inner {
    /// Tells the plugins that the session is gone.
    pub(in crate::session) async fn run_last_hooks(self: &Arc<Self>) {
        let mut session = Session(Arc::clone(self));
        let tables = self.shared.router().tables();
        let hooks = tables
            .hooks
            .run(Hooks::POST_DISCONNECT, &mut session, |plugin, session| {
                plugin.post_disconnect(session)
            });
        let failed = tokio::select! {
            biased;
            result = hooks => result.err(),
            () = self.shared.over() => {
                let hooks_cut = &self.shared.tally().hooks_cut;
                hooks_cut.fetch_add(1, Ordering::SeqCst);
                Some(Rerror::internal("it did not return before the deadline of the shutdown"))
            }
        };
        if let Some(rerror) = failed {
            tracing::warn!(remote = %self.remote, error = %rerror, "a plugin failed after the end");
        }
    }

    /// Tells whoever listens that the session is closed.
    fn tell_closed(self: &Arc<Self>) {
        self.shared.events().tell(|| {
            let reason = self.close_reason().unwrap_or_default();
            let kind = SessionEventKind::Closed {
                reason,
                pushes_lost: self.pushes_lost.load(Ordering::Relaxed),
            };
            (Session(Arc::clone(self)), kind)
        });
    }
}

/// Reads what there is, to no end. `None` is left when there will be no more.
fn drop_what_comes(cx: &mut Context<'_>, read: &mut Option<Box<dyn AsyncRead + Send + Unpin>>) {
    let mut nowhere = [0; 4096];
    for _ in 0..super::READS_PER_WAKE {
        let Some(open) = read else {
            return;
        };
        let mut buf = ReadBuf::new(&mut nowhere);
        match Pin::new(open).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
            Poll::Ready(_) => *read = None,
            Poll::Pending => return,
        }
    }
    cx.waker().wake_by_ref();
}

/// Reads on, to no end, until the other end has closed its side too. A TCP connection that is
/// dropped with bytes unread is reset, and takes along what the other end has not read yet.
pub(in crate::session) async fn linger(mut read: Box<dyn AsyncRead + Send + Unpin>) {
    let drain = async {
        let mut nowhere = [0; 4096];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match read.read(&mut nowhere).await {
                Ok(n) if n > 0 => left = left.saturating_sub(n),
                _ => return,
            }
        }
    };
    // Whoever still sends after this has been told long enough.
    let _ = tokio::time::timeout(LINGER, drain).await;
}
