//! What a connection of a session that dials again may leave unwritten: pushes that were reported
//! as queued.
//!
//! Only those that the stream did not take at once are kept, as they were before the plugins had
//! their say: what plugins make of them may hold for one connection alone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use super::Session;
use super::inner::Inner;
use super::launch::header_on;
use super::line::Line;
use super::outbound::Put;
use super::push::send_slow;
use crate::error::Error;
use crate::lock;
use crate::message::Header;

/// What ties a connection to its session's [`Line`].
pub(super) struct Link {
    pub(super) line: Arc<Line>,
    kept: Mutex<VecDeque<KeptPush>>,
    /// The other end took it for a moment, and refused it then.
    refused: AtomicBool,
    /// What the other end said when it was going away.
    spread: OnceLock<Duration>,
}

impl Link {
    pub(super) fn new(line: Arc<Line>) -> Self {
        Self {
            line,
            kept: Mutex::default(),
            refused: AtomicBool::new(false),
            spread: OnceLock::new(),
        }
    }

    /// The other end refused the connection.
    pub(super) fn note_refused(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The other end is going away, and says over what time those who dial again had better spread.
    pub(super) fn spread_over(&self, spread: Duration) {
        let _ = self.spread.set(spread);
    }

    pub(super) fn spread(&self) -> Option<Duration> {
        self.spread.get().copied()
    }
}

/// A push that waits to be written, or waited when its connection was lost.
pub(super) struct KeptPush {
    /// Its place among all that were kept.
    pub(super) nth: u64,
    /// Where its bytes end among all that are written to the connection.
    end: u64,
    message: PushParts,
}

/// A push as its caller said it.
#[derive(Clone)]
pub(super) struct PushParts {
    pub(super) header: Header,
    pub(super) body: Bytes,
    /// The sequence text was set by hand.
    pub(super) hand_set: bool,
}

impl PushParts {
    /// The header, with the sequence text that it has on this connection.
    pub(super) fn header_on(&self, inner: &Inner) -> Header {
        header_on(inner, &self.header, self.hand_set)
    }
}

impl KeptPush {
    /// Sends it on another connection.
    pub(super) async fn send_on(&self, session: &Session) -> Result<(), Error> {
        send_slow(session, &self.message, Some(self.nth)).await
    }
}

/// What became of the bytes of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They were written, or will be, here or on the next connection.
    Queued,
    /// The connection is lost, and not all of them were written.
    Unsent,
}

impl Inner {
    /// Keeps a push that was handed over and not written at once.
    #[cold]
    pub(super) fn keep(
        &self,
        put: &Put,
        nth: Option<u64>,
        make: impl FnOnce() -> Result<PushParts, Error>,
    ) -> Result<Fate, Error> {
        let Some(link) = &self.link else {
            return Ok(Fate::Queued);
        };
        let message = make()?;
        let mut kept = lock(&link.kept);
        let (written, closed) = self.out.written();
        while kept.front().is_some_and(|kept| kept.end <= written) {
            kept.pop_front();
        }
        if put.end <= written {
            return Ok(Fate::Queued);
        }
        if closed {
            return Ok(Fate::Unsent);
        }
        kept.push_back(KeptPush {
            nth: nth.unwrap_or_else(|| link.line.next_kept()),
            end: put.end,
            message,
        });
        Ok(Fate::Queued)
    }

    /// The pushes that a connection which takes no more bytes did not write whole: the other end
    /// cannot have handled them. Those that may still be written stay.
    pub(super) fn take_unwritten(&self) -> Vec<KeptPush> {
        let Some(link) = &self.link else {
            return Vec::new();
        };
        let mut kept = lock(&link.kept);
        let (written, closed) = self.out.written();
        if !closed {
            return Vec::new();
        }
        kept.drain(..).filter(|kept| kept.end > written).collect()
    }
}
