//! One timer a peer for what must not last: calls past their deadline, and other ends that do not
//! read.
//!
//! Only sessions that gave a reason are looked at, and the timer sleeps while there is none.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::inner::Inner;
use crate::lock;

/// Deadlines that lie closer together than this are taken in one look.
const GRAIN: Duration = Duration::from_millis(10);

/// How often a session whose queue is full is looked at.
const STALL_LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    state: Mutex<State>,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    watched: Vec<Weak<Inner>>,
    next: Option<Instant>,
    runs: bool,
}

/// Since when a session has not written, though there is something to write.
#[derive(Debug, Default)]
pub(super) struct Stall {
    written: u64,
    since: Option<Instant>,
}

impl Sweeper {
    /// Watches a session: because of a deadline, or because its queue is full.
    pub(super) fn watch(&self, inner: &Arc<Inner>, deadline: Option<Instant>) {
        let is_new = !inner.swept.swap(true, Ordering::SeqCst);
        let at = deadline.unwrap_or_else(|| Instant::now() + STALL_LOOK);
        let mut state = lock(&self.state);
        if is_new {
            state.watched.push(Arc::downgrade(inner));
        }
        if !state.runs {
            state.runs = true;
            state.next = Some(at);
            let shared = Arc::downgrade(&inner.shared);
            let wake = Arc::clone(&self.wake);
            let runs = Runs(shared.clone());
            inner.runtime.spawn(async move {
                run(shared, wake).await;
                drop(runs);
            });
        } else if state.next.is_none_or(|next| at < next) {
            state.next = Some(at);
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Looks at all that are watched, and notes when to look again.
    fn look(&self) {
        let watched = {
            let mut state = lock(&self.state);
            // Whoever comes up with a reason from now on asks for a look of its own.
            state.next = None;
            std::mem::take(&mut state.watched)
        };
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut kept = Vec::with_capacity(watched.len());
        for weak in watched {
            let Some(inner) = weak.upgrade() else {
                continue;
            };
            // A reason that comes up while we look registers the session anew.
            inner.swept.swap(false, Ordering::SeqCst);
            let mut again = inner.calls.sweep(now);
            if look_at_queue(&inner, now) {
                let at = now + STALL_LOOK;
                again = Some(again.map_or(at, |again| again.min(at)));
            }
            if let Some(at) = again {
                next = Some(next.map_or(at, |next| next.min(at)));
                if !inner.swept.swap(true, Ordering::SeqCst) {
                    kept.push(weak);
                }
            }
        }
        let mut state = lock(&self.state);
        state.watched.append(&mut kept);
        if let Some(at) = next {
            let at = at.max(now + GRAIN);
            state.next = Some(state.next.map_or(at, |asked| asked.min(at)));
        }
    }

    fn next(&self) -> Option<Instant> {
        lock(&self.state).next
    }
}

/// The timer runs as long as this lives: the next one to need it starts another, should its
/// runtime end before its peer.
struct Runs(Weak<crate::peer::Shared>);

impl Drop for Runs {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            lock(&shared.sweeper().state).runs = false;
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        // The timer finds its peer gone, and ends.
        self.wake.notify_one();
    }
}

/// Looks whether the other end reads; closes a session that has not for too long. Tells whether
/// it has to be looked at again.
fn look_at_queue(inner: &Arc<Inner>, now: Instant) -> bool {
    if !inner.out.is_full() {
        *lock(&inner.stalled) = Stall::default();
        return false;
    }
    let (written, queued) = inner.out.progress();
    let mut stall = lock(&inner.stalled);
    let since = match stall.since {
        Some(since) if stall.written == written => since,
        _ => {
            *stall = Stall {
                written,
                since: Some(now),
            };
            return true;
        }
    };
    drop(stall);
    if now.saturating_duration_since(since) < inner.bounds.stall {
        return true;
    }
    let waited = inner.bounds.stall;
    let reason =
        format!("the other end read nothing for {waited:?}, while {queued} bytes wait for it");
    tracing::warn!(remote = %inner.remote, reason, "session is closed");
    inner.abort(reason);
    false
}

/// The timer of a peer; ends with it.
async fn run(shared: Weak<crate::peer::Shared>, wake: Arc<Notify>) {
    loop {
        let Some(next) = shared.upgrade().map(|shared| shared.sweeper().next()) else {
            return;
        };
        match next {
            None => wake.notified().await,
            Some(at) => {
                tokio::select! {
                    () = tokio::time::sleep_until(at) => {
                        let Some(shared) = shared.upgrade() else { return };
                        shared.sweeper().look();
                    }
                    () = wake.notified() => {}
                }
            }
        }
    }
}
