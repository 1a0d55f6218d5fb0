//! Sessions that outlive their connections.
//!
//! Each connection has an [`Inner`] of its own, with its calls, its queue and its task; a late
//! reply or a running handler of an old one can so never reach a new one. A session that dials
//! again has a [`Line`] behind all of them: it knows how to dial, which connection is in use, and
//! what the connections share: the name, the swap and the count of the sequence.
//!
//! A line has no task while its connection lives. When that is lost, or only to be used for what is
//! under way, a task dials until there is another one, or gives up. Whoever finds the connection closed that its
//! handle was made with asks the line for the one in use, or waits for it.

mod dialling;
mod ending;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Session;
use super::events::SessionEventKind;
use super::inner::Inner;
use super::redial::{Forgiven, Pauses, Redial};
use super::unwritten::{KeptPush, Link};
use crate::error::{Error, ErrorKind};
use crate::peer::Shared;
use crate::proto::Proto;
use crate::socket::Connect;
use crate::swap::Swap;
use crate::{lock, read_lock, write_lock};

pub(crate) struct Line {
    pub(super) shared: Arc<Shared>,
    /// The number of the first connection is that of the session.
    number: OnceLock<u64>,
    connector: Arc<dyn Connect>,
    /// How long one attempt may take.
    timeout: Duration,
    proto: Arc<dyn Proto>,
    policy: Redial,
    pub(super) id: RwLock<Arc<str>>,
    /// Held while the name, or the connection that the name stands for, changes.
    pub(super) naming: Mutex<()>,
    pub(super) swap: RwLock<Swap>,
    /// The newest connection; none when the line has ended, so that nothing keeps itself alive.
    newest: ArcSwapOption<Inner>,
    state: Mutex<State>,
    changed: Notify,
    /// Ends the dialling.
    stop: CancellationToken,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    /// Counts the pushes that were queued, to keep their order.
    kept: AtomicU64,
    runtime: Handle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The newest connection is in use.
    Up,
    /// None is in use, and a task dials.
    Down,
    /// It is about to end, for good.
    Closing(EndedBy),
    Ended,
}

/// Which task ends a line that closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndedBy {
    /// That of the newest connection.
    Connection,
    /// The one that dials, for no connection is in use.
    Dialling,
}

struct State {
    phase: Phase,
    pauses: Pauses,
    /// Those since the count began; of them, those that do not count.
    attempts: u32,
    free: u32,
    /// How many planned losses are forgiven yet.
    forgiven: Forgiven,
    /// The last loss was planned, and the other end says over what time to spread.
    prompt: Option<Duration>,
    up_since: Instant,
    lost_at: Option<Instant>,
    /// Why the last connection was lost, then why the line is over.
    reason: Option<String>,
    /// All connections that are not at their end.
    alive: Vec<Weak<Inner>>,
    /// Pushes that were queued on a lost connection, in their order; none was written whole.
    unsent: BTreeMap<u64, KeptPush>,
    /// Pushes that were reported as queued, and will not arrive; nobody was told yet.
    pushes_lost: usize,
}

/// What a new connection takes over.
pub(crate) struct Heritage {
    pub(crate) counter: u64,
    pub(crate) swap: Swap,
    pub(crate) id: Arc<str>,
}

impl Line {
    pub(crate) fn new(
        shared: Arc<Shared>,
        connector: Arc<dyn Connect>,
        timeout: Duration,
        proto: Arc<dyn Proto>,
        policy: Redial,
    ) -> Arc<Self> {
        let state = State {
            phase: Phase::Up,
            pauses: Pauses::new(&policy),
            attempts: 0,
            free: 0,
            forgiven: Forgiven::new(Instant::now()),
            prompt: None,
            up_since: Instant::now(),
            lost_at: None,
            reason: None,
            alive: Vec::new(),
            unsent: BTreeMap::new(),
            pushes_lost: 0,
        };
        Arc::new(Self {
            shared,
            number: OnceLock::new(),
            connector,
            timeout,
            proto,
            policy,
            id: RwLock::default(),
            naming: Mutex::new(()),
            swap: RwLock::default(),
            newest: ArcSwapOption::empty(),
            state: Mutex::new(state),
            changed: Notify::new(),
            stop: CancellationToken::new(),
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            kept: AtomicU64::new(0),
            runtime: Handle::current(),
        })
    }

    /// Takes the first connection, before it is read.
    pub(super) fn begin(&self, first: &Arc<Inner>) {
        let _ = self.number.set(first.number);
        let mut state = lock(&self.state);
        state.up_since = Instant::now();
        state.alive.push(Arc::downgrade(first));
        self.newest.store(Some(Arc::clone(first)));
    }

    /// What tells the session from all others of the process.
    pub(super) fn number(&self) -> Option<u64> {
        self.number.get().copied()
    }

    /// The newest connection, unless the line has ended.
    pub(super) fn newest(&self) -> Option<Arc<Inner>> {
        self.newest.load_full()
    }

    /// The connection that calls and pushes are made on now.
    pub(super) fn up(&self) -> Option<Arc<Inner>> {
        self.newest().filter(|inner| inner.is_open())
    }

    /// Whether calls and pushes can be made, now or on the next connection.
    pub(super) fn goes_on(&self) -> bool {
        matches!(lock(&self.state).phase, Phase::Up | Phase::Down)
    }

    /// All connections that are not at their end.
    pub(super) fn alive(&self) -> Vec<Arc<Inner>> {
        let state = lock(&self.state);
        state.alive.iter().filter_map(Weak::upgrade).collect()
    }

    /// How many calls and pushes wait for a connection.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Why the line is closed.
    pub(super) fn close_reason(&self) -> Option<String> {
        let state = lock(&self.state);
        let is_over = matches!(state.phase, Phase::Closing(_) | Phase::Ended);
        state.reason.clone().filter(|_| is_over)
    }

