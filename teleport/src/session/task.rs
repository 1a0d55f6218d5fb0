//! The task of a session: reads, takes messages out, and looks after the outbound queue.
//!
//! It reads into a buffer of its thread and keeps only what is cut off at the end, so an idle
//! session holds no buffer. All messages of a read are taken out before anything waits, within a
//! budget per wake. It never waits for outbound room. It stops reading for one reason only: as
//! many handlers wait as may, and no call of this side waits for a reply that would have to be
//! read first. A stop that lasts ends when the callers of those handlers may have given up.

mod budget;
mod ending;
mod first;
mod reading;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::AsyncRead;

use self::ending::{End, run_out};
pub(super) use self::ending::{LAST_WRITES, linger};
use self::first::First;
use super::inner::{Inner, LOOK_DRAIN, LOOK_OUT};
use crate::proto::Unpack;

/// How many reads one wake does at most.
const READS_PER_WAKE: usize = 4;

struct Task {
    inner: Arc<Inner>,
    read: Box<dyn AsyncRead + Send + Unpin>,
    unpack: Box<dyn Unpack>,
    /// What was read and not taken out.
    rest: BytesMut,
    /// Whether whole messages may be in `rest`.
    rest_is_ready: bool,
    /// The outbound queue wants to be looked at: it is stuck, or a promise is due.
    out_waits: bool,
    reading: bool,
    /// Nobody has said anything yet that could be read.
    is_new: bool,
    /// The time that the first message has, once it has begun.
    first: Option<Box<First>>,
}

/// Runs a session until it is closed, and tells everybody.
pub(crate) fn start(
    inner: Arc<Inner>,
    read: Box<dyn AsyncRead + Send + Unpin>,
    unpack: Box<dyn Unpack>,
    rest: BytesMut,
    is_new: bool,
) {
    let rest_is_ready = !rest.is_empty();
    let mut task = Task {
        inner: Arc::clone(&inner),
        read,
        unpack,
        rest,
        rest_is_ready,
        out_waits: true,
        reading: true,
        is_new,
        first: None,
    };
    let tracker = inner.shared.tasks().clone();
    let end = End(inner);
    tracker.spawn(async move {
        poll_fn(|cx| task.poll_caught(cx)).await;
        // Boxed: what only an end needs must not be part of every session that lives.
        Box::pin(run_out(task, end)).await;
    });
}

impl Task {
    /// Polls the session. Handlers and hooks answer for their panics themselves; what is left are
    /// filters, protocols and drops of the user's: those cost their connection, and no other.
    fn poll_caught(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.poll_session(cx)));
        polled.unwrap_or_else(|panic| {
            let text = crate::panic_text(&*panic);
            let reason = format!("a panic while messages were read: {}", text.escape_debug());
            tracing::error!(remote = %self.inner.remote, reason, "session is closed");
            self.inner.abort(reason);
            Poll::Ready(())
        })
    }

    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.waker.register(cx.waker());
        let attention = self.inner.take_attention();
        if self.inner.is_aborted() {
            return Poll::Ready(());
        }
        if attention & LOOK_DRAIN != 0 {
            self.inner.begin_drain();
        }
        if attention & LOOK_OUT != 0 || self.out_waits {
            self.look_out(cx);
        }
        if self.reading && !self.inner.has_failed() && !self.stays_paused() {
            self.poll_reading(cx);
        }
        if self.inner.out.is_closed() {
            self.inner.fail_writing();
            return self.poll_end();
        }
        if self.inner.is_open() {
            Poll::Pending
        } else {
            self.poll_end()
        }
    }

    /// Whether all is done that a closing session still does.
    fn poll_end(&self) -> Poll<()> {
        let inner = &self.inner;
        if inner.is_aborted() {
            return Poll::Ready(());
        }
        if inner.running() > 0 {
            return Poll::Pending;
        }
        if inner.has_failed() || inner.calls.close_if_idle() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether the read loop stopped, and there is no reason yet to go on.
    fn stays_paused(&self) -> bool {
        if !self.inner.paused.load(Ordering::SeqCst) {
            return false;
        }
        self.inner.paused.store(false, Ordering::SeqCst);
        is_paused(&self.inner)
    }

    /// Looks after the outbound queue.
    fn look_out(&mut self, cx: &mut Context<'_>) {
        self.out_waits = match self.inner.out.poll_work(cx) {
            Poll::Pending => true,
            Poll::Ready(false) => false,
            Poll::Ready(true) => {
                // The callers that were woken with this promise are in the run queue before us.
                cx.waker().wake_by_ref();
                true
            }
        };
    }
}

/// Whether reading has to stop until a handler is done. While a call of this side waits for its
/// reply it must not: the handlers may be waiting for that reply.
fn is_paused(inner: &Arc<Inner>) -> bool {
    if !inner.is_overloaded() {
        return false;
    }
    if inner.must_read() {
        return false;
    }
    inner.paused.store(true, Ordering::SeqCst);
    if !inner.is_overloaded() || inner.must_read() {
        inner.paused.store(false, Ordering::SeqCst);
        return false;
    }
    inner.watch_pause();
    true
}
