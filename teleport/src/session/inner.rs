//! The state that a session's task and its handles share.

mod sending;
mod state;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use tokio::runtime::Handle;
use tokio::sync::Notify;

pub(super) use self::sending::{Payload, pack_error};
use self::state::OPEN;
pub(super) use self::state::{LOOK_DRAIN, LOOK_OUT, LOOK_STATE};
use super::Session;
use super::calls::Calls;
use super::cancels::Cancels;
use super::cuts::Cuts;
use super::drain::Drain;
use super::guard::Guard;
use super::line::Line;
use super::outbound::Outbound;
use super::unwritten::Link;
use crate::message::{Meta, seq::COUNTERS};
use crate::peer::{Peer, Shared};
use crate::proto::{Env, Pack, Proto};
use crate::socket::{Address, WriteHalf};
use crate::swap::Swap;

/// The bounds of each session of a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) soft_queue: usize,
    pub(crate) hard_queue: usize,
    pub(crate) running: usize,
    pub(crate) in_flight: usize,
    pub(crate) stall: Duration,
}

pub(crate) struct Inner {
    /// Tells this session from all others of the process.
    pub(super) number: u64,
    pub(super) shared: Arc<Shared>,
    /// What ties this connection to the others of its session, if that dials again; then the name
    /// and the swap are there.
    pub(super) link: Option<Box<Link>>,
    id: RwLock<Arc<str>>,
    pub(crate) local: Address,
    pub(crate) remote: Address,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<crate::socket::tls::TlsInfo>>,
    /// What vouches for messages that no hook sees.
    pub(super) guard: Option<Arc<dyn Guard>>,
    pub(super) proto: Arc<dyn Proto>,
    swap: RwLock<Swap>,
    pub(super) seq: AtomicU64,
    /// Sequence texts were set by hand.
    pub(super) hand_set: AtomicBool,
    /// How many CALLs and PUSHes came, and how many went with a sequence text set by hand.
    pub(super) came: AtomicU64,
    pub(super) went_by_hand: AtomicU64,
    pub(super) calls: Calls,
    pub(super) out: Outbound,
    pub(super) pack: Box<dyn Pack>,
    state: AtomicU8,
    running: AtomicUsize,
    /// The read loop stopped, because too many handlers wait.
    pub(super) paused: AtomicBool,
    attention: AtomicU8,
    pub(super) waker: AtomicWaker,
    done: Notify,
    reason: OnceLock<String>,
    /// What the other end said when it refused the connection.
    refusal: OnceLock<Box<Meta>>,
    /// The bytes that the task holds of messages not read to their end.
    pub(super) unread: AtomicUsize,
    /// Where the session's tasks run; its handles may be used elsewhere.
    pub(super) runtime: Handle,
    /// Whether the sweeper knows this session.
    pub(super) swept: AtomicBool,
    /// The session left the table of its peer for good.
    pub(super) gone: AtomicBool,
    pub(super) watched: OnceLock<Box<super::sweep::Watched>>,
    /// Reading goes on though too many handlers run, for callers may have given up on them.
    pub(super) listens: AtomicBool,
    /// The bytes of replies that wait for room beside the queue.
    pub(super) parked: AtomicUsize,
    /// Held while the session changes its name.
    naming: Mutex<()>,
    /// In nanoseconds; zero: none.
    context_age: AtomicU64,
    pub(super) cancels: Cancels,
    pub(super) cuts: Cuts,
    /// The pushes of this side that the other end says it did not handle.
    pub(super) pushes_lost: AtomicUsize,
    /// What a shutdown has to tell of this session, once there is one.
    pub(super) drain: OnceLock<Box<Drain>>,
}

