//! The calls in flight of a session: who waits for which reply.
//!
//! The counter in a sequence text picks a slot of a table whose length is a power of two, and the
//! slot remembers the counter, so that a late reply misses. Sequences set by hand, and counters
//! whose slot is taken, are kept in a small map beside it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::time::Instant;

use super::scratch;
use crate::lock;
use crate::message::{Meta, Seq, seq::counter_of};
use crate::rerror::Rerror;
use crate::swap::Swap;
use crate::xfer::XferPipe;

/// The table never has more slots than this; more calls go into the map.
const MAX_SLOTS: usize = 1 << 16;
const FIRST_SLOTS: usize = 4;

/// A counter that no sequence text has.
const FREE: u64 = u64::MAX;

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

/// A reply as it arrived.
#[derive(Debug)]
pub(super) struct ReplyIn {
    pub(super) body_codec: u8,
    pub(super) meta: Meta,
    pub(super) xfer: XferPipe,
    pub(super) body: ReplyBytes,
    pub(super) size: usize,
    /// When it was read, whoever takes it when.
    pub(super) arrived: Instant,
    /// What a plugin made of it.
    pub(super) refused: Option<Rerror>,
}

impl ReplyIn {
    fn is_copied(&self) -> bool {
        matches!(self.body, ReplyBytes::Copied(_))
    }

    /// Gives the memory of a copied body back to the thread.
    pub(super) fn recycle(&mut self) {
        if let ReplyBytes::Copied(bytes) = &mut self.body {
            scratch::give_reply(std::mem::take(bytes));
        }
    }
}

/// The body of a reply: copied when small, else a part of what was read.
#[derive(Debug)]
pub(super) enum ReplyBytes {
    Copied(Vec<u8>),
    Shared(Bytes),
}

impl ReplyBytes {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Copied(bytes) => bytes.into(),
            Self::Shared(bytes) => bytes,
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

#[derive(Default)]
struct State {
    table: Vec<Slot>,
    side: HashMap<Seq, Slot>,
    in_flight: usize,
    /// A slot of the table may hold a spare buffer.
    spares: bool,
    /// No more calls are taken in.
    refusing: bool,
    /// No more replies come.
    closed: bool,
    /// There is a shutdown, and this is what it has to tell of the calls.
    counted: Option<Counted>,
}

/// What became of the calls of a session since its peer began to shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Those that were in flight then, and those made since.
    pub(super) all: usize,
    /// Those that had no reply when the connection was gone.
    pub(super) cut: usize,
}

/// A free one is as by default, but for the spare buffer.
struct Slot {
    counter: u64,
    waker: Option<Waker>,
    reply: Option<ReplyIn>,
    /// A buffer for the next reply, exchanged for the one that was taken.
    spare: Vec<u8>,
    deadline: Option<Instant>,
    /// The call is over, though no reply came: past its deadline, or cancelled.
    mark: Option<Ended>,
    /// What plugins left in the call's own data, for those that see the reply.
    swap: Option<Box<Swap>>,
    /// The reply is here, though plugins still look at it.
    claimed: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            counter: FREE,
            waker: None,
            reply: None,
            spare: Vec::new(),
            deadline: None,
            mark: None,
            swap: None,
            claimed: false,
        }
    }
}

impl Slot {
    fn occupy(&mut self, counter: u64, waker: Option<Waker>, deadline: Option<Instant>) {
        (self.counter, self.waker, self.deadline) = (counter, waker, deadline);
    }

    fn vacate(&mut self) {
        (self.counter, self.waker, self.deadline, self.reply) = (FREE, None, None, None);
        (self.mark, self.swap, self.claimed) = (None, None, false);
    }

    /// Whether a call of this slot still waits for its reply.
    fn waits(&self) -> bool {
        self.counter != FREE && self.reply.is_none() && self.mark.is_none()
    }
}

