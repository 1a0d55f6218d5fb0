//! How a line ends: once, whichever of its connections is the last.

use std::sync::Arc;

use super::{EndedBy, Line, Phase};
use crate::lock;
use crate::session::events::SessionEventKind;
use crate::session::inner::Inner;

impl Line {
    /// Ends the line in good order.
    pub(in crate::session) fn close(&self, reason: &str) {
        if let Some(inner) = self.begin_end(reason) {
            inner.begin_close_here(reason);
        }
    }

    /// Ends the line and all its connections at once.
    pub(in crate::session) fn abort(&self, reason: &str) {
        self.begin_end(reason);
        for inner in self.alive() {
            inner.abort(reason);
        }
    }

    /// No more connections from now on. Gives the one whose end is the line's.
    pub(super) fn begin_end(&self, reason: &str) -> Option<Arc<Inner>> {
        let inner = {
            let mut state = lock(&self.state);
            let by = match state.phase {
                Phase::Up => EndedBy::Connection,
                Phase::Down => EndedBy::Dialling,
                Phase::Closing(_) | Phase::Ended => return None,
            };
            state.phase = Phase::Closing(by);
            state.reason = Some(reason.to_owned());
            self.newest().filter(|_| by == EndedBy::Connection)
        };
        self.stop.cancel();
        self.changed.notify_waiters();
        inner
    }

    /// Whether the end of this connection is the end of the line. Asked by its task, which then
    /// [`finish`](Self::finish)es the line.
    pub(in crate::session) fn ends_with(&self, inner: &Inner) -> bool {
        let state = lock(&self.state);
        state.phase == Phase::Closing(EndedBy::Connection) && self.is_newest(inner)
    }

    /// The task of a connection is gone before its time, by a panic or with its runtime.
    pub(in crate::session) fn task_gone(&self, inner: &Inner, reason: &str) {
        let is_last = {
            let state = lock(&self.state);
            matches!(state.phase, Phase::Up | Phase::Closing(EndedBy::Connection))
                && self.is_newest(inner)
        };
        if is_last {
            self.end(reason);
        }
    }

    /// A connection is at its end.
    pub(in crate::session) fn connection_ended(&self, inner: &Inner) {
        let mut state = lock(&self.state);
        state
            .alive
            .retain(|other| other.upgrade().is_some_and(|o| o.number != inner.number));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Runs the last hooks, once for all connections, and ends the line.
    pub(in crate::session) async fn finish(&self, own: Option<&Inner>) {
        let left = usize::from(own.is_some());
        self.until(|state| state.alive.len() <= left).await;
        if let Some(newest) = self.newest() {
            {
                let _naming = lock(&self.naming);
                self.shared.hub().retire(&newest);
            }
            newest.run_last_hooks().await;
        }
        self.end("");
    }

    /// Ends the line, whoever still waits for something.
    pub(in crate::session) fn end(&self, reason: &str) {
        let (reason, pushes_lost) = {
            let mut state = lock(&self.state);
            if state.phase == Phase::Ended {
                return;
            }
            if !matches!(state.phase, Phase::Closing(_)) {
                state.reason = Some(reason.to_owned());
            }
            state.phase = Phase::Ended;
            let unsent = std::mem::take(&mut state.unsent).len();
            (
                state.reason.clone().unwrap_or_default(),
                state.pushes_lost + unsent,
            )
        };
        if pushes_lost > 0 {
            let target = self.connector.target();
            tracing::warn!(to = %target, pushes_lost, "pushes were lost with their session");
        }
        self.stop.cancel();
        self.tell(|| SessionEventKind::Closed {
            reason,
            pushes_lost,
        });
        {
            let _naming = lock(&self.naming);
            if let Some(newest) = self.newest.swap(None) {
                self.shared.hub().retire(&newest);
            }
        }
        self.changed.notify_waiters();
    }
}
