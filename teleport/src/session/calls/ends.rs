//! Ends of calls that no reply brings, and what a shutdown has to tell of them.

use std::task::Waker;

use tokio::time::Instant;

use super::slots::State;
use super::{Calls, Counted, Ended, Key};
use crate::lock;
use crate::message::Seq;

impl Calls {
    /// Ends a call that has no reply yet; whoever waits for it is told. Tells whether it was so.
    pub(in crate::session) fn cancel(&self, key: &Key) -> bool {
        let waker = {
            let mut state = lock(&self.state);
            let Some(slot) = state.slot(key).filter(|slot| slot.waits()) else {
                return false;
            };
            slot.mark = Some(Ended::Cancelled);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Ends all calls that have no reply yet, and takes no more.
    pub(in crate::session) fn close(&self) {
        let mut wakers = Vec::new();
        {
            let mut state = lock(&self.state);
            if !state.closed && state.counted.is_some() {
                let cut = state.slots().filter(|slot| slot.waits()).count();
                if let Some(counted) = &mut state.counted {
                    counted.cut += cut;
                }
            }
            (state.refusing, state.closed) = (true, true);
            wakers.extend(state.slots().filter_map(|slot| slot.waker.take()));
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes no more calls, unless one is in flight. Tells whether there is none.
    pub(in crate::session) fn close_if_idle(&self) -> bool {
        let mut state = lock(&self.state);
        if state.in_flight > 0 {
            return false;
        }
        state.refusing = true;
        true
    }

    /// Ends all calls whose reply is not here: the other end says that it did not run them.
    pub(in crate::session) fn none_was_run(&self) {
        let mut wakers = Vec::new();
        {
            let mut state = lock(&self.state);
            state.refusing = true;
            let mut cut = 0;
            for slot in state.slots().filter(|slot| slot.waits() && !slot.claimed) {
                slot.mark = Some(Ended::NotRun);
                cut += 1;
                wakers.extend(slot.waker.take());
            }
            if let Some(counted) = &mut state.counted {
                counted.cut += cut;
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Counts the calls from now on, those in flight included.
    pub(in crate::session) fn count(&self) {
        let mut state = lock(&self.state);
        if state.counted.is_none() {
            let all = match state.closed {
                true => 0,
                false => state.slots().filter(|slot| slot.waits()).count(),
            };
            state.counted = Some(Box::new(Counted { all, cut: 0 }));
        }
    }

    /// What became of the calls since they are counted.
    pub(in crate::session) fn counted(&self) -> Counted {
        let state = lock(&self.state);
        state.counted.as_deref().copied().unwrap_or_default()
    }

    /// Times out the calls whose deadline has passed, and tells the earliest that has not. Who
    /// timed out is noted in `who`.
    pub(in crate::session) fn sweep(
        &self,
        now: Instant,
        mut who: Option<&mut Vec<Seq>>,
    ) -> Option<Instant> {
        let mut wakers = Vec::new();
        let mut next = None;
        {
            let mut state = lock(&self.state);
            let State { table, side, .. } = &mut *state;
            let numbered = table.iter_mut().map(|slot| (None, slot));
            let named = side.iter_mut().map(|(seq, slot)| (Some(seq), slot));
            for (seq, slot) in numbered.chain(named) {
                let Some(deadline) = slot.deadline.filter(|_| slot.waits()) else {
                    continue;
                };
                if deadline <= now {
                    slot.mark = Some(Ended::TimedOut);
                    if let Some(who) = &mut who {
                        who.push(
                            seq.cloned()
                                .unwrap_or_else(|| Seq::from_counter(slot.counter)),
                        );
                    }
                    wakers.extend(slot.waker.take());
                } else {
                    next = Some(next.map_or(deadline, |next: Instant| next.min(deadline)));
                }
            }
        }
        wakers.into_iter().for_each(Waker::wake);
        next
    }
}
