//! Dialling again: the task of a line that has no connection to be used.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::{EndedBy, Line, Phase};
use crate::error::{Error, ErrorKind};
use crate::lock;
use crate::message::meta;
use crate::session::Session;
use crate::session::events::SessionEventKind;
use crate::session::inner::Inner;

impl Line {
    pub(super) fn spawn_dialling(self: &Arc<Self>) {
        // Dropped with its runtime, it ends the line.
        let mut guard = EndsLine(Some(Arc::clone(self)));
        let work = async move {
            if let Some(line) = guard.0.clone() {
                line.dial_again().await;
            }
            guard.0.take();
        };
        self.shared.tasks().spawn_on(work, &self.runtime);
    }

    /// Dials until there is another connection, or no sense in going on.
    async fn dial_again(self: &Arc<Self>) {
        let mut failed: Option<Error> = None;
        loop {
            if self.shared.is_closing() {
                self.begin_end("the peer is closing");
                return self.finish(None).await;
            }
            let Some((attempt, delay)) = self.next_attempt() else {
                return self.give_up(failed.as_ref()).await;
            };
            let delay = delay.max(self.asked_to_wait(failed.as_ref()));
            self.tell(|| SessionEventKind::Redialling { attempt, delay });
            let attempt = async {
                tokio::time::sleep(delay).await;
                self.open().await
            };
            let opened = tokio::select! {
                biased;
                () = self.stop.cancelled() => return self.finish(None).await,
                opened = attempt => opened,
            };
            match opened {
                Ok((inner, name)) => {
                    self.send_unsent(&inner).await;
                    if self.install(&inner) {
                        if let Some(name) = name {
                            inner.set_id(&name);
                        }
                        return;
                    }
                    let why = inner.close_reason().unwrap_or_default();
                    let error = format!("the new connection was lost at once: {why}");
                    failed = Some(Error::new(ErrorKind::Dial, error).with_meta(inner.refusal()));
                }
                Err(error) => {
                    let target = self.connector.target();
                    tracing::debug!(to = %target, error = %error.chain(), "dialling again failed");
                    if is_final(&error) {
                        return self.give_up(Some(&error)).await;
                    }
                    failed = Some(error);
                }
            }
        }
    }

    /// How long the other end wants to be left alone, within reason.
    fn asked_to_wait(&self, failed: Option<&Error>) -> Duration {
        let wait = match failed {
            Some(error) => error.retry_after(),
            None => self
                .newest()
                .and_then(|newest| meta::retry_after(newest.refusal()?)),
        };
        wait.unwrap_or_default().min(self.policy.max_interval)
    }

    fn next_attempt(&self) -> Option<(u32, Duration)> {
        let mut state = lock(&self.state);
        let prompt = state.prompt.take();
        let prompt = prompt.and_then(|spread| state.pauses.within(&self.policy, spread));
        state.free += u32::from(prompt.is_some());
        if prompt.is_none()
            && self
                .policy
                .is_over(state.attempts.saturating_sub(state.free))
        {
            return None;
        }
        state.attempts = state.attempts.saturating_add(1);
        let delay = prompt.unwrap_or_else(|| state.pauses.next(&self.policy));
        Some((state.attempts, delay))
    }

    /// Opens a connection and has the plugins agree to it.
    async fn open(self: &Arc<Self>) -> Result<(Arc<Inner>, Option<Arc<str>>), Error> {
        let timeout = match self.timeout {
            Duration::ZERO => self.policy.attempt_timeout,
            timeout => timeout,
        };
        let (connector, proto) = (&*self.connector, &self.proto);
        let opened = caught(self.shared.open_again(connector, timeout, proto, self));
        Ok(opened.await?.start_again(self))
    }

    /// Takes a connection into use. Tells whether it can be.
    fn install(self: &Arc<Self>, inner: &Arc<Inner>) -> bool {
        let (attempts, outage) = {
            let _naming = lock(&self.naming);
            let mut state = lock(&self.state);
            if matches!(state.phase, Phase::Closing(_) | Phase::Ended) {
                drop(state);
                inner.abort("the session is closed");
                // The next look at `stop` ends it.
                return false;
            }
            if !inner.is_open() {
                return false;
            }
            if let Some(before) = self.newest() {
                inner.carry_on(&before);
                self.shared.hub().replace(&before, inner);
            }
            self.newest.store(Some(Arc::clone(inner)));
            state.phase = Phase::Up;
            state.up_since = Instant::now();
            let outage = state.lost_at.take().map(|at| at.elapsed());
            (state.attempts, outage.unwrap_or_default())
        };
        self.changed.notify_waiters();
        tracing::info!(remote = %inner.remote, attempts, ?outage, "the session goes on");
        self.tell(|| SessionEventKind::Restored { attempts, outage });
        true
    }

    /// Sends the pushes that a lost connection left, in their order.
    pub(super) async fn send_unsent(self: &Arc<Self>, inner: &Arc<Inner>) {
        let session = Session(Arc::clone(inner));
        loop {
            let Some((nth, kept)) = lock(&self.state).unsent.pop_first() else {
                return;
            };
            match kept.send_on(&session).await {
                Ok(()) => {}
                Err(error) if error.is_not_run() && error.is_closed() => {
                    lock(&self.state).unsent.insert(nth, kept);
                    return;
                }
                Err(error) => {
                    lock(&self.state).pushes_lost += 1;
                    let (remote, error) = (&inner.remote, error.chain());
                    tracing::warn!(%remote, error, "a push of the lost connection was not sent");
                }
            }
        }
    }

    /// No more attempts.
    async fn give_up(&self, error: Option<&Error>) {
        {
            let mut state = lock(&self.state);
            if state.phase == Phase::Down {
                state.phase = Phase::Closing(EndedBy::Dialling);
                let lost = state.reason.take().unwrap_or_default();
                let why = match (error, state.attempts) {
                    (None, _) => "no attempt is left".to_owned(),
                    (Some(error), attempts) => {
                        format!("attempt {attempts} failed: {}", error.chain())
                    }
                };
                state.reason = Some(format!("{lost}; dialling again was given up: {why}"));
            }
        }
        self.changed.notify_waiters();
        let reason = self.close_reason().unwrap_or_default();
        tracing::warn!(to = %self.connector.target(), reason, "session is closed");
        self.finish(None).await;
    }
}

/// Awaits what calls a transport of the user's. A panic in it costs the attempt, not the session.
async fn caught<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        polled.unwrap_or_else(|panic| {
            let text = crate::panic_text(&*panic);
            tracing::error!(panic = %text.escape_debug(), "dialling again panicked");
            let text = format!("a panic while it was dialled: {text}");
            Poll::Ready(Err(Error::new(ErrorKind::Dial, text)))
        })
    })
    .await
}

/// Whether another attempt would end the same way: a plugin, or the other end by way of one, says
/// that this peer may not come in. Codes 400 to 499 say so, but for those that speak of the time.
fn is_final(error: &Error) -> bool {
    const REQUEST_TIMEOUT: i32 = 408;
    const TOO_EARLY: i32 = 425;
    const TOO_MANY: i32 = 429;
    let code = error.rerror().map(crate::Rerror::code);
    error.kind() == ErrorKind::Refused
        && code.is_some_and(|code| {
            (400..500).contains(&code) && ![REQUEST_TIMEOUT, TOO_EARLY, TOO_MANY].contains(&code)
        })
}

/// Ends a line whose task is gone.
struct EndsLine(Option<Arc<Line>>);

impl Drop for EndsLine {
    fn drop(&mut self) {
        if let Some(line) = self.0.take() {
            line.end("the task that dialled again ended early");
        }
    }
}
