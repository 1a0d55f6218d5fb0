//! The state that a session's task and its handles share.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::Session;
use super::batch;
use super::calls::Calls;
use super::cancels::Cancels;
use super::cuts::Cuts;
use super::drain::Drain;
use super::guard::Guard;
use super::line::Line;
use super::outbound::{After, CHAIN_FROM, FLUSH_AT, Outbound, Put, When};
use super::scratch;
use super::unwritten::Link;
use crate::codec::CodecError;
use crate::error::{Error, ErrorKind};
use crate::message::{Head, Meta, seq::COUNTERS};
use crate::peer::{Peer, Shared};
use crate::proto::{Body, Env, Pack, Proto, ProtoError};
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

const OPEN: u8 = 0;
/// The peer shuts down. The other end was told, and until it has taken notice all goes on.
const DRAINING: u8 = 1;
/// The other end is going away: nothing new of this side, while its calls are still handled.
const LEAVING: u8 = 2;
const CLOSING: u8 = 3;
const FAILED: u8 = 4;
const ABORTED: u8 = 5;
const CLOSED: u8 = 6;

/// What a session's task has to look at.
pub(super) const LOOK_OUT: u8 = 1;
pub(super) const LOOK_STATE: u8 = 2;
pub(super) const LOOK_DRAIN: u8 = 4;

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
    pub(super) bounds: Bounds,
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
    pub(super) stalled: Mutex<super::sweep::Stall>,
    /// Reading goes on though too many handlers run, for callers may have given up on them.
    pub(super) listens: AtomicBool,
    pub(super) pause: Mutex<super::sweep::Pause>,
    /// The bytes of replies that wait for room beside the queue.
    pub(super) parked: AtomicUsize,
    /// Held while the session changes its name.
    naming: Mutex<()>,
    /// In nanoseconds; zero: none.
    context_age: AtomicU64,
    pub(super) age: Mutex<super::sweep::Age>,
    pub(super) cancels: Cancels,
    pub(super) cuts: Cuts,
    /// The pushes of this side that the other end says it did not handle.
    pub(super) pushes_lost: AtomicUsize,
    /// What a shutdown has to tell of this session, once there is one.
    pub(super) drain: OnceLock<Box<Drain>>,
}

