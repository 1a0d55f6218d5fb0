//! How long the handling of a message may last, and whether anybody still wants it.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::rerror::Rerror;

/// What becomes of a handler whose time is over, or whose caller gave up.
///
/// The caller of a handler whose time is over is answered with error 408 at that moment, whatever
/// is chosen here. A handler that goes on counts as running until it ends, and its result is
/// dropped with a log line. At the deadline of a [shutdown](crate::Peer::shutdown) handlers that wait
/// are dropped, but for those that [`Finish`](Self::Finish). See [`PeerConfig::on_cancel`](crate::PeerConfig::on_cancel).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnCancel {
    /// Its future is dropped where it waits, and with it the calls that it waits for. A handler
    /// that computes or blocks cannot be stopped: it ends by itself.
    Abort,
    /// It goes on, and can find out: [`cancelled`](super::Received::cancelled) and
    /// [`is_cancelled`](super::Received::is_cancelled) tell it.
    #[default]
    Notify,
    /// It goes on and is told nothing; its calls are not bound by its time, and callers that give
    /// up are ignored. A shutdown does not drop it, but waits no longer than for others.
    Finish,
}

impl OnCancel {
    const fn from_u8(byte: u8) -> Self {
        match byte {
            0 => Self::Abort,
            1 => Self::Notify,
            _ => Self::Finish,
        }
    }
}

/// What a route says about the time of its handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Zero: no limit. `None`: that of the session.
    pub(crate) age: Option<Duration>,
    /// `None`: what the peer says.
    pub(crate) on_cancel: Option<OnCancel>,
}

/// How long the handling of one message may last, and whether its caller still waits.
#[derive(Debug)]
pub(crate) struct Life {
    started: Instant,
    /// What the caller said; empty until it is known.
    asked: OnceLock<Attends>,
    /// The age of the session, and the choice of the peer: what holds where the route says nothing.
    default_age: Duration,
    default_choice: OnCancel,
    /// In nanoseconds behind `started`; [`NEVER`] without a limit.
    limit: AtomicU64,
    choice: AtomicU8,
    /// The handler has been started; before that there is nothing that could go on.
    handling: AtomicBool,
    given_up: AtomicBool,
    told: AtomicBool,
    driver: AtomicWaker,
    tell: Notify,
}

/// A caller who says so when it gives up.
#[derive(Debug)]
struct Attends {
    /// When it does at the latest, by what it said.
    until: Option<Instant>,
}

const NEVER: u64 = u64::MAX;

impl Life {
    /// The life of a message that was just read.
    pub(crate) fn new(caller: Option<Asked>, age: Duration, choice: OnCancel) -> Self {
        let started = Instant::now();
        let life = Self {
            started,
            asked: OnceLock::new(),
            default_age: age,
            default_choice: choice,
            limit: AtomicU64::new(NEVER),
            choice: AtomicU8::new(choice as u8),
            handling: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            told: AtomicBool::new(false),
            driver: AtomicWaker::new(),
            tell: Notify::new(),
        };
        match caller {
            Some(caller) => life.set_asked(caller),
            None => life.set_limits(&Limits::default()),
        }
        life
    }

    /// Takes what the caller said, once, before the route is known. The time counts from now on.
    pub(crate) fn set_asked(&self, caller: Asked) {
        let until = caller.0.and_then(|left| Instant::now().checked_add(left));
        let _ = self.asked.set(Attends { until });
        self.set_limits(&Limits::default());
    }

    /// How long the caller waits, counted from the start.
    fn asked(&self) -> Option<Duration> {
        let until = self.asked.get()?.until?;
        Some(until.saturating_duration_since(self.started))
    }

