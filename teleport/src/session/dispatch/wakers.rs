//! Waking the callers whose replies came together.

use std::task::Waker;

use crate::session::inner::Inner;

/// Wakes callers. When a batch brings more than one reply their next calls are a burst: the
/// session's task then promises to write for all of them, before the first is woken.
pub(in crate::session) struct Wakers<'a> {
    inner: &'a Inner,
    first: Option<Waker>,
    promised: bool,
}

impl<'a> Wakers<'a> {
    pub(in crate::session) fn new(inner: &'a Inner) -> Self {
        Self {
            inner,
            first: None,
            promised: false,
        }
    }

    pub(super) fn wake(&mut self, waker: Waker) {
        if self.promised {
            waker.wake();
        } else if let Some(first) = self.first.take() {
            self.inner.out.promise();
            self.promised = true;
            first.wake();
            waker.wake();
        } else {
            self.first = Some(waker);
        }
    }

    /// Wakes the only one; tells whether a promise was made.
    pub(in crate::session) fn finish(mut self) -> bool {
        if let Some(first) = self.first.take() {
            first.wake();
        }
        self.promised
    }
}