/// What a message's body is made from.
pub(super) enum Payload<'a> {
    /// Ready bytes.
    Bytes(&'a Bytes),
    /// Something to be encoded straight behind the head.
    Encode(&'a mut dyn FnMut(&mut BytesMut) -> Result<(), CodecError>),
}

impl Payload<'_> {
    /// The same, for a shorter while.
    fn lend(&mut self) -> Payload<'_> {
        match self {
            Self::Bytes(bytes) => Payload::Bytes(bytes),
            Self::Encode(encode) => Payload::Encode(&mut **encode),
        }
    }
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
            bounds,
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
            stalled: Mutex::new(super::sweep::Stall::default()),
            listens: AtomicBool::new(false),
            pause: Mutex::new(super::sweep::Pause::default()),
            parked: AtomicUsize::new(0),
            naming: Mutex::new(()),
            context_age,
            age: Mutex::new(super::sweep::Age::default()),
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

    /// Whether this side may call and push.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.state.load(Ordering::SeqCst) <= DRAINING
    }

    /// Whether nothing is known of an end.
    #[inline]
    pub(super) fn is_untroubled(&self) -> bool {
        self.state.load(Ordering::SeqCst) == OPEN
    }

    /// Whether calls of the other end are refused.
    pub(super) fn refuses(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= CLOSING
    }

    /// Whether this side is closing, in good order so far.
    pub(super) fn is_closing(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CLOSING
    }

    /// Whether reading is over: by an error, the end of the stream, or a plugin.
    pub(super) fn has_failed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == FAILED
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.state.load(Ordering::SeqCst) == ABORTED
    }

    /// Whether nothing goes out any more, and the last hooks have run or are about to.
    pub(super) fn sends_nothing(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= ABORTED
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CLOSED
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    pub(super) fn close_reason(&self) -> Option<String> {
        self.reason.get().cloned()
    }

    /// Notes why the session ends; the first to say so is right.
    pub(super) fn set_reason(&self, reason: impl Into<String>) {
        let _ = self.reason.set(reason.into());
    }

    /// Notes what the other end says, who refuses the connection.
    pub(super) fn set_refusal(&self, meta: Meta) {
        let _ = self.refusal.set(Box::new(meta));
    }

    /// What the other end said, if it refused the connection.
    pub(super) fn refusal(&self) -> Option<&Meta> {
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
    pub(super) fn begin_close_here(&self, reason: &str) {
        self.raise_state(CLOSING, reason);
    }

    /// No new calls of this side from now on: the other end is going away.
    pub(super) fn leave(&self, reason: &str) {
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
    pub(super) fn begin_drain(&self) {
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
    pub(super) fn fail(&self, reason: impl Into<String>) {
        self.raise_state(FAILED, reason);
        self.calls.close();
    }

    /// [`fail`](Self::fail)s for something that the other end, or a plugin, did.
    #[cold]
    pub(super) fn broken(&self, reason: String) {
        if !self.has_failed() {
            tracing::warn!(remote = %self.remote, reason, "session is closed");
        }
        self.fail(reason);
    }

    /// [`fail`](Self::fail)s because the stream takes no more bytes.
    pub(super) fn fail_writing(&self) {
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
        let mut state = self.state.load(Ordering::SeqCst);
        while state < to {
            match self
                .state
                .compare_exchange(state, to, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => {
                    self.set_reason(reason);
                    self.leave_line(to >= FAILED);
                    break;
                }
                Err(now) => state = now,
            }
        }
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
    pub(super) fn finish(self: &Arc<Self>) {
        self.state.store(CLOSED, Ordering::SeqCst);
        self.end_count();
        if let Some(line) = self.line() {
            line.connection_ended(self);
        }
        self.done.notify_waiters();
    }

    pub(super) async fn closed(&self) {
        self.until(Self::is_closed).await;
    }

    /// Waits until reading is over.
    pub(super) async fn lost(&self) {
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
    pub(super) fn look(&self, at: u8) {
        self.attention.fetch_or(at, Ordering::AcqRel);
        self.waker.wake();
    }

    /// What the session's task was asked to look at since it last did.
    #[inline]
    pub(super) fn take_attention(&self) -> u8 {
        if self.attention.load(Ordering::Acquire) == 0 {
            return 0;
        }
        self.attention.swap(0, Ordering::AcqRel)
    }

    /// Whether as many handlers wait as may, or as many bytes of replies that found no room.
    pub(super) fn is_overloaded(&self) -> bool {
        self.running() >= self.bounds.running
            || self.parked.load(Ordering::SeqCst) >= self.bounds.hard_queue
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

    /// Packs a message outside all locks. A large body that can follow as it is comes back.
    pub(super) fn pack(
        &self,
        head: &Head<'_>,
        payload: Payload<'_>,
        dst: &mut BytesMut,
    ) -> Result<Option<Bytes>, ProtoError> {
        let env = self.env();
        match payload {
            Payload::Bytes(bytes) => {
                if bytes.len() >= CHAIN_FROM
                    && let Some(result) = self.pack.pack_head(env, head, bytes.len(), dst)
                {
                    return result.map(|()| Some(bytes.clone()));
                }
                self.pack.pack(env, head, Body::Bytes(bytes), dst)?;
            }
            Payload::Encode(encode) => {
                let mut write = |dst: &mut BytesMut| encode(dst).map_err(ProtoError::from);
                self.pack.pack(env, head, Body::Write(&mut write), dst)?;
            }
        }
        Ok(None)
    }

    /// Packs a message and hands it over. Returns the size of the frame.
    pub(super) fn send(
        &self,
        head: &Head<'_>,
        payload: Payload<'_>,
        when: When,
    ) -> Result<Put, Error> {
        let mut buffer = scratch::take_pack();
        let body = self.pack(head, payload, &mut buffer).map_err(pack_error)?;
        let put = self.put(&buffer, body.as_ref(), when);
        scratch::give_pack(buffer);
        put
    }

    /// Hands over bytes of whole frames.
    pub(super) fn put(&self, bytes: &[u8], body: Option<&Bytes>, when: When) -> Result<Put, Error> {
        match self.out.put(bytes, body, when) {
            Ok(put) => {
                if put.after == After::Wake {
                    self.look(LOOK_OUT);
                }
                Ok(put)
            }
            Err(_) => Err(self.no_more_writes()),
        }
    }

    #[cold]
    fn no_more_writes(&self) -> Error {
        Error::closed(format!("the connection with {} is closed", self.remote)).not_run()
    }

    /// Hands over the replies that the read loop has collected, if this is its thread.
    pub(super) fn flush_batch(&self) {
        batch::with(self.number, |buffer| {
            if !buffer.is_empty() {
                if self.put(buffer, None, When::Now).is_err() {
                    tracing::debug!(
                        remote = %self.remote,
                        "replies were lost: the connection is closed"
                    );
                }
                buffer.clear();
            }
        });
    }

    /// Packs a reply: into the batch of the read loop if it is made in place, else by the queue.
    /// Returns the size of the frame.
    pub(super) fn send_reply(
        &self,
        head: &Head<'_>,
        mut payload: Payload<'_>,
    ) -> Result<usize, Error> {
        let is_large = matches!(&payload, Payload::Bytes(b) if b.len() >= CHAIN_FROM);
        if !is_large {
            let in_batch = batch::with(self.number, |buffer| {
                let start = buffer.len();
                self.pack(head, payload.lend(), buffer)
                    .map_err(pack_error)?;
                let size = buffer.len() - start;
                if buffer.len() >= FLUSH_AT {
                    let _ = self.put(buffer, None, When::Now)?;
                    buffer.clear();
                }
                Ok(size)
            });
            if let Some(result) = in_batch {
                return result;
            }
        }
        // With others waiting too, one write a turn later carries more than one reply.
        let when = if self.running() > 1 {
            When::Soon
        } else {
            When::Now
        };
        self.send(head, payload, when).map(|put| put.size)
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

/// A failure to pack, as the caller should see it.
#[cold]
pub(super) fn pack_error(error: ProtoError) -> Error {
    match error.into_codec_error() {
        Ok(error) => Error::encode(error),
        Err(error) => {
            Error::new(ErrorKind::Encode, "the message cannot be packed").with_source(error)
        }
    }
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
