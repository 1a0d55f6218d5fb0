//! How far a session is on its way from open to closed, and who is told of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Inner;
use crate::message::Meta;

pub(super) const OPEN: u8 = 0;
/// The peer shuts down. The other end was told, and until it has taken notice all goes on.
pub(super) const DRAINING: u8 = 1;
/// The other end is going away: nothing new of this side, while its calls are still handled.
pub(super) const LEAVING: u8 = 2;
pub(super) const CLOSING: u8 = 3;
pub(super) const FAILED: u8 = 4;
pub(super) const ABORTED: u8 = 5;
pub(super) const CLOSED: u8 = 6;

/// What a session's task has to look at.
pub(in crate::session) const LOOK_OUT: u8 = 1;
pub(in crate::session) const LOOK_STATE: u8 = 2;
pub(in crate::session) const LOOK_DRAIN: u8 = 4;

impl Inner {
    /// Whether this side may call and push.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.state.load(Ordering::SeqCst) <= DRAINING
    }

    /// Whether nothing is known of an end.
    #[inline]
    pub(in crate::session) fn is_untroubled(&self) -> bool {
        self.state.load(Ordering::SeqCst) == OPEN
    }

    /// Whether calls of the other end are refused.
    pub(in crate::session) fn refuses(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= CLOSING
    }

    /// Whether this side is closing, in good order so far.
    pub(in crate::session) fn is_closing(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CLOSING
    }

    /// Whether reading is over: by an error, the end of the stream, or a plugin.
    pub(in crate::session) fn has_failed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == FAILED
    }

    pub(in crate::session) fn is_aborted(&self) -> bool {
        self.state.load(Ordering::SeqCst) == ABORTED
    }

    /// Whether nothing goes out any more, and the last hooks have run or are about to.
    pub(in crate::session) fn sends_nothing(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= ABORTED
    }

    pub(in crate::session) fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CLOSED
    }

    pub(in crate::session) fn close_reason(&self) -> Option<String> {
        self.reason.get().cloned()
    }

    /// Notes why the session ends; the first to say so is right.
    pub(in crate::session) fn set_reason(&self, reason: impl Into<String>) {
        let _ = self.reason.set(reason.into());
    }

    /// Notes what the other end says, who refuses the connection.
    pub(in crate::session) fn set_refusal(&self, meta: Meta) {
        let _ = self.refusal.set(Box::new(meta));
    }

    /// What the other end said, if it refused the connection.
    pub(in crate::session) fn refusal(&self) -> Option<&Meta> {
        self.refusal.get().map(|meta| &**meta)
    }

    /// No new calls from now on; the task ends the session when all that runs is done.
    pub(crate) fn begin_close(&self, reason: &str) {
        match self.line() {
            Some(line) => line.close(reason),
            None => self.begin_close_here(reason),
        }
    }

    /// [`begin_close`](Self::begin_close)s this connection, whatever becomes of the session.
    pub(in crate::session) fn begin_close_here(&self, reason: &str) {
        self.raise_state(CLOSING, reason);
    }

    /// No new calls of this side from now on: the other end is going away.
    pub(in crate::session) fn leave(&self, reason: &str) {
        self.raise_state(LEAVING, reason);
    }

    /// The peer shuts down; the session's task tells the other end.
    pub(crate) fn ask_to_drain(self: &Arc<Self>) {
        if let Some(line) = self.line().filter(|line| line.up().is_none()) {
            // There is no other end to be told.
            line.close("the peer shuts down");
        }
        for connection in self.connections() {
            connection.look(LOOK_DRAIN);
        }
    }

    /// Called by the session's task, between two messages, so that each is counted once.
    #[cold]
    pub(in crate::session) fn begin_drain(&self) {
        if self.drain.get().is_some() {
            return;
        }
        self.begin_count();
        let from = (OPEN, DRAINING);
        let _ = self
            .state
            .compare_exchange(from.0, from.1, Ordering::SeqCst, Ordering::SeqCst);
        if !self.has_failed() && self.tell(self.going_away()).is_err() {
            tracing::debug!(remote = %self.remote, "the other end cannot be told of the shutdown");
        }
    }

    /// Ends reading, and with it all calls that wait for a reply; what handlers still answer is
    /// written before the connection is shut.
    pub(in crate::session) fn fail(&self, reason: impl Into<String>) {
        self.raise_state(FAILED, reason);
        self.calls.close();
    }

    /// [`fail`](Self::fail)s for something that the other end, or a plugin, did.
    #[cold]
    pub(in crate::session) fn broken(&self, reason: String) {
        if !self.has_failed() {
            tracing::warn!(remote = %self.remote, reason, "session is closed");
        }
        self.fail(reason);
    }

    /// [`fail`](Self::fail)s because the stream takes no more bytes.
    pub(in crate::session) fn fail_writing(&self) {
        let error = self.out.take_error();
        let why = error.map_or_else(|| "the connection is shut".to_owned(), |e| e.to_string());
        self.fail(format!("writing failed: {why}"));
    }

    /// Ends the session at once, with all its connections.
    pub(crate) fn abort_session(&self, reason: &str) {
        match self.line() {
            Some(line) => line.abort(reason),
            None => self.abort(reason),
        }
    }

    /// [`abort`](Self::abort)s the connection for something that is worth a line in the log.
    #[cold]
    pub(crate) fn drop_for(&self, reason: &str) {
        if !self.is_aborted() {
            tracing::warn!(remote = %self.remote, reason, "session is closed");
        }
        self.abort(reason);
    }

    /// [`abort_session`](Self::abort_session)s for something that is worth a line in the log.
    #[cold]
    pub(crate) fn abort_for(&self, reason: &str) {
        if !self.is_aborted() {
            tracing::warn!(remote = %self.remote, reason, "session is closed");
        }
        self.abort_session(reason);
    }

    /// Ends the connection at once.
    pub(crate) fn abort(&self, reason: impl Into<String>) {
        self.raise_state(ABORTED, reason);
    }

    fn raise_state(&self, to: u8, reason: impl Into<String>) {
        let raised = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                (now < to).then_some(to)
            });
        if raised.is_err() {
            // Nobody is woken for what is known: the task itself may be saying so.
            return;
        }
        self.set_reason(reason);
        self.leave_line(to >= FAILED);
        if to >= FAILED {
            self.done.notify_waiters();
        }
        self.look(LOOK_STATE);
    }

    /// Tells the line of the session that this connection is not to be used any more. Once it has
    /// failed nothing more is written, so that it is known what may be sent again on the next.
    fn leave_line(&self, has_failed: bool) {
        if let Some(line) = self.line() {
            if has_failed {
                self.out.close();
            }
            let reason = self.reason.get().map_or("", String::as_str);
            line.lost(self, reason, has_failed);
        }
    }

    /// Everything is over; those who wait for it are told.
    pub(in crate::session) fn finish(self: &Arc<Self>) {
        self.state.store(CLOSED, Ordering::SeqCst);
        self.end_count();
        if let Some(line) = self.line() {
            line.connection_ended(self);
        }
        self.done.notify_waiters();
    }

    pub(in crate::session) async fn closed(&self) {
        self.until(Self::is_closed).await;
    }

    /// Waits until reading is over.
    pub(in crate::session) async fn lost(&self) {
        let is_lost = |inner: &Self| inner.state.load(Ordering::SeqCst) >= FAILED;
        self.until(is_lost).await;
    }

    /// Waits for something that is so from a state on that is told.
    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        loop {
            let told = self.done.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if is_so(self) {
                return;
            }
            told.await;
        }
    }

    /// Makes the session's task look at something.
    pub(in crate::session) fn look(&self, at: u8) {
        self.attention.fetch_or(at, Ordering::AcqRel);
        self.waker.wake();
    }

    /// What the session's task was asked to look at since it last did.
    #[inline]
    pub(in crate::session) fn take_attention(&self) -> u8 {
        if self.attention.load(Ordering::Acquire) == 0 {
            return 0;
        }
        self.attention.swap(0, Ordering::AcqRel)
    }
}
