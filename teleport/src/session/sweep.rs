//! One timer a peer for what must not last: calls past their deadline, other ends that do not
//! read, reading that has stopped, and sessions past their age.
//!
//! Only sessions that gave a reason are looked at, and the timer sleeps while there is none.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::inner::{Inner, LOOK_STATE};
use crate::lock;
use crate::peer::Shared;

/// Deadlines that lie closer together than this are taken in one look.
const GRAIN: Duration = Duration::from_millis(10);

/// How often a session whose queue is full is looked at.
const STALL_LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    state: Mutex<State>,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    watched: Vec<Weak<Inner>>,
    /// The sessions that have an age, by the end of it.
    ages: BTreeMap<(Instant, u64), Weak<Inner>>,
    next: Option<Instant>,
    runs: bool,
}

/// What is watched of a session that has an age, or had a full queue or too many handlers.
#[derive(Debug, Default)]
pub(super) struct Watched {
    age: Mutex<Age>,
    stalled: Mutex<Stall>,
    pause: Mutex<Pause>,
}

/// The age of a session.
#[derive(Debug, Default)]
struct Age {
    age: Duration,
    end: Option<Instant>,
    /// The session is over, and nothing is to be watched any more.
    gone: bool,
}

/// For how long reading stops because too many handlers run, if nothing changes: the notice that
/// a caller gave up on one of them may be what has to be read.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Since when a session that has too many handlers has taken nothing.
#[derive(Debug, Default)]
struct Pause {
    came: u64,
    since: Option<Instant>,
}

/// Since when a session has not written, though there is something to write.
#[derive(Debug, Default)]
struct Stall {
    written: u64,
    since: Option<Instant>,
}

impl Sweeper {
    /// Watches a session: because of a deadline, or because its queue is full.
    pub(super) fn watch(&self, inner: &Arc<Inner>, deadline: Option<Instant>) {
        let is_new = !inner.swept.swap(true, Ordering::SeqCst);
        let at = deadline.unwrap_or_else(|| Instant::now() + STALL_LOOK);
        let mut state = lock(&self.state);
        if is_new {
            state.watched.push(Arc::downgrade(inner));
        }
        self.look_at(at, state, inner);
    }

