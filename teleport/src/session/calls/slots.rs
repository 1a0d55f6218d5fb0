//! The table of calls in flight, and the map beside it.

use std::collections::BTreeMap;
use std::task::Waker;

use tokio::time::Instant;

use super::{Counted, Ended, Key, ReplyIn};
use crate::message::{Seq, seq::counter_of};
use crate::session::scratch;
use crate::swap::Swap;

/// The table never has more slots than this; more calls go into the map.
pub(super) const MAX_SLOTS: usize = 1 << 16;
const FIRST_SLOTS: usize = 4;

/// A counter that no sequence text has.
pub(super) const FREE: u64 = u64::MAX;

#[derive(Default)]
pub(super) struct State {
    pub(super) table: Vec<Slot>,
    pub(super) side: BTreeMap<Seq, Slot>,
    pub(super) in_flight: usize,
    /// A slot of the table may hold a spare buffer.
    pub(super) spares: bool,
    /// No more calls are taken in.
    pub(super) refusing: bool,
    /// No more replies come.
    pub(super) closed: bool,
    /// There is a shutdown, and this is what it has to tell of the calls.
    pub(super) counted: Option<Box<Counted>>,
}

/// A free one is as by default, but for the spare buffer.
pub(super) struct Slot {
    pub(super) counter: u64,
    pub(super) waker: Option<Waker>,
    pub(super) reply: Option<ReplyIn>,
    /// A buffer for the next reply, exchanged for the one that was taken.
    pub(super) spare: Vec<u8>,
    pub(super) deadline: Option<Instant>,
    /// The call is over, though no reply came: past its deadline, or cancelled.
    pub(super) mark: Option<Ended>,
    /// What plugins left in the call's own data, for those that see the reply.
    pub(super) swap: Option<Box<Swap>>,
    /// The reply is here, though plugins still look at it.
    pub(super) claimed: bool,
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
    pub(super) fn occupy(&mut self, counter: u64, waker: Option<Waker>, deadline: Option<Instant>) {
        (self.counter, self.waker, self.deadline) = (counter, waker, deadline);
    }

    pub(super) fn vacate(&mut self) {
        (self.counter, self.waker, self.deadline, self.reply) = (FREE, None, None, None);
        (self.mark, self.swap, self.claimed) = (None, None, false);
    }

    /// Whether a call of this slot still waits for its reply.
    pub(super) fn waits(&self) -> bool {
        self.counter != FREE && self.reply.is_none() && self.mark.is_none()
    }
}

impl State {
    pub(super) fn index(&self, counter: u64) -> usize {
        // The table's length is a power of two that fits in a `usize`.
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the mask cuts it below the length"
        )]
        let index = counter as usize & self.table.len().wrapping_sub(1);
        index
    }

    pub(super) fn slot(&mut self, key: &Key) -> Option<&mut Slot> {
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
    pub(super) fn slot_of(&mut self, seq: &[u8]) -> Option<&mut Slot> {
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
    pub(super) fn grow(&mut self) {
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

    pub(super) fn remove(&mut self, key: &Key) -> bool {
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
    pub(super) fn left(&mut self) {
        self.in_flight -= 1;
        if self.in_flight == 0 {
            self.rest();
        }
    }

    #[inline]
    pub(super) fn entered(&mut self) {
        self.in_flight += 1;
        if let Some(counted) = &mut self.counted {
            counted.all += 1;
        }
    }

    pub(super) fn slots(&mut self) -> impl Iterator<Item = &mut Slot> {
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
    }
}
