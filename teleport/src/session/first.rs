//! The time that the first message of a connection has: nobody is to hold one by a message that never
//! ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// How many bytes that have come are good for another second.
const PER_SECOND: usize = 16 * 1024;

/// A first message that has begun.
pub(super) struct First {
    began: Instant,
    timer: Pin<Box<Sleep>>,
}

impl First {
    /// One that begins now.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            began: Instant::now(),
            timer: Box::pin(sleep(limit)),
        }
    }

    /// Waits until it has taken too long, with so many bytes of it there, and says so.
    pub(super) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        limit: Duration,
        came: usize,
    ) -> Poll<String> {
        let more = u64::try_from(came / PER_SECOND).unwrap_or(u64::MAX);
        let limit = limit.saturating_add(Duration::from_secs(more));
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.began.elapsed() >= limit {
                return Poll::Ready(format!(
                    "the first message was not whole within {limit:?}, after {came} bytes of it"
                ));
            }
            match self.began.checked_add(limit) {
                Some(due) => self.timer.as_mut().reset(due),
                None => return Poll::Pending,
            }
        }
    }
}
