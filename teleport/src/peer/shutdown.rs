//! Shutting a peer down, within a time, with an account of what became of everything.
//!
//! The phases: no new connections; the other ends are told; what runs comes to its end, and
//! sessions on which nothing moves are closed; at the deadline the rest is cut off.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::lock;
use crate::session::{Inner, Session, Tally};

/// How often the sessions are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How long nothing must move on a session before it is closed: the other end may not understand
/// that it is told, and have a call on its way.
const QUIET: Duration = Duration::from_millis(100);

/// How long calls are taken from other ends that do not understand, at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the hooks of the end may take after the deadline, and tasks to come to their end after
/// that.
const LAST_HOOKS: Duration = Duration::from_millis(250);

const REASON: &str = "the peer is shutting down";

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a peer knows of its shutdown.
pub(super) struct Shutdown {
    begun: AtomicBool,
    /// What sees the shutdown through, until somebody who waits for it is in a runtime.
    driver: Mutex<Option<Driver>>,
    /// Connections that ended while handlers of them ran.
    apart: Mutex<Vec<Weak<Inner>>>,
    tally: Tally,
    hurry: CancellationToken,
    /// Connections that are not sessions yet are not waited for any more.
    late: CancellationToken,
    over: CancellationToken,
    report: watch::Sender<Option<ShutdownReport>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            begun: AtomicBool::new(false),
            driver: Mutex::default(),
            apart: Mutex::default(),
            tally: Tally::default(),
            hurry: CancellationToken::new(),
            late: CancellationToken::new(),
            over: CancellationToken::new(),
            report: watch::Sender::new(None),
        }
    }
}

