//! How much one wake of a session may do, so that none starves the others.

use std::time::{Duration, Instant};

/// After how many messages the clock is looked at, and how long one wake may take.
const FRAMES_PER_LOOK: usize = 16;
const TIME_PER_WAKE: Duration = Duration::from_micros(200);

/// From how many bytes on a read is worth a look at the clock, and how many bytes of a body weigh as
/// much as a message.
const LARGE_READ: usize = 2048;
const BODY_PER_FRAME: usize = 4096;

/// The time that one wake may take.
#[derive(Default)]
pub(super) struct Budget {
    spent: usize,
    started: Option<Instant>,
}

impl Budget {
    /// Starts the clock, for a read that holds more than a message or two.
    pub(super) fn begin(&mut self, len: usize) {
        if len > LARGE_READ {
            self.started.get_or_insert_with(Instant::now);
        }
    }

    /// Counts a message; one that filters have blown up counts by its size.
    pub(super) fn spend(&mut self, body: usize) {
        self.spent = self.spent.saturating_add(1 + body / BODY_PER_FRAME);
    }

    pub(super) fn is_used_up(&mut self) -> bool {
        if self.spent < FRAMES_PER_LOOK {
            return false;
        }
        self.spent = 0;
        match self.started {
            None => {
                self.started = Some(Instant::now());
                false
            }
            Some(started) => started.elapsed() >= TIME_PER_WAKE,
        }
    }
}
