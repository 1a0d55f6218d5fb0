//! How much a session is used, and handles that do not keep it.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::Session;
use super::inner::Inner;
use super::line::Line;

/// How many CALLs and PUSHes a session has seen; replies are not counted. See
/// [`Session::traffic`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// How many came. Counted when they were read, in whole batches.
    pub received: u64,
    /// How many were given a sequence text to be sent, those of handshakes included.
    pub sent: u64,
}

/// A handle that does not keep a session in memory; see [`Session::downgrade`].
#[derive(Clone)]
pub struct WeakSession(Kind);

#[derive(Clone)]
enum Kind {
    Connection(Weak<Inner>),
    /// A session that dials again, whatever its connection is.
    Line(Weak<Line>),
}

impl WeakSession {
    /// The session, if it is still there. It may be closed all the same.
    #[must_use]
    pub fn upgrade(&self) -> Option<Session> {
        match &self.0 {
            Kind::Connection(inner) => inner.upgrade(),
            Kind::Line(line) => line.upgrade()?.newest(),
        }
        .map(Session)
    }
}

impl fmt::Debug for WeakSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakSession")
    }
}

impl Session {
    /// The number of the session: unlike its [id](Self::id) it never changes, and no other session
    /// of this process has it, or had it.
    #[must_use]
    pub fn number(&self) -> u64 {
        let of_line = self.0.line().and_then(|line| line.number());
        of_line.unwrap_or(self.0.number)
    }

    /// How many CALLs and PUSHes have come and gone: for whoever looks now and then whether a
    /// session is used. Costs a message nothing.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let inner = self.0.newest();
        let by_hand = inner.went_by_hand.load(Ordering::Relaxed);
        Traffic {
            received: inner.came.load(Ordering::Relaxed),
            sent: inner.counter().wrapping_add(by_hand),
        }
    }

    /// A handle that does not keep the session in memory.
    #[must_use]
    pub fn downgrade(&self) -> WeakSession {
        WeakSession(match self.0.line() {
            Some(line) => Kind::Line(Arc::downgrade(line)),
            None => Kind::Connection(Arc::downgrade(&self.0)),
        })
    }
}