impl Shutdown {
    pub(super) fn is_draining(&self) -> bool {
        self.begun.load(Ordering::SeqCst) && !self.over.is_cancelled()
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) async fn late(&self) {
        self.late.cancelled().await;
    }

    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }

    pub(super) fn note_apart(&self, inner: &Arc<Inner>) {
        let mut apart = lock(&self.apart);
        if apart.len() == apart.capacity() {
            apart.retain(|inner| inner.upgrade().is_some_and(|inner| inner.handlers() > 0));
        }
        apart.push(Arc::downgrade(inner));
    }

    /// The connections that ended while handlers of them ran, and do still.
    fn apart(&self) -> Vec<Arc<Inner>> {
        let apart = lock(&self.apart);
        let apart = apart.iter().filter_map(Weak::upgrade);
        apart.filter(|inner| inner.handlers() > 0).collect()
    }

    /// Begins to see the shutdown through, if nothing does yet and this is in a runtime.
    fn run_driver(&self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && let Some(driver) = lock(&self.driver).take()
        {
            runtime.spawn(driver);
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("begun", &self.begun)
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

/// What became of the work of a peer that was [shut down](super::Peer::shutdown).
///
/// Every handler that ran when the shutdown began, or was started while it lasted, is either
/// finished or cut off; every call that came in otherwise is refused. The same holds for the calls
/// of this side. [`fmt::Display`] says it in a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The sessions there were.
    pub sessions: usize,
    /// How many of them were cut off, rather than closed in good order.
    pub sessions_cut: usize,
    /// The handlers that came to their end: calls, pushes, and the hooks around them.
    pub handlers_finished: usize,
    /// The handlers that were cut off at the deadline: dropped where they waited. Nobody gets their
    /// replies.
    pub handlers_cut: usize,
    /// How many of those go on, until they or the runtime end: those that are to
    /// [finish](crate::OnCancel::Finish), and those that could not be dropped, because they block a
    /// thread or compute without waiting.
    pub handlers_left: usize,
    /// The calls that came when their session was closing, and were told that they were not run.
    pub calls_refused: usize,
    /// The pushes that came when their session was closing, and were dropped. A push has no answer;
    /// a peer of this kind is told how many of its pushes they were.
    pub pushes_dropped: usize,
    /// The calls of this side that came to their end: by a reply, their timeout, or their caller.
    pub calls_finished: usize,
    /// The calls of this side that got no reply, because their connection ended before.
    pub calls_cut: usize,
    /// The replies that were ready after their connection was gone.
    pub replies_lost: usize,
    /// The bytes that the other ends had not taken when they were cut off.
    pub bytes_unsent: usize,
    /// The hooks [`post_disconnect`](crate::Plugin::post_disconnect) that did not return in time.
    pub hooks_cut: usize,
    /// Why things were cut off, if any were: a second call of `shutdown`, rather than the deadline.
    pub was_hurried: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl ShutdownReport {
    /// Whether nothing was cut off or lost.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let lost = [
            self.sessions_cut,
            self.handlers_cut,
            self.pushes_dropped,
            self.calls_cut,
            self.replies_lost,
            self.bytes_unsent,
            self.hooks_cut,
        ];
        lost.iter().all(|n| *n == 0)
    }

    fn of(tally: &Tally, was_hurried: bool, elapsed: Duration) -> Self {
        let get = |n: &AtomicUsize| n.load(Ordering::SeqCst);
        let (handlers_cut, calls_cut) = (get(&tally.handlers_cut), get(&tally.calls_cut));
        Self {
            sessions: get(&tally.sessions),
            sessions_cut: get(&tally.sessions_cut),
            handlers_finished: get(&tally.handlers).saturating_sub(handlers_cut),
            handlers_cut,
            handlers_left: get(&tally.handlers_left),
            calls_refused: get(&tally.refused),
            pushes_dropped: get(&tally.pushes_dropped),
            calls_finished: get(&tally.calls).saturating_sub(calls_cut),
            calls_cut,
            replies_lost: get(&tally.replies_lost),
            bytes_unsent: get(&tally.bytes_unsent),
            hooks_cut: get(&tally.hooks_cut),
            was_hurried,
            elapsed,
        }
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "shut down in {:.3} s: {} sessions; handlers {} finished, {} cut off; calls {} \
             finished, {} cut off, {} refused",
            self.elapsed.as_secs_f64(),
            self.sessions,
            self.handlers_finished,
            self.handlers_cut,
            self.calls_finished,
            self.calls_cut,
            self.calls_refused,
        )?;
        let rare = [
            (self.sessions_cut, "sessions cut off"),
            (self.handlers_left, "handlers go on"),
            (self.pushes_dropped, "pushes dropped"),
            (self.replies_lost, "replies lost"),
            (self.bytes_unsent, "bytes unsent"),
            (self.hooks_cut, "hooks cut off"),
        ];
        for (count, what) in rare.iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {count} {what}")?;
        }
        match (self.is_complete(), self.was_hurried) {
            (true, _) => f.write_str("; nothing was lost"),
            (false, true) => f.write_str("; it was hurried"),
            (false, false) => Ok(()),
        }
    }
}

/// Begins the shutdown, or hurries it if it has begun.
pub(super) fn shut_down(
    shared: &Arc<Shared>,
    deadline: Duration,
) -> impl Future<Output = ShutdownReport> + Send + use<> {
    let mut report = shared.shutdown.report.subscribe();
    if shared.shutdown.begun.swap(true, Ordering::SeqCst) {
        shared.shutdown.hurry.cancel();
    } else {
        let apart = begin(shared);
        let driver = drive(Arc::clone(shared), apart, Instant::now(), deadline);
        *lock(&shared.shutdown.driver) = Some(Box::pin(driver));
    }
    shared.shutdown.run_driver();
    let shared = Arc::clone(shared);
    async move {
        shared.shutdown.run_driver();
        drop(shared);
        // The sender is a part of the peer, which the driver keeps alive until it has reported.
        let report = report.wait_for(Option::is_some).await;
        report
            .map(|report| report.clone())
            .ok()
            .flatten()
            .unwrap_or_default()
    }
}