    /// Sees to it that the timer looks at this time.
    fn look_at(&self, at: Instant, mut state: MutexGuard<'_, State>, inner: &Arc<Inner>) {
        if !state.runs {
            state.runs = true;
            state.next = Some(at);
            // A runtime that has ended drops the timer at once, and the timer's end locks the state.
            drop(state);
            self.start(&inner.shared, &inner.runtime, Vec::new());
        } else if state.next.is_none_or(|next| at < next) {
            state.next = Some(at);
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Starts the timer on a runtime; `tried` are those on which it has ended.
    fn start(&self, shared: &Arc<Shared>, runtime: &Handle, mut tried: Vec<runtime::Id>) {
        tried.push(runtime.id());
        let shared = Arc::downgrade(shared);
        let wake = Arc::clone(&self.wake);
        let runs = Runs {
            shared: shared.clone(),
            tried,
        };
        runtime.spawn(async move {
            run(shared, wake).await;
            drop(runs);
        });
    }

    /// Looks at all that are watched, and notes when to look again.
    fn look(&self) {
        let watched = {
            let mut state = lock(&self.state);
            // Whoever comes up with a reason from now on asks for a look of its own.
            state.next = None;
            std::mem::take(&mut state.watched)
        };
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut kept = Vec::with_capacity(watched.len());
        for weak in watched {
            let Some(inner) = weak.upgrade() else {
                continue;
            };
            // A reason that comes up while we look registers the session anew.
            inner.swept.swap(false, Ordering::SeqCst);
            let mut again = inner.time_calls_out(now);
            if look_at_queue(&inner, now) | inner.look_at_pause(now) {
                let at = now + STALL_LOOK;
                again = Some(again.map_or(at, |again| again.min(at)));
            }
            if let Some(at) = again {
                next = Some(next.map_or(at, |next| next.min(at)));
                if !inner.swept.swap(true, Ordering::SeqCst) {
                    kept.push(weak);
                }
            }
        }
        next = earlier(next, self.end_old(now));
        let mut state = lock(&self.state);
        state.watched.append(&mut kept);
        if let Some(at) = next {
            let at = at.max(now + GRAIN);
            state.next = Some(state.next.map_or(at, |asked| asked.min(at)));
        }
    }

    /// Ends the sessions that are past their age, and tells when the next will be.
    fn end_old(&self, now: Instant) -> Option<Instant> {
        loop {
            let (inner, number) = {
                let mut state = lock(&self.state);
                let first = state.ages.first_entry()?;
                let (at, number) = *first.key();
                if at > now {
                    return Some(at);
                }
                (first.remove().upgrade(), number)
            };
            if let Some(inner) = inner {
                debug_assert_eq!(inner.number, number);
                inner.end_of_age();
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        lock(&self.state).next
    }
}

/// The timer runs as long as this lives. Should its runtime end before its peer, then it goes on
/// where another of the sessions lives that it watches; else the next one to need it starts it.
struct Runs {
    shared: Weak<Shared>,
    tried: Vec<runtime::Id>,
}

impl Drop for Runs {
    #[cold]
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let sweeper = shared.sweeper();
        let mut state = lock(&sweeper.state);
        let watched = state.watched.iter().chain(state.ages.values());
        // All are kept until the lock is given back: the last to let go of a session drops it.
        let watched: Vec<_> = watched.filter_map(Weak::upgrade).collect();
        let elsewhere = watched
            .iter()
            .map(|inner| &inner.runtime)
            .find(|runtime| !self.tried.contains(&runtime.id()));
        state.runs = elsewhere.is_some();
        drop(state);
        if let Some(runtime) = elsewhere {
            sweeper.start(&shared, runtime, std::mem::take(&mut self.tried));
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        // The timer finds its peer gone, and ends.
        self.wake.notify_one();
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Inner {
    pub(super) fn session_age(&self) -> Duration {
        let watched = self.watched.get();
        watched.map_or(Duration::ZERO, |watched| lock(&watched.age).age)
    }

    /// Sets the age, counted from now; zero: none.
    pub(super) fn set_session_age(self: &Arc<Self>, age: Duration) {
        if age.is_zero() && self.session_age().is_zero() {
            return;
        }
        let mut mine = lock(&self.watched().age);
        if mine.gone {
            return;
        }
        let end = (!age.is_zero())
            .then(|| Instant::now().checked_add(age))
            .flatten();
        let sweeper = self.shared.sweeper();
        let mut state = lock(&sweeper.state);
        if let Some(before) = mine.end {
            state.ages.remove(&(before, self.number));
        }
        (mine.age, mine.end) = (age, end);
        if let Some(end) = end {
            state.ages.insert((end, self.number), Arc::downgrade(self));
            sweeper.look_at(end, state, self);
        }
    }

    /// The session is over: its age need not be watched any more.
    pub(super) fn forget_age(&self) {
        let mut mine = lock(&self.watched().age);
        mine.gone = true;
        if let Some(end) = mine.end.take() {
            let mut state = lock(&self.shared.sweeper().state);
            state.ages.remove(&(end, self.number));
        }
    }

    /// Made when it is needed, for most sessions never need it.
    fn watched(&self) -> &Watched {
        self.watched.get_or_init(Box::default)
    }

    /// Sees to it that a stop of the reading does not last while callers may have given up.
    #[cold]
    pub(super) fn watch_pause(self: &Arc<Self>) {
        if self.cancels.any() {
            self.shared.sweeper().watch(self, None);
        }
    }

    /// Looks whether reading has stopped for too long, and lets it go on then until fewer handlers
    /// run. Tells whether it has to be looked at again.
    fn look_at_pause(&self, now: Instant) -> bool {
        if !self.is_overloaded() || !self.cancels.any() {
            self.listens.store(false, Ordering::SeqCst);
            if let Some(watched) = self.watched.get() {
                *lock(&watched.pause) = Pause::default();
            }
            return false;
        }
        if self.listens.load(Ordering::SeqCst) {
            return true;
        }
        let came = self.came.load(Ordering::Relaxed);
        let mut pause = lock(&self.watched().pause);
        let since = match pause.since {
            Some(since) if pause.came == came => since,
            _ => {
                let since = Some(now);
                *pause = Pause { came, since };
                return true;
            }
        };
        drop(pause);
        if now.saturating_duration_since(since) >= LONGEST_PAUSE {
            let running = self.running();
            tracing::warn!(
                remote = %self.remote, running,
                "as many handlers run as may, and none ends: calls are refused, cancellations heard"
            );
            self.listens.store(true, Ordering::SeqCst);
            self.look(LOOK_STATE);
        }
        true
    }

    #[cold]
    fn end_of_age(&self) {
        let age = self.session_age();
        let reason = format!("the session reached its age of {age:?}");
        if self.line().is_some_and(|line| line.goes_on()) {
            // It goes on by another connection; what is under way on this one may end well.
            self.begin_close_here(&reason);
            return;
        }
        if self.is_open() {
            tracing::info!(remote = %self.remote, ?age, "session is closed: it reached its age");
        }
        self.fail(reason);
    }

    /// Times calls out, and tells the other end, if it wants to know.
    fn time_calls_out(&self, now: Instant) -> Option<Instant> {
        if !self.propagates() {
            return self.calls.sweep(now, None);
        }
        let mut given_up = Vec::new();
        let next = self.calls.sweep(now, Some(&mut given_up));
        for seq in given_up {
            self.tell_cancel(&seq);
        }
        next
    }
}

/// Looks whether the other end reads; closes a session that has not for too long. Tells whether
/// it has to be looked at again.
fn look_at_queue(inner: &Arc<Inner>, now: Instant) -> bool {
    if !inner.out.is_full() {
        if let Some(watched) = inner.watched.get() {
            *lock(&watched.stalled) = Stall::default();
        }
        return false;
    }
    let (written, queued) = inner.out.progress();
    let mut stall = lock(&inner.watched().stalled);
    let since = match stall.since {
        Some(since) if stall.written == written => since,
        _ => {
            *stall = Stall {
                written,
                since: Some(now),
            };
            return true;
        }
    };
    drop(stall);
    if now.saturating_duration_since(since) < inner.bounds().stall {
        return true;
    }
    let waited = inner.bounds().stall;
    let reason =
        format!("the other end read nothing for {waited:?}, while {queued} bytes wait for it");
    tracing::warn!(remote = %inner.remote, reason, "session is closed");
    inner.abort(reason);
    false
}

/// The timer of a peer; ends with it.
async fn run(shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        let Some(next) = shared.upgrade().map(|shared| shared.sweeper().next()) else {
            return;
        };
        match next {
            None => wake.notified().await,
            Some(at) => {
                tokio::select! {
                    () = tokio::time::sleep_until(at) => {
                        let Some(shared) = shared.upgrade() else { return };
                        shared.sweeper().look();
                    }
                    () = wake.notified() => {}
                }
            }
        }
    }
}