    /// Takes what the route says, now that it is known. The time counts from the first hook on.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        let age = limits.age.unwrap_or(self.default_age);
        let own = (!age.is_zero()).then_some(age);
        let limit = match (own, self.asked()) {
            (Some(own), Some(asked)) => Some(own.min(asked)),
            (own, asked) => own.or(asked),
        };
        let nanos = limit.and_then(|limit| u64::try_from(limit.as_nanos()).ok());
        self.limit.store(nanos.unwrap_or(NEVER), Ordering::SeqCst);
        let choice = limits.on_cancel.unwrap_or(self.default_choice);
        self.choice.store(choice as u8, Ordering::SeqCst);
    }

    /// How long the handling may last in all.
    fn limit(&self) -> Option<Duration> {
        match self.limit.load(Ordering::SeqCst) {
            NEVER => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.started.checked_add(self.limit()?)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.deadline().is_some_and(|at| at <= Instant::now())
    }

    /// How long it has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What the caller is told when the time is over.
    #[cold]
    pub(crate) fn timed_out(&self) -> Rerror {
        let limit = self.limit().unwrap_or_default();
        let whose = if self.asked() == Some(limit) {
            ", all the time that its caller had left"
        } else {
            ""
        };
        Rerror::timeout(format!("the handler was not done within {limit:?}{whose}"))
    }

    /// Whether the caller says so when it gives up.
    pub(crate) fn is_attended(&self) -> bool {
        self.asked.get().is_some()
    }

    /// From now on there is a handler that could go on.
    pub(crate) fn begin_handling(&self) {
        self.handling.store(true, Ordering::SeqCst);
    }

    /// What is to become of the work. Before its handler has started, it just ends.
    pub(crate) fn choice(&self) -> OnCancel {
        if self.handling.load(Ordering::SeqCst) {
            OnCancel::from_u8(self.choice.load(Ordering::SeqCst))
        } else {
            OnCancel::Abort
        }
    }

    /// Notes that the caller gave up; tells whether that is news.
    pub(crate) fn give_up(&self) -> bool {
        let news = !self.given_up.swap(true, Ordering::SeqCst);
        if news {
            self.driver.wake();
        }
        news
    }

    /// Whether the caller gave up, and that matters here.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::SeqCst) && self.choice() != OnCancel::Finish
    }

    /// Whoever drives the work is woken when the caller gives up.
    pub(crate) fn watch(&self, waker: &Waker) {
        self.driver.register(waker);
    }

    /// Tells the handler.
    pub(crate) fn tell(&self) {
        self.told.store(true, Ordering::SeqCst);
        self.tell.notify_waiters();
    }

    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::SeqCst)
    }

    /// Waits until the handler is told.
    pub(crate) async fn told(&self) {
        loop {
            let mut told = pin!(self.tell.notified());
            told.as_mut().enable();
            if self.is_told() {
                return;
            }
            told.await;
        }
    }

    /// Runs work that may be a part of the handling, such as one poll: the calls that it makes are
    /// bound by the time that is left.
    pub(crate) fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = self.handling.load(Ordering::SeqCst) && self.choice() == OnCancel::Finish;
        let deadline = if free { None } else { self.deadline() };
        let _scope = Scope(BOUND.replace(deadline));
        work()
    }

    /// [`scope`](Self::scope)s a future.
    pub(crate) async fn scoped<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| self.scope(|| future.as_mut().poll(cx))).await
    }

    /// [`scoped`](Self::scoped) for a handler that runs apart from its driver, such as on a thread
    /// that may block; `None`: it was stopped where it waited.
    pub(crate) async fn scoped_apart<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut told = pin!(self.told());
        poll_fn(|cx| {
            if self.choice() == OnCancel::Abort && told.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            self.scope(|| future.as_mut().poll(cx)).map(Some)
        })
        .await
    }
}

thread_local! {
    /// When the handler that is being polled on this thread has to be done.
    static BOUND: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Puts back what was there before, also after a panic.
struct Scope(Option<Instant>);

impl Drop for Scope {
    fn drop(&mut self) {
        BOUND.set(self.0);
    }
}

/// When the handler that is being polled on this thread has to be done; `None` outside of one, and
/// in one that has all the time.
#[inline]
pub(crate) fn bound() -> Option<Instant> {
    BOUND.get()
}

/// That a caller tells when it gives up, and how much time it has left, if it has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked(pub(crate) Option<Duration>);

impl Asked {
    /// Reads what the caller said. What is no number of milliseconds says nothing about time.
    pub(crate) fn read(text: &[u8]) -> Self {
        let digits = !text.is_empty() && text.len() <= 19 && text.iter().all(u8::is_ascii_digit);
        let millis = digits
            .then(|| std::str::from_utf8(text).ok()?.parse().ok())
            .flatten();
        Self(millis.map(Duration::from_millis))
    }

    /// What to say when so much time is left. Part of a millisecond counts as one.
    pub(crate) fn text(left: Option<Duration>) -> String {
        let Some(left) = left else {
            return String::new();
        };
        let millis = left.as_nanos().div_ceil(1_000_000);
        millis.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn left(text: &str) -> Option<Duration> {
        Asked::read(text.as_bytes()).0
    }

    #[test]
    fn what_is_no_number_of_milliseconds_sets_no_limit() {
        assert_eq!(left("250"), Some(Duration::from_millis(250)));
        assert_eq!(left("0"), Some(Duration::ZERO));
        for bad in [
            "",
            "-1",
            "+1",
            "1.5",
            "1e3",
            " 1",
            "ten",
            "99999999999999999999",
            "٣",
        ] {
            assert_eq!(left(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_left_is_read_as_it_was_said() {
        for (left, text) in [
            (Duration::ZERO, "0"),
            (Duration::from_nanos(1), "1"),
            (Duration::from_micros(1500), "2"),
            (SECOND, "1000"),
        ] {
            assert_eq!(Asked::text(Some(left)), text);
        }
        assert_eq!(Asked::text(None), "");
        let longest = Asked::text(Some(Duration::MAX));
        assert_eq!(left(&longest), None, "{longest}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_shorter_limit_counts_and_a_huge_one_is_none() {
        let limit = |asked: &str, age: Duration| {
            let life = Life::new(Some(Asked::read(asked.as_bytes())), age, OnCancel::Notify);
            life.limit()
        };
        assert_eq!(limit("5", SECOND), Some(Duration::from_millis(5)));
        assert_eq!(limit("5000", SECOND), Some(SECOND));
        assert_eq!(limit("x", SECOND), Some(SECOND));
        assert_eq!(limit("x", Duration::ZERO), None);
        assert_eq!(limit("9999999999999999999", SECOND), Some(SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn the_bound_of_a_thread_is_put_back_also_after_a_panic() {
        let outer = Life::new(None, SECOND, OnCancel::Notify);
        let inner = Life::new(None, SECOND / 2, OnCancel::Notify);
        outer.scope(|| {
            assert_eq!(bound(), outer.deadline());
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                inner.scope(|| {
                    assert_eq!(bound(), inner.deadline());
                    std::panic::resume_unwind(Box::new("in the inner one"));
                })
            }));
            assert!(panicked.is_err());
            assert_eq!(bound(), outer.deadline());
        });
        assert_eq!(bound(), None);
    }
}
