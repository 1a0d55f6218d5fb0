//! The time that the first message of a connection has, once it has begun.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::Task;

/// How many bytes of a first message are good for another second.
const FIRST_PER_SECOND: usize = 16 * 1024;

/// A first message that has begun, and must end.
pub(super) struct First {
    began: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Task {
    /// Looks whether a first message that has begun takes too long. `Ready` says that it does.
    #[cold]
    pub(super) fn look_at_first(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let limit = self.inner.shared.config().first_message_timeout;
        if !self.is_new || self.rest.is_empty() || limit.is_zero() {
            self.first = None;
            return Poll::Pending;
        }
        let first = self.first.get_or_insert_with(|| {
            Box::new(First {
                began: Instant::now(),
                timer: Box::pin(tokio::time::sleep(limit)),
            })
        });
        loop {
            ready!(first.timer.as_mut().poll(cx));
            let more = u64::try_from(self.rest.len() / FIRST_PER_SECOND).unwrap_or(u64::MAX);
            let limit = limit.saturating_add(Duration::from_secs(more));
            if first.began.elapsed() >= limit {
                let came = self.rest.len();
                return Poll::Ready(format!(
                    "the first message was not whole within {limit:?}, after {came} bytes of it"
                ));
            }
            match first.began.checked_add(limit) {
                Some(due) => first.timer.as_mut().reset(due),
                None => return Poll::Pending,
            }
        }
    }
}
