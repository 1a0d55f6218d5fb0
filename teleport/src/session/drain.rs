//! What a shutdown counts: every message that was accepted ends in exactly one way.
//!
//! Nothing is counted before a shutdown begins. A session's task begins the counting between two
//! messages, so none is missed and none counted twice; the sums are taken once, when it ends.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::inner::Inner;

/// The counts of one session.
#[derive(Debug)]
pub(crate) struct Drain {
    /// The handlers that ran when the shutdown began, and those started since.
    accepted: AtomicUsize,
    refused: AtomicUsize,
    summed: AtomicBool,
}

impl Drain {
    pub(super) fn new(running: usize) -> Self {
        Self {
            accepted: AtomicUsize::new(running),
            refused: AtomicUsize::new(0),
            summed: AtomicBool::new(false),
        }
    }

    pub(super) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::SeqCst);
    }
}

/// The sums of all sessions of a peer that shuts down.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sessions: AtomicUsize,
    pub(crate) sessions_cut: AtomicUsize,
    pub(crate) handlers: AtomicUsize,
    pub(crate) handlers_cut: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    pub(crate) calls: AtomicUsize,
    pub(crate) calls_cut: AtomicUsize,
    pub(crate) replies_lost: AtomicUsize,
    pub(crate) bytes_unsent: AtomicUsize,
    pub(crate) hooks_cut: AtomicUsize,
}

impl Inner {
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
        self.drain
            .get_or_init(|| Box::new(Drain::new(self.running())));
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
        add(&tally.sessions, 1);
        add(&tally.sessions_cut, usize::from(self.out.was_cut()));
        add(&tally.handlers, drain.accepted.load(Ordering::SeqCst));
        add(&tally.handlers_cut, self.running());
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
