//! What a shutdown counts: every message that was accepted ends in exactly one way.
//!
//! Nothing is counted before a shutdown begins. A session's task begins the counting between two
//! messages, so none is missed and none counted twice; the sums are taken once, when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::control::Notice;
use super::inner::Inner;
use super::line::Line;

/// The counts of one session.
#[derive(Debug)]
pub(crate) struct Drain {
    /// The handlers that ran when the shutdown began, and those started since.
    accepted: AtomicUsize,
    /// The handlers that were dropped where they waited.
    cut: AtomicUsize,
    /// Those whose driver was dropped, and which go on elsewhere.
    apart: AtomicUsize,
    refused: AtomicUsize,
    pushes_dropped: AtomicUsize,
    /// Whether it stands for its session: not so the connections that were given up before.
    is_session: bool,
    summed: AtomicBool,
}

impl Drain {
    pub(super) fn new(running: usize, is_session: bool) -> Self {
        Self {
            accepted: AtomicUsize::new(running),
            cut: AtomicUsize::new(0),
            apart: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            pushes_dropped: AtomicUsize::new(0),
            is_session,
            summed: AtomicBool::new(false),
        }
    }

    pub(super) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::SeqCst);
    }

    /// The pushes that came and were not handled.
    pub(super) fn pushes_dropped(&self) -> usize {
        self.pushes_dropped.load(Ordering::SeqCst)
    }
}

/// The sums of all sessions of a peer that shuts down.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sessions: AtomicUsize,
    pub(crate) sessions_cut: AtomicUsize,
    pub(crate) handlers: AtomicUsize,
    pub(crate) handlers_cut: AtomicUsize,
    pub(crate) handlers_left: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    pub(crate) pushes_dropped: AtomicUsize,
    pub(crate) calls: AtomicUsize,
    pub(crate) calls_cut: AtomicUsize,
    pub(crate) replies_lost: AtomicUsize,
    pub(crate) bytes_unsent: AtomicUsize,
    pub(crate) hooks_cut: AtomicUsize,
    /// Over how many milliseconds the other ends had better spread when they dial again.
    spread_ms: AtomicU64,
    /// Told when a handler that was to be dropped is gone.
    dropped: Notify,
}

/// How much of a time to spread over each session adds: with one in 400 us, 250 dial in any 100 ms.
const SPREAD_EACH: Duration = Duration::from_micros(400);

impl Tally {
    /// Notes how many other ends will be told, before they are.
    pub(crate) fn spread_for(&self, sessions: usize) {
        let sessions = u32::try_from(sessions).unwrap_or(u32::MAX);
        let spread = SPREAD_EACH.saturating_mul(sessions);
        let spread_ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        self.spread_ms.store(spread_ms.max(1), Ordering::SeqCst);
    }

    /// A handler that was to be dropped is gone.
    pub(super) fn look_again(&self) {
        self.dropped.notify_waiters();
    }

    /// Waits until the handlers of these connections are dropped, as far as they let themselves, and
    /// the replies that waited for room are known to be lost.
    pub(crate) async fn are_dropped(&self, connections: &[Arc<Inner>]) {
        loop {
            let told = self.dropped.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            let is_done = |inner: &Arc<Inner>| {
                inner.cuts.are_done() && inner.parked.load(Ordering::SeqCst) == 0
            };
            if connections.iter().all(is_done) {
                return;
            }
            told.await;
        }
    }
}

