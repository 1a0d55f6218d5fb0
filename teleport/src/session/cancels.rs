//! The handlers that callers may give up on, by the sequence text of their calls.
//!
//! Only calls whose caller says so when it gives up are here, and only while they wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::time::Instant;

use super::inner::Inner;
use crate::context::Life;
use crate::lock;
use crate::message::Seq;

/// How many handlers one session may have stopped at once, and how many more each second. A caller
/// that gives up on more keeps their handlers running: starting work to stop it, over and over, is
/// then no cheaper than having it done.
const BURST: u32 = 1000;
const EACH_SECOND: u32 = 100;

/// An emptied map larger than this is given back.
const KEPT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Cancels(OnceLock<Box<Mutex<State>>>);

#[derive(Debug)]
struct State {
    waiting: HashMap<Seq, Arc<Life>>,
    budget: Budget,
}

/// A number of things that may happen, filled up as time goes by.
#[derive(Debug)]
struct Budget {
    left: u32,
    since: Instant,
    warned: bool,
}

/// What became of a caller's notice that it gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// Whoever drives the handler knows now.
    Told,
    /// There is no such handler any more, or it is known already.
    Unknown,
    /// The caller gave up on too many; `first` since it last did not.
    TooMany { first: bool },
}

impl Cancels {
    fn state(&self) -> &Mutex<State> {
        self.0.get_or_init(|| {
            Box::new(Mutex::new(State {
                waiting: HashMap::new(),
                budget: Budget {
                    left: BURST,
                    since: Instant::now(),
                    warned: false,
                },
            }))
        })
    }

    /// Whether a handler waits whose caller may give up on it.
    pub(super) fn any(&self) -> bool {
        let state = self.0.get();
        state.is_some_and(|state| !lock(state).waiting.is_empty())
    }

    /// Ends the handling of a call, as far as its handler lets itself be ended.
    pub(super) fn give_up(&self, seq: &[u8]) -> GivenUp {
        let Some(state) = self.0.get() else {
            return GivenUp::Unknown;
        };
        let mut state = lock(state);
        let Some(life) = state.waiting.get(&Seq::from(seq)).cloned() else {
            return GivenUp::Unknown;
        };
        if !state.budget.take(Instant::now()) {
            let first = !std::mem::replace(&mut state.budget.warned, true);
            return GivenUp::TooMany { first };
        }
        drop(state);
        if life.give_up() {
            GivenUp::Told
        } else {
            GivenUp::Unknown
        }
    }
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        if seconds > 0 {
            let more = u32::try_from(seconds)
                .unwrap_or(u32::MAX)
                .saturating_mul(EACH_SECOND);
            self.left = self.left.saturating_add(more).min(BURST);
            self.since = now;
            self.warned = false;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

/// Keeps a call where its caller can give up on it, as long as it lives.
#[derive(Debug)]
pub(super) struct Attended {
    inner: Arc<Inner>,
    seq: Seq,
    life: Arc<Life>,
}

impl Attended {
    pub(super) fn new(inner: &Arc<Inner>, seq: &Seq, life: &Arc<Life>) -> Self {
        let mut state = lock(inner.cancels.state());
        // Of two calls of one sequence text, which nobody should make, the later one is meant.
        state.waiting.insert(seq.clone(), Arc::clone(life));
        drop(state);
        Self {
            inner: Arc::clone(inner),
            seq: seq.clone(),
            life: Arc::clone(life),
        }
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        let mut state = lock(self.inner.cancels.state());
        let there = state.waiting.get(&self.seq);
        if there.is_some_and(|there| Arc::ptr_eq(there, &self.life)) {
            state.waiting.remove(&self.seq);
            if state.waiting.is_empty() && state.waiting.capacity() > KEPT {
                state.waiting = HashMap::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_budget_is_a_burst_and_then_a_rate() {
        let start = Instant::now();
        let mut budget = Budget {
            left: BURST,
            since: start,
            warned: false,
        };
        let mut taken = |at| (0..5000).filter(|_| budget.take(at)).count();
        assert_eq!(taken(start), 1000);
        assert_eq!(taken(start + Duration::from_millis(999)), 0);
        assert_eq!(taken(start + Duration::from_secs(2)), 200);
        assert_eq!(taken(start + Duration::from_secs(1 << 40)), 1000);
    }
}