impl State {
    fn index(&self, counter: u64) -> usize {
        // The table's length is a power of two that fits in a `usize`.
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the mask cuts it below the length"
        )]
        let index = counter as usize & self.table.len().wrapping_sub(1);
        index
    }

    fn slot(&mut self, key: &Key) -> Option<&mut Slot> {
        match key {
            Key::Counter(counter) => {
                let index = self.index(*counter);
                self.table
                    .get_mut(index)
                    .filter(|slot| slot.counter == *counter)
            }
            Key::Text(seq) => self.side.get_mut(seq),
        }
    }

    /// The slot of the call with this sequence text.
    #[inline]
    fn slot_of(&mut self, seq: &[u8]) -> Option<&mut Slot> {
        if let Some(counter) = counter_of(seq) {
            let index = self.index(counter);
            let slot = self.table.get(index);
            if slot.is_some_and(|slot| slot.counter == counter) {
                return self.table.get_mut(index);
            }
        }
        if self.side.is_empty() {
            return None;
        }
        self.side.get_mut(&Seq::from(seq))
    }

    /// Makes room in the table before it is so full that counters collide often.
    fn grow(&mut self) {
        let length = (self.table.len() * 2).clamp(FIRST_SLOTS, MAX_SLOTS);
        let old = std::mem::take(&mut self.table);
        self.table.resize_with(length, Slot::default);
        for slot in old {
            if slot.counter != FREE {
                // Two counters that differed in the old mask differ in the longer one.
                let index = self.index(slot.counter);
                if let Some(place) = self.table.get_mut(index) {
                    *place = slot;
                }
            }
        }
    }

    fn remove(&mut self, key: &Key) -> bool {
        match key {
            Key::Counter(_) => {
                let Some(slot) = self.slot(key) else {
                    return false;
                };
                slot.vacate();
            }
            Key::Text(seq) => {
                if self.side.remove(seq).is_none() {
                    return false;
                }
            }
        }
        self.left();
        true
    }

    #[inline]
    fn left(&mut self) {
        self.in_flight -= 1;
        if self.in_flight == 0 {
            self.rest();
        }
    }

    #[inline]
    fn entered(&mut self) {
        self.in_flight += 1;
        if let Some(counted) = &mut self.counted {
            counted.all += 1;
        }
    }

    fn slots(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.table.iter_mut().chain(self.side.values_mut())
    }

    /// An idle session keeps no reply buffers and no large table.
    fn rest(&mut self) {
        if std::mem::take(&mut self.spares) {
            for slot in &mut self.table {
                scratch::give_reply(std::mem::take(&mut slot.spare));
            }
        }
        if self.table.len() > FIRST_SLOTS {
            self.table = Vec::new();
        }
        if self.side.capacity() > FIRST_SLOTS {
            self.side = HashMap::new();
        }
    }
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

    /// Ends a call that has no reply yet; whoever waits for it is told. Tells whether it was so.
    pub(super) fn cancel(&self, key: &Key) -> bool {
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

    /// Ends all calls that have no reply yet, and takes no more.
    pub(super) fn close(&self) {
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
    pub(super) fn close_if_idle(&self) -> bool {
        let mut state = lock(&self.state);
        if state.in_flight > 0 {
            return false;
        }
        state.refusing = true;
        true
    }

    /// Ends all calls whose reply is not here: the other end says that it did not run them.
    pub(super) fn none_was_run(&self) {
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
    pub(super) fn count(&self) {
        let mut state = lock(&self.state);
        if state.counted.is_none() {
            let all = match state.closed {
                true => 0,
                false => state.slots().filter(|slot| slot.waits()).count(),
            };
            state.counted = Some(Counted { all, cut: 0 });
        }
    }

    /// What became of the calls since they are counted.
    pub(super) fn counted(&self) -> Counted {
        lock(&self.state).counted.unwrap_or_default()
    }

    /// Times out the calls whose deadline has passed, and tells the earliest that has not. Who
    /// timed out is noted in `who`.
    pub(super) fn sweep(&self, now: Instant, mut who: Option<&mut Vec<Seq>>) -> Option<Instant> {
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