impl Inner {
    /// What the other end is told when the shutdown begins.
    pub(super) fn going_away(&self) -> Notice<'static> {
        let spread_ms = self.shared.tally().spread_ms.load(Ordering::SeqCst);
        Notice::GoingAway {
            spread_ms: (spread_ms > 0).then_some(spread_ms),
        }
    }

    /// Tells this session from all others.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether the counting has begun.
    pub(crate) fn is_counting(&self) -> bool {
        self.drain.get().is_some()
    }

    /// Counts from now on. By the session's task; or by whoever cuts it off, when the task was at
    /// its last writes already and told nobody.
    pub(crate) fn begin_count(&self) {
        self.calls.count();
        let is_newest = |line: &Arc<Line>| {
            let newest = line.newest();
            newest.is_some_and(|newest| newest.number == self.number)
        };
        self.drain.get_or_init(|| {
            let is_session = !self.is_closed() && self.line().is_none_or(is_newest);
            Box::new(Drain::new(self.running(), is_session))
        });
    }

    /// This connection, and all others of its session that are not at their end.
    pub(crate) fn connections(self: &Arc<Self>) -> Vec<Arc<Self>> {
        let mut all = self.line().map_or_else(Vec::new, |line| line.alive());
        all.push(Arc::clone(self));
        all
    }

    /// Drops the handlers that wait, and those that come to it.
    pub(crate) fn cut_handlers(&self) {
        self.cuts.cut();
    }

    /// Whether handlers are dropped, at the deadline of a shutdown.
    pub(crate) fn is_cut(&self) -> bool {
        self.cuts.is_cut()
    }

    /// How many handlers run.
    pub(crate) fn handlers(&self) -> usize {
        self.running()
    }

    /// A handler that was to be dropped may be gone, or a reply that waited.
    #[inline]
    pub(super) fn look_again_if_cut(&self) {
        if self.is_cut() {
            self.shared.tally().look_again();
        }
    }

    /// A handler is dropped.
    pub(super) fn count_cut(&self) {
        if let Some(drain) = self.drain.get() {
            drain.cut.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A handler goes on whose driver is dropped. Tells whether it was counted as cut off.
    #[cold]
    pub(super) fn cut_goes_on(&self) -> bool {
        let drain = self.drain.get().filter(|_| self.is_cut());
        drain.is_some_and(|drain| {
            drain.apart.fetch_add(1, Ordering::SeqCst);
            true
        })
    }

    /// One of those came to its end.
    #[cold]
    pub(super) fn cut_ends(&self) {
        if let Some(drain) = self.drain.get() {
            drain.apart.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// A push is not handled.
    #[cold]
    pub(super) fn count_dropped_push(&self) {
        if let Some(drain) = self.drain.get() {
            drain.pushes_dropped.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The connection is at its end. Handlers that still run are waited for by a shutdown.
    pub(super) fn end_count(self: &Arc<Self>) {
        if self.running() == 0 {
            self.sum_up();
        } else {
            self.shared.note_apart(self);
        }
    }

    /// Adds what this session counted to the sums of its peer; once.
    pub(crate) fn sum_up(&self) {
        let Some(drain) = self.drain.get() else {
            return;
        };
        if drain.summed.swap(true, Ordering::SeqCst) {
            return;
        }
        let tally = self.shared.tally();
        let add = |sum: &AtomicUsize, n| {
            sum.fetch_add(n, Ordering::SeqCst);
        };
        let calls = self.calls.counted();
        let left = self.running();
        add(&tally.sessions, usize::from(drain.is_session));
        let was_cut = drain.is_session && self.out.was_cut();
        add(&tally.sessions_cut, usize::from(was_cut));
        add(&tally.handlers, drain.accepted.load(Ordering::SeqCst));
        let apart = drain.apart.load(Ordering::SeqCst);
        let cut = drain.cut.load(Ordering::SeqCst) + left;
        add(&tally.handlers_cut, cut.saturating_sub(apart));
        add(&tally.handlers_left, left);
        add(&tally.pushes_dropped, drain.pushes_dropped());
        add(&tally.refused, drain.refused.load(Ordering::SeqCst));
        add(&tally.calls, calls.all);
        add(&tally.calls_cut, calls.cut);
        add(&tally.bytes_unsent, self.out.dropped());
    }

    /// A reply found its connection gone.
    pub(super) fn count_lost_reply(&self) {
        if self.drain.get().is_some() {
            let lost = &self.shared.tally().replies_lost;
            lost.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether nothing of this session is under way. What moves while it is, is told by the bytes
    /// written so far.
    pub(crate) fn stillness(&self) -> Option<u64> {
        let (written, queued) = self.out.progress();
        let still = queued == 0 && self.running() == 0 && self.calls.in_flight() == 0;
        (still && self.is_counting()).then_some(written)
    }
}