impl Inner {
    #[allow(
        clippy::too_many_arguments,
        reason = "called once, with all parts of a connection"
    )]
    pub(super) fn new(
        shared: Arc<Shared>,
        line: Option<Arc<Line>>,
        local: Address,
        remote: Address,
        proto: Arc<dyn Proto>,
        seq: u64,
        pack: Box<dyn Pack>,
        write: Box<dyn WriteHalf>,
    ) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let bounds = shared.bounds();
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let context_age = AtomicU64::new(nanos(shared.config().default_context_age));
        let link = line.map(|line| Box::new(Link::new(line)));
        Self {
            number,
            shared,
            link,
            id: RwLock::default(),
            local,
            remote,
            guard: None,
            proto,
            swap: RwLock::default(),
            seq: AtomicU64::new(seq),
            hand_set: AtomicBool::new(false),
            came: AtomicU64::new(0),
            went_by_hand: AtomicU64::new(0),
            calls: Calls::new(bounds.in_flight),
            out: Outbound::new(write, bounds.soft_queue),
            pack,
            state: AtomicU8::new(OPEN),
            running: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            attention: AtomicU8::new(0),
            waker: AtomicWaker::new(),
            done: Notify::new(),
            reason: OnceLock::new(),
            refusal: OnceLock::new(),
            unread: AtomicUsize::new(0),
            runtime: Handle::current(),
            swept: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            watched: OnceLock::new(),
            listens: AtomicBool::new(false),
            parked: AtomicUsize::new(0),
            naming: Mutex::new(()),
            context_age,
            cancels: Cancels::default(),
            cuts: Cuts::default(),
            pushes_lost: AtomicUsize::new(0),
            #[cfg(feature = "tls")]
            tls: None,
            drain: OnceLock::new(),
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::from_shared(Arc::clone(&self.shared))
    }

    #[inline]
    pub(crate) fn env(&self) -> &Env {
        self.shared.env()
    }

    #[inline]
    pub(super) fn bounds(&self) -> Bounds {
        self.shared.bounds()
    }

    /// The name of a connection without an address.
    pub(super) fn natural_id(number: u64) -> Arc<str> {
        format!("connection-{number}").into()
    }

    /// The line that the session has if it dials again.
    #[inline]
    pub(super) fn line(&self) -> Option<&Arc<Line>> {
        self.link.as_ref().map(|link| &link.line)
    }

    /// This connection, or the newest of its session.
    pub(super) fn newest(self: &Arc<Self>) -> Arc<Self> {
        let newest = self.line().and_then(|line| line.newest());
        newest.unwrap_or_else(|| Arc::clone(self))
    }

    pub(super) fn id(&self) -> Arc<str> {
        Arc::clone(&crate::read_lock(self.id_lock()))
    }

    fn id_lock(&self) -> &RwLock<Arc<str>> {
        self.line().map_or(&self.id, |line| &line.id)
    }

    pub(super) fn swap(&self) -> &RwLock<Swap> {
        self.line().map_or(&self.swap, |line| &line.swap)
    }

    pub(super) fn naming(&self) -> &Mutex<()> {
        self.line().map_or(&self.naming, |line| &line.naming)
    }

    /// Changes the id alone; the hub does the rest.
    pub(super) fn replace_id(&self, id: Arc<str>) -> Arc<str> {
        std::mem::replace(&mut *crate::write_lock(self.id_lock()), id)
    }

    /// How many numbers of this side's sequence were taken.
    pub(super) fn counter(&self) -> u64 {
        self.seq.load(Ordering::Relaxed)
    }

    /// Goes on with the sequence where another connection of the session stands.
    pub(super) fn carry_on(self: &Arc<Self>, before: &Self) {
        self.set_context_age(before.context_age());
        if self.session_age() != before.session_age() {
            self.set_session_age(before.session_age());
        }
        self.seq.fetch_max(before.counter(), Ordering::Relaxed);
        for (now, before) in [
            (&self.came, &before.came),
            (&self.went_by_hand, &before.went_by_hand),
        ] {
            now.fetch_add(before.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Notes that a sequence text was set by hand.
    pub(super) fn note_hand_set(&self) {
        self.hand_set.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn has_context_age(&self) -> bool {
        self.context_age.load(Ordering::Relaxed) != 0
    }

    pub(super) fn context_age(&self) -> Duration {
        Duration::from_nanos(self.context_age.load(Ordering::Relaxed))
    }

    pub(super) fn set_context_age(&self, age: Duration) {
        self.context_age.store(nanos(age), Ordering::Relaxed);
    }

    /// How long a call waits that says nothing about it.
    #[inline]
    pub(super) fn call_timeout(&self) -> Option<Duration> {
        let timeout = self.shared.call_defaults().timeout;
        if !self.has_context_age() {
            return timeout;
        }
        let age = self.context_age();
        Some(timeout.map_or(age, |timeout| timeout.min(age)))
    }

    /// The next number of this side's sequence.
    #[inline]
    pub(super) fn next_counter(&self) -> u64 {
        loop {
            let counter = self.seq.fetch_add(1, Ordering::Relaxed) % COUNTERS;
            // Only a text set by hand can be in the way.
            if !self.hand_set.load(Ordering::Relaxed) || !self.calls.has(counter) {
                return counter;
            }
        }
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// Whether as many handlers wait as may, or as many bytes of replies that found no room.
    pub(super) fn is_overloaded(&self) -> bool {
        self.running() >= self.bounds().running
            || self.parked.load(Ordering::SeqCst) >= self.bounds().hard_queue
    }

    /// Whether something of this side can only go on if the other end's messages are read: a call
    /// waits for its reply, or somebody for room that the other end has to make.
    pub(super) fn must_read(&self) -> bool {
        !self.is_open()
            || self.out.waiters() > 0
            || self.calls.in_flight() > 0
            || self.listens.load(Ordering::SeqCst)
    }

    /// Counts a handler that waits, as long as the guard lives.
    pub(super) fn count_running(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::SeqCst);
        Running(Arc::clone(self))
    }

    /// How much memory is held for bytes on their way.
    pub(super) fn held(&self) -> usize {
        self.out.held() + self.calls.held() + self.unread.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// An age of more than five centuries is none.
fn nanos(age: Duration) -> u64 {
    u64::try_from(age.as_nanos()).unwrap_or(0)
}

/// Counts one handler that waits.
#[derive(Debug)]
pub(super) struct Running(Arc<Inner>);

impl Running {
    pub(super) fn session(&self) -> Session {
        Session(Arc::clone(&self.0))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let before = self.0.running.fetch_sub(1, Ordering::SeqCst);
        let is_waited_for = !self.0.is_open() || self.0.paused.load(Ordering::SeqCst);
        if is_waited_for && (before == 1 || self.0.paused.load(Ordering::SeqCst)) {
            self.0.look(LOOK_STATE);
            if before == 1 && self.0.is_closed() {
                self.0.sum_up();
            }
        }
    }
}