/// Takes no more connections, and makes the sessions tell their other ends. Gives the connections
/// that are at their end while handlers of them run.
fn begin(shared: &Arc<Shared>) -> Vec<Arc<Inner>> {
    shared.closing.cancel();
    let apart = shared.shutdown.apart();
    for inner in &apart {
        inner.begin_count();
    }
    let sessions = shared.hub.all();
    shared.shutdown.tally.spread_for(sessions.len());
    for session in sessions {
        session.0.ask_to_drain();
    }
    shared.tasks.close();
    apart
}

/// All connections of which something is left.
fn connections(shared: &Shared) -> Vec<Arc<Inner>> {
    let sessions = shared.hub.all();
    let of_sessions = sessions.iter().flat_map(|s| s.0.connections());
    of_sessions.chain(shared.shutdown.apart()).collect()
}

async fn drive(shared: Arc<Shared>, apart: Vec<Arc<Inner>>, began: Instant, deadline: Duration) {
    let hurry = shared.shutdown.hurry.clone();
    let in_time = tokio::select! {
        biased;
        () = hurry.cancelled() => false,
        done = tokio::time::timeout(deadline, drain(&shared, deadline)) => done.is_ok(),
    };
    if !in_time {
        cut_off(&shared).await;
    }
    shared.shutdown.over.cancel();
    for inner in connections(&shared).iter().chain(&apart) {
        inner.sum_up();
    }
    let report = ShutdownReport::of(
        &shared.shutdown.tally,
        !in_time && hurry.is_cancelled(),
        began.elapsed(),
    );
    shared.shutdown.report.send_replace(Some(report));
}

/// Closes the sessions on which nothing moves, and in the end all of them, until none is left.
async fn drain(shared: &Arc<Shared>, deadline: Duration) {
    let until = Instant::now() + PATIENCE.min(deadline / 2);
    let quiet = QUIET.min(deadline / 4);
    let mut still: HashMap<u64, (u64, Instant)> = HashMap::new();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shared.tasks.wait() => break,
            _ = looks.tick() => {}
        }
        let now = Instant::now();
        if now >= until {
            shared.shutdown.late.cancel();
        }
        for session in shared.hub.all() {
            // What a session refuses it counts, once its task has begun to.
            let is_late = now >= until && session.inner().is_counting();
            if is_late || is_still(&session, &mut still, now, quiet) {
                session.inner().begin_close(REASON);
            }
        }
    }
    while !shared.shutdown.apart().is_empty() {
        looks.tick().await;
    }
}

/// Whether nothing moved on a session for so long.
fn is_still(
    session: &Session,
    still: &mut HashMap<u64, (u64, Instant)>,
    now: Instant,
    quiet: Duration,
) -> bool {
    let number = session.inner().number();
    let Some(written) = session.inner().stillness() else {
        still.remove(&number);
        return false;
    };
    let (before, since) = *still.entry(number).or_insert((written, now));
    if before != written {
        still.insert(number, (written, now));
        return false;
    }
    now.saturating_duration_since(since) >= quiet
}

/// Aborts what is left, drops the handlers that wait, and lets the hooks of the end run for a moment.
async fn cut_off(shared: &Arc<Shared>) {
    shared.shutdown.late.cancel();
    let abort = || {
        let connections = connections(shared);
        connections.iter().for_each(|inner| inner.begin_count());
        for session in shared.hub.all() {
            session.inner().abort_session("the peer has shut down");
        }
        // Only now, so that no reply goes out of what is counted as cut off.
        connections.iter().for_each(|inner| inner.cut_handlers());
        connections
    };
    let connections = abort();
    let done = async {
        shared.shutdown.tally.are_dropped(&connections).await;
        shared.tasks.wait().await;
    };
    if tokio::time::timeout(LAST_HOOKS, done).await.is_ok() {
        return;
    }
    shared.shutdown.over.cancel();
    abort();
    let _ = tokio::time::timeout(LAST_HOOKS, shared.tasks.wait()).await;
}
