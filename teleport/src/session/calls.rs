//! The calls in flight of a session: who waits for which reply.
//!
//! The counter in a sequence text picks a slot of a table whose length is a power of two, and the
//! slot remembers the counter, so that a late reply misses. Sequences set by hand, and counters
//! whose slot is taken, are kept in a small map beside it.

mod ends;
mod reply;
mod slots;

use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

pub(super) use self::reply::{ReplyBytes, ReplyIn};
use self::slots::{FREE, MAX_SLOTS, Slot, State};
use super::scratch;
use crate::lock;
use crate::message::Seq;
use crate::swap::Swap;

/// Names a call in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Counter(u64),
    Text(Seq),
}

impl Key {
    /// The sequence text.
    pub(super) fn seq(&self) -> Seq {
        match self {
            Self::Counter(counter) => Seq::from_counter(*counter),
            Self::Text(seq) => seq.clone(),
        }
    }
}

/// Why a call ended without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Closed,
    /// The other end shut down, and said that it did not run this call.
    NotRun,
    TimedOut,
    Cancelled,
}

/// Why a call was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    Closed,
    Full,
    SeqInFlight,
}

pub(super) struct Calls {
    state: Mutex<State>,
    max: usize,
}

/// What became of the calls of a session since its peer began to shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Those that were in flight then, and those made since.
    pub(super) all: usize,
    /// Those that had no reply when the connection was gone.
    pub(super) cut: usize,
}

impl Calls {
    pub(super) fn new(max: usize) -> Self {
        Self {
            state: Mutex::new(State::default()),
            max,
        }
    }

    /// Takes a call in under a number of this session's counter. Tells how many are in flight.
    pub(super) fn insert(
        &self,
        counter: u64,
        waker: Option<Waker>,
        deadline: Option<Instant>,
    ) -> Result<(Key, usize), NotTaken> {
        let mut state = lock(&self.state);
        self.check(&state)?;
        if state.in_flight * 2 >= state.table.len() && state.table.len() < MAX_SLOTS {
            state.grow();
        }
        if !state.side.is_empty() && state.side.contains_key(&Seq::from_counter(counter)) {
            return Err(NotTaken::SeqInFlight);
        }
        let index = state.index(counter);
        let key = match state.table.get_mut(index) {
            Some(slot) if slot.counter == counter => return Err(NotTaken::SeqInFlight),
            Some(slot) if slot.counter == FREE => {
                slot.occupy(counter, waker, deadline);
                Key::Counter(counter)
            }
            _ => {
                let seq = Seq::from_counter(counter);
                let mut slot = Slot::default();
                slot.occupy(counter, waker, deadline);
                state.side.insert(seq.clone(), slot);
                Key::Text(seq)
            }
        };
        state.entered();
        Ok((key, state.in_flight))
    }

    /// Takes a call in under a sequence text that no counter gives.
    pub(super) fn insert_text(
        &self,
        seq: Seq,
        waker: Option<Waker>,
        deadline: Option<Instant>,
    ) -> Result<(Key, usize), NotTaken> {
        let mut state = lock(&self.state);
        self.check(&state)?;
        if state.side.contains_key(&seq) {
            return Err(NotTaken::SeqInFlight);
        }
        let mut slot = Slot::default();
        slot.occupy(FREE - 1, waker, deadline);
        state.side.insert(seq.clone(), slot);
        state.entered();
        Ok((Key::Text(seq), state.in_flight))
    }

    fn check(&self, state: &State) -> Result<(), NotTaken> {
        if state.refusing {
            Err(NotTaken::Closed)
        } else if state.in_flight >= self.max {
            Err(NotTaken::Full)
        } else {
            Ok(())
        }
    }

    /// Hands a reply to its call. `make` gets a buffer to copy a body into. `None`: nobody waits
    /// for it.
    pub(super) fn deliver(
        &self,
        seq: &[u8],
        make: impl FnOnce(Vec<u8>) -> ReplyIn,
    ) -> Option<Option<Waker>> {
        let mut state = lock(&self.state);
        let slot = state.slot_of(seq)?;
        if !slot.waits() {
            return None;
        }
        let mut spare = std::mem::take(&mut slot.spare);
        if spare.capacity() == 0 {
            spare = scratch::take_reply();
        }
        slot.reply = Some(make(spare));
        Some(slot.waker.take())
    }

    /// Keeps what plugins left in a call's own data.
    pub(super) fn keep_swap(&self, key: &Key, swap: Swap) {
        if let Some(slot) = lock(&self.state).slot(key) {
            slot.swap = Some(Box::new(swap));
        }
    }

    /// Gives what plugins left in the own data of the call that a reply answers, once.
    pub(super) fn take_swap(&self, seq: &[u8]) -> Option<Box<Swap>> {
        lock(&self.state).slot_of(seq)?.swap.take()
    }

    /// Looks for the reply of a call, which is put into `reply`; the call is over when this is
    /// ready.
    pub(super) fn poll(
        &self,
        key: &Key,
        cx: &Context<'_>,
        reply: &mut Option<ReplyIn>,
    ) -> Poll<Result<(), Ended>> {
        let mut state = lock(&self.state);
        let (closed, others) = (state.closed, state.in_flight > 1);
        let Some(slot) = state.slot(key) else {
            return Poll::Ready(Err(Ended::Closed));
        };
        let result = match (&slot.reply, slot.mark) {
            (Some(_), _) => Ok(()),
            (None, Some(mark)) => Err(mark),
            (None, None) if closed => Err(Ended::Closed),
            (None, None) => {
                match &slot.waker {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    _ => slot.waker = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
        };
        *reply = slot.reply.take();
        match key {
            Key::Counter(_) => {
                slot.vacate();
                if others && reply.as_ref().is_some_and(ReplyIn::is_copied) {
                    slot.spare = scratch::take_reply();
                    state.spares = true;
                }
                state.left();
            }
            Key::Text(_) => {
                state.remove(key);
            }
        }
        Poll::Ready(result)
    }

    /// Forgets a call; its reply will find nobody. Tells whether it still waited.
    pub(super) fn remove(&self, key: &Key) -> bool {
        let mut state = lock(&self.state);
        let waited = state.slot(key).is_some_and(|slot| slot.waits());
        state.remove(key);
        waited
    }

    /// Notes that the reply to the call of this sequence text is here, if one waits for it.
    pub(super) fn claim(&self, seq: &[u8]) -> bool {
        let mut state = lock(&self.state);
        let slot = state.slot_of(seq);
        slot.is_some_and(|slot| {
            slot.claimed = true;
            true
        })
    }

    /// Whether a call of this counter waits for its reply.
    pub(super) fn has(&self, counter: u64) -> bool {
        let mut state = lock(&self.state);
        state.slot(&Key::Counter(counter)).is_some()
            || (!state.side.is_empty() && state.side.contains_key(&Seq::from_counter(counter)))
    }

    pub(super) fn in_flight(&self) -> usize {
        lock(&self.state).in_flight
    }

    /// How much memory is held for replies to come.
    pub(super) fn held(&self) -> usize {
        let state = lock(&self.state);
        let spare: usize = state.table.iter().map(|slot| slot.spare.capacity()).sum();
        spare + state.table.capacity() * size_of::<Slot>()
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