    /// Waits until the line has ended.
    pub(super) async fn ended(&self) {
        self.until(|state| state.phase == Phase::Ended).await;
    }

    async fn until(&self, mut done: impl FnMut(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if done(&lock(&self.state)) {
                return;
            }
            changed.await;
        }
    }

    /// Waits for a connection that calls and pushes can be made on.
    pub(super) async fn ready(&self) -> Result<Session, Error> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.goes_on() {
                return Err(self.closed_error());
            }
            if let Some(inner) = self.up() {
                return Ok(Session(inner));
            }
            changed.await;
        }
    }

    #[cold]
    pub(super) fn closed_error(&self) -> Error {
        let target = self.connector.target();
        let why = self.close_reason();
        let why = why.as_deref().unwrap_or("the session is closing");
        Error::closed(format!("the session with {target} is closed: {why}")).not_run()
    }

    /// The place of a push among those that were queued.
    pub(super) fn next_kept(&self) -> u64 {
        self.kept.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets one more wait for a connection, with so many bytes, as long as what this returns
    /// lives.
    pub(super) fn admit(self: &Arc<Self>, bytes: usize) -> Result<Waits, Error> {
        // Counted first, so that two cannot take the last place.
        let waits = Waits::new(self, bytes);
        let limit = self.shared.bounds().soft_queue;
        let (count, sum) = (self.waiting(), self.waiting_bytes.load(Ordering::Relaxed));
        // A single one may be as large as it likes.
        if count > self.policy.max_waiting || (sum > limit && count > 1) {
            return Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "there is no connection with {}, and {} messages wait for the next already",
                    self.connector.target(),
                    count - 1
                ),
            ));
        }
        Ok(waits)
    }

    /// Notes that a connection is not to be used any more, though the session goes on, and dials
    /// again if it was the one in use. Pushes that it will not write go out on the next one. One
    /// that `has_failed` is at its end; else it lives until all is done that is under way on it.
    pub(super) fn lost(self: &Arc<Self>, inner: &Inner, reason: &str, has_failed: bool) {
        let unsent = inner.take_unwritten();
        let mut is_told = false;
        let resend = {
            let mut state = lock(&self.state);
            state
                .unsent
                .extend(unsent.into_iter().map(|kept| (kept.nth, kept)));
            if state.phase == Phase::Up && self.is_newest(inner) {
                state.phase = Phase::Down;
                state.lost_at = Some(Instant::now());
                state.reason = Some(reason.to_owned());
                let link = inner.link.as_deref();
                let is_planned = !has_failed && link.is_some_and(|link| !link.is_refused());
                let is_stable = state.up_since.elapsed() >= self.policy.stable_after;
                let is_forgiven = is_planned && state.forgiven.take(Instant::now());
                if is_stable || is_forgiven {
                    state.start_again();
                }
                state.prompt = link
                    .and_then(Link::spread)
                    .filter(|_| is_planned && (is_stable || is_forgiven));
                is_told = true;
            }
            // One that has a successor.
            state.phase == Phase::Up && !state.unsent.is_empty()
        };
        if is_told {
            tracing::info!(remote = %inner.remote, reason, "the connection is lost; dialling again");
            self.tell(|| SessionEventKind::Lost {
                reason: reason.to_owned(),
            });
            self.spawn_dialling();
        }
        if resend {
            let line = Arc::clone(self);
            let work = async move {
                if let Some(inner) = line.up() {
                    line.send_unsent(&inner).await;
                }
            };
            self.shared.tasks().spawn_on(work, &self.runtime);
        }
    }

    /// The other end did not handle so many pushes that were written.
    pub(super) fn lost_pushes(&self, count: usize) {
        let mut state = lock(&self.state);
        state.pushes_lost = state.pushes_lost.saturating_add(count);
    }

    fn is_newest(&self, inner: &Inner) -> bool {
        let newest = self.newest.load();
        newest.as_ref().is_some_and(|n| n.number == inner.number)
    }

    fn tell(&self, make: impl FnOnce() -> SessionEventKind) {
        if let Some(newest) = self.newest() {
            self.shared.events().tell(|| (Session(newest), make()));
        }
    }

    /// What a new connection takes over from the one before.
    pub(crate) fn heritage(&self) -> Heritage {
        Heritage {
            counter: self.newest().map_or(0, |newest| newest.counter()),
            swap: read_lock(&self.swap).clone(),
            id: Arc::clone(&read_lock(&self.id)),
        }
    }

    /// Counts a connection that is about to be read.
    pub(super) fn add(&self, inner: &Arc<Inner>) {
        lock(&self.state).alive.push(Arc::downgrade(inner));
    }

    /// Takes over what plugins changed in the swap that the new connection was given.
    pub(super) fn merge_swap(&self, given: &Swap, now: &Swap) {
        write_lock(&self.swap).take_changes(given, now);
    }
}

impl State {
    /// The count and the pauses start again.
    fn start_again(&mut self) {
        (self.attempts, self.free) = (0, 0);
        self.pauses.reset();
    }
}

/// A call or push that waits for a connection.
pub(super) struct Waits {
    line: Arc<Line>,
    bytes: usize,
}

impl Waits {
    fn new(line: &Arc<Line>, bytes: usize) -> Self {
        line.waiting.fetch_add(1, Ordering::Relaxed);
        line.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self {
            line: Arc::clone(line),
            bytes,
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.line.waiting.fetch_sub(1, Ordering::Relaxed);
        self.line
            .waiting_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("target", &self.connector.target())
            .field("phase", &lock(&self.state).phase)
            .finish_non_exhaustive()
    }
}
