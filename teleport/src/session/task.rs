//! The task of a session: reads, takes messages out, and looks after the outbound queue.
//!
//! It reads into a buffer of its thread and keeps only what is cut off at the end, so an idle
//! session holds no buffer. All messages of a read are taken out before anything waits, within a
//! budget per wake. It never waits for outbound room. It stops reading for one reason only: as
//! many handlers wait as may, and no call of this side waits for a reply that would have to be
//! read first. A stop that lasts ends when the callers of those handlers may have given up.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio::time::Sleep;

use super::Session;
use super::batch;
use super::control::Notice;
use super::dispatch::{Dispatch, SHARE_FROM, Stop, Wakers};
use super::events::SessionEventKind;
use super::inner::{Inner, LOOK_DRAIN, LOOK_OUT};
use super::log;
use super::outbound::When;
use super::scratch;
use crate::codec::BodyRef;
use crate::plugin::Hooks;
use crate::proto::{ProtoError, Stranger, Unpack};
use crate::rerror::Rerror;

/// How many reads one wake does at most.
const READS_PER_WAKE: usize = 4;

/// After how many messages the clock is looked at, and how long one wake may take.
const FRAMES_PER_LOOK: usize = 16;
const TIME_PER_WAKE: Duration = Duration::from_micros(200);

/// From how many bytes on a read is worth a look at the clock, and how many bytes of a body weigh as
/// much as a message.
const LARGE_READ: usize = 2048;
const BODY_PER_FRAME: usize = 4096;

/// A cut-off rest up to this size is put in front of the next read, rather than read on behind.
const SMALL_REST: usize = 16 * 1024;

/// How many times what has arrived of a large message its buffer may hold.
const GROWTH: usize = 4;

/// How long the other end may take nothing of what is left for it when a connection ends.
pub(super) const LAST_WRITES: Duration = Duration::from_secs(5);

/// How often it may take something in that time, and something more.
const LAST_ROUNDS: usize = 12;

/// How long the other end may take to close its side after this one.
const LINGER: Duration = Duration::from_secs(1);

/// How many bytes of the other end are read to no end at most.
const LINGER_BYTES: usize = 1 << 20;

/// How many bytes of a first message are good for another second.
const FIRST_PER_SECOND: usize = 16 * 1024;

/// Why reading ended, when nothing is left to be read.
const CLEAN_END: &str = "closed by the other end";
const READ_FAILED: &str = "reading failed";

struct Task {
    inner: Arc<Inner>,
    read: Box<dyn AsyncRead + Send + Unpin>,
    unpack: Box<dyn Unpack>,
    /// What was read and not taken out.
    rest: BytesMut,
    /// Whether whole messages may be in `rest`.
    rest_is_ready: bool,
    /// The outbound queue wants to be looked at: it is stuck, or a promise is due.
    out_waits: bool,
    reading: bool,
    /// Nobody has said anything yet that could be read.
    is_new: bool,
    /// The time that the first message has, once it has begun.
    first: Option<Box<First>>,
}

/// A first message that has begun, and must end.
struct First {
    began: tokio::time::Instant,
    timer: Pin<Box<Sleep>>,
}

/// How the taking out of messages ended.
enum Taken {
    /// Nothing whole is left.
    All,
    /// The budget is used up; more may be there.
    Budget,
    /// As many handlers wait as may.
    Paused,
}

/// Runs a session until it is closed, and tells everybody.
pub(crate) fn start(
    inner: Arc<Inner>,
    read: Box<dyn AsyncRead + Send + Unpin>,
    unpack: Box<dyn Unpack>,
    rest: BytesMut,
    is_new: bool,
) {
    let rest_is_ready = !rest.is_empty();
    let mut task = Task {
        inner: Arc::clone(&inner),
        read,
        unpack,
        rest,
        rest_is_ready,
        out_waits: true,
        reading: true,
        is_new,
        first: None,
    };
    let tracker = inner.shared.tasks().clone();
    let end = End(inner);
    tracker.spawn(async move {
        poll_fn(|cx| task.poll_caught(cx)).await;
        // Boxed: what only an end needs must not be part of every session that lives.
        Box::pin(run_out(task, end)).await;
    });
}

/// Ends a session whose reading is over.
async fn run_out(task: Task, end: End) {
    let inner = &end.0;
    let Task { read, reading, .. } = task;
    let may_reset = !inner.is_aborted() && inner.local.socket_addr().is_some();
    let mut read = reading.then_some(read);
    inner.unread.store(0, Ordering::Relaxed);
    if let Some(drain) = inner.drain.get().filter(|_| inner.is_closing()) {
        let pushes_dropped = drain.pushes_dropped();
        if inner.tell(Notice::Gone { pushes_dropped }).is_err() {
            tracing::debug!(remote = %inner.remote, "the other end cannot be told of the end");
        }
    }
    finish(inner, &mut read).await;
    if let Some(read) = read.filter(|_| may_reset && !inner.out.was_cut()) {
        tokio::select! {
            () = linger(read) => {}
            () = inner.shared.over() => {}
        }
    }
}

/// Sees to it that a session whose task is gone, by a panic or with its runtime, is over for
/// everybody else too.
struct End(Arc<Inner>);

impl Drop for End {
    fn drop(&mut self) {
        let inner = &self.0;
        inner.forget_age();
        if !inner.is_closed() {
            const REASON: &str = "the task of the session ended early";
            inner.set_reason(REASON);
            inner.calls.close();
            inner.out.cut();
            match inner.line() {
                Some(line) => line.task_gone(inner, REASON),
                None => {
                    inner.tell_closed();
                    inner.shared.hub().retire(inner);
                }
            }
            inner.finish();
        }
    }
}

/// Writes what is left, shuts the connection, and runs the last hooks.
async fn finish(inner: &Arc<Inner>, read: &mut Option<Box<dyn AsyncRead + Send + Unpin>>) {
    inner.calls.close();
    if inner.is_aborted() {
        inner.out.close();
    }
    let mut written = None;
    for round in 1.. {
        let shutdown = poll_fn(|cx| {
            inner.waker.register(cx.waker());
            if inner.is_aborted() {
                inner.out.cut();
                return Poll::Ready(());
            }
            if inner.out.poll_shutdown(cx).is_ready() {
                return Poll::Ready(());
            }
            // Two ends that end at once must not wait for each other's reading.
            drop_what_comes(cx, read);
            Poll::Pending
        });
        if tokio::time::timeout(LAST_WRITES, shutdown).await.is_ok() {
            break;
        }
        let (now, left) = inner.out.progress();
        if written.replace(now) == Some(now) || round == LAST_ROUNDS {
            inner.out.cut();
            let remote = &inner.remote;
            tracing::warn!(%remote, left, "the other end did not read what was left for it");
            break;
        }
    }
    let reason = inner.close_reason().unwrap_or_default();
    tracing::debug!(remote = %inner.remote, local = %inner.local, reason, "connection closed");
    match inner.line() {
        None => {
            inner.shared.hub().retire(inner);
            inner.run_last_hooks().await;
            inner.tell_closed();
        }
        Some(line) if line.ends_with(inner) => line.finish(Some(inner)).await,
        // The session goes on without this connection.
        Some(_) => {}
    }
    inner.finish();
}

impl Inner {
    /// Tells the plugins that the session is gone.
    pub(super) async fn run_last_hooks(self: &Arc<Self>) {
        let mut session = Session(Arc::clone(self));
        let tables = self.shared.router().tables();
        let hooks = tables
            .hooks
            .run(Hooks::POST_DISCONNECT, &mut session, |plugin, session| {
                plugin.post_disconnect(session)
            });
        let failed = tokio::select! {
            biased;
            result = hooks => result.err(),
            () = self.shared.over() => {
                let hooks_cut = &self.shared.tally().hooks_cut;
                hooks_cut.fetch_add(1, Ordering::SeqCst);
                Some(Rerror::internal("it did not return before the deadline of the shutdown"))
            }
        };
        if let Some(rerror) = failed {
            tracing::warn!(remote = %self.remote, error = %rerror, "a plugin failed after the end");
        }
    }

    /// Tells whoever listens that the session is closed.
    fn tell_closed(self: &Arc<Self>) {
        self.shared.events().tell(|| {
            let reason = self.close_reason().unwrap_or_default();
            let kind = SessionEventKind::Closed {
                reason,
                pushes_lost: self.pushes_lost.load(Ordering::Relaxed),
            };
            (Session(Arc::clone(self)), kind)
        });
    }
}

/// Reads what there is, to no end. `None` is left when there will be no more.
fn drop_what_comes(cx: &mut Context<'_>, read: &mut Option<Box<dyn AsyncRead + Send + Unpin>>) {
    let mut nowhere = [0; 4096];
    for _ in 0..READS_PER_WAKE {
        let Some(open) = read else {
            return;
        };
        let mut buf = ReadBuf::new(&mut nowhere);
        match Pin::new(open).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
            Poll::Ready(_) => *read = None,
            Poll::Pending => return,
        }
    }
    cx.waker().wake_by_ref();
}

/// Reads on, to no end, until the other end has closed its side too. A TCP connection that is
/// dropped with bytes unread is reset, and takes along what the other end has not read yet.
pub(super) async fn linger(mut read: Box<dyn AsyncRead + Send + Unpin>) {
    let drain = async {
        let mut nowhere = [0; 4096];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match read.read(&mut nowhere).await {
                Ok(n) if n > 0 => left = left.saturating_sub(n),
                _ => return,
            }
        }
    };
    // Whoever still sends after this has been told long enough.
    let _ = tokio::time::timeout(LINGER, drain).await;
}

impl Task {
    /// Polls the session. Handlers and hooks answer for their panics themselves; what is left are
    /// filters, protocols and drops of the user's: those cost their connection, and no other.
    fn poll_caught(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.poll_session(cx)));
        polled.unwrap_or_else(|panic| {
            let text = crate::panic_text(&*panic);
            let reason = format!("a panic while messages were read: {}", text.escape_debug());
            tracing::error!(remote = %self.inner.remote, reason, "session is closed");
            self.inner.abort(reason);
            Poll::Ready(())
        })
    }

    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.waker.register(cx.waker());
        let attention = self.inner.take_attention();
        if self.inner.is_aborted() {
            return Poll::Ready(());
        }
        if attention & LOOK_DRAIN != 0 {
            self.inner.begin_drain();
        }
        if attention & LOOK_OUT != 0 || self.out_waits {
            self.look_out(cx);
        }
        if self.reading && !self.inner.has_failed() && !self.stays_paused() {
            self.poll_reading(cx);
        }
        if self.inner.out.is_closed() {
            self.inner.fail_writing();
            return self.poll_end();
        }
        if self.inner.is_open() {
            Poll::Pending
        } else {
            self.poll_end()
        }
    }

    /// Whether all is done that a closing session still does.
    fn poll_end(&self) -> Poll<()> {
        let inner = &self.inner;
        if inner.is_aborted() {
            return Poll::Ready(());
        }
        if inner.running() > 0 {
            return Poll::Pending;
        }
        if inner.has_failed() || inner.calls.close_if_idle() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether the read loop stopped, and there is no reason yet to go on.
    fn stays_paused(&self) -> bool {
        if !self.inner.paused.load(Ordering::SeqCst) {
            return false;
        }
        self.inner.paused.store(false, Ordering::SeqCst);
        is_paused(&self.inner)
    }

    /// Looks after the outbound queue.
    fn look_out(&mut self, cx: &mut Context<'_>) {
        self.out_waits = match self.inner.out.poll_work(cx) {
            Poll::Pending => true,
            Poll::Ready(false) => false,
            Poll::Ready(true) => {
                // The callers that were woken with this promise are in the run queue before us.
                cx.waker().wake_by_ref();
                true
            }
        };
    }

    fn poll_reading(&mut self, cx: &mut Context<'_>) {
        let mut end = self.read_some(cx);
        if (self.is_new || self.first.is_some()) && end.is_pending() {
            end = self.look_at_first(cx);
        }
        if let Poll::Ready(reason) = end {
            if reason == CLEAN_END || reason.starts_with(READ_FAILED) {
                self.reading = false;
            } else {
                let remote = &self.inner.remote;
                let reason = reason.escape_debug();
                tracing::warn!(%remote, %reason, "session is closed");
            }
            self.rest = BytesMut::new();
            self.inner.fail(reason);
        }
        if self.rest.is_empty() {
            self.unpack.release();
        }
        self.inner
            .unread
            .store(self.rest.capacity(), Ordering::Relaxed);
    }

    /// Looks whether a first message that has begun takes too long. `Ready` says that it does.
    #[cold]
    fn look_at_first(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let limit = self.inner.shared.config().first_message_timeout;
        if !self.is_new || self.rest.is_empty() || limit.is_zero() {
            self.first = None;
            return Poll::Pending;
        }
        let first = self.first.get_or_insert_with(|| {
            Box::new(First {
                began: tokio::time::Instant::now(),
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

    /// Reads and takes messages out until the stream has no more, or the budget is used up.
    /// `Ready` says why reading has ended.
    fn read_some(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let mut promised = false;
        let end = self.read_loop(cx, &mut promised);
        if promised {
            // Once for all reads of the wake: a second look would spend the promise before the
            // callers that it was made for had their turn.
            self.look_out(cx);
        }
        end
    }

    fn read_loop(&mut self, cx: &mut Context<'_>, promised: &mut bool) -> Poll<String> {
        let mut budget = Budget::default();
        for _ in 0..READS_PER_WAKE {
            let taken = if self.rest_is_ready {
                self.take_rest(&mut budget)
            } else {
                match ready!(self.read_once(cx, &mut budget)) {
                    Ok(taken) => taken,
                    Err(Stop(reason)) => return Poll::Ready(reason),
                }
            };
            match taken {
                Ok((taken, was_promised)) => {
                    *promised |= was_promised;
                    match taken {
                        Taken::All => self.rest_is_ready = false,
                        Taken::Budget => break,
                        Taken::Paused => return Poll::Pending,
                    }
                }
                Err(Stop(reason)) => return Poll::Ready(reason),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once and takes out what came. The outer error ends the reading before anything was
    /// taken out.
    fn read_once(
        &mut self,
        cx: &mut Context<'_>,
        budget: &mut Budget,
    ) -> Poll<Result<TakenOut, Stop>> {
        if self.rest.len() >= SMALL_REST {
            return self.read_behind(cx, budget);
        }
        let mut buffer = scratch::take_read();
        let kept = self.rest.len();
        if let Some(front) = buffer.get_mut(..kept) {
            front.copy_from_slice(&self.rest);
        }
        let mut space = ReadBuf::new(buffer.get_mut(kept..).unwrap_or_default());
        let read = Pin::new(&mut self.read).poll_read(cx, &mut space);
        let n = space.filled().len();
        let result = match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(Stop(format!("{READ_FAILED}: {error}")))),
            Poll::Ready(Ok(())) if n == 0 => Poll::Ready(Err(self.end_of_stream())),
            Poll::Ready(Ok(())) => {
                self.rest = BytesMut::new();
                let bytes = buffer.get(..kept + n).unwrap_or_default();
                let (used, taken) = self.take(bytes, None, budget);
                self.rest_is_ready = true;
                if let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
                    self.rest = BytesMut::from(rest);
                }
                Poll::Ready(Ok(taken))
            }
        };
        scratch::give_read(buffer);
        result
    }

    /// Reads on behind the beginning of a large message. The buffer grows with what has arrived, and
    /// not for what is claimed.
    fn read_behind(
        &mut self,
        cx: &mut Context<'_>,
        budget: &mut Budget,
    ) -> Poll<Result<TakenOut, Stop>> {
        let frame = self.unpack.frame_len(&self.rest).unwrap_or(0);
        if self.rest.capacity() == self.rest.len() {
            let grown = self.rest.len().saturating_mul(GROWTH);
            let whole = (frame > self.rest.len()).then_some(frame);
            let room = whole.map_or(grown, |whole| whole.min(grown));
            // The allocator can often move a large buffer without copying it.
            self.rest.reserve(room.saturating_sub(self.rest.len()));
        }
        match ready!(tokio_util::io::poll_read_buf(
            Pin::new(&mut self.read),
            cx,
            &mut self.rest
        )) {
            Err(error) => Poll::Ready(Err(Stop(format!("{READ_FAILED}: {error}")))),
            Ok(0) => Poll::Ready(Err(self.end_of_stream())),
            // Of somebody new it is not known yet whether that is the length at all.
            Ok(_) if self.rest.len() < frame && !self.is_new => {
                Poll::Ready(Ok(Ok((Taken::All, false))))
            }
            Ok(_) => {
                let taken = self.take_rest(budget);
                Poll::Ready(Ok(taken))
            }
        }
    }

    #[cold]
    fn end_of_stream(&self) -> Stop {
        if self.rest.is_empty() {
            return Stop(CLEAN_END.to_owned());
        }
        Stop(format!(
            "the stream ended within a message, after {} bytes of it",
            self.rest.len()
        ))
    }

    /// Takes messages out of what was kept. Large bodies stay parts of it.
    fn take_rest(&mut self, budget: &mut Budget) -> TakenOut {
        let mut bytes = std::mem::take(&mut self.rest).freeze();
        let (used, taken) = self.take(&bytes, Some(&bytes), budget);
        self.rest_is_ready = true;
        bytes.advance(used);
        if !bytes.is_empty() {
            self.rest = bytes
                .try_into_mut()
                .unwrap_or_else(|shared| BytesMut::from(&*shared));
        }
        taken
    }

    /// Takes messages out of bytes that were read. Returns how many bytes they took.
    fn take(
        &mut self,
        src: &[u8],
        shared: Option<&Bytes>,
        budget: &mut Budget,
    ) -> (usize, TakenOut) {
        let inner = &self.inner;
        let tables = inner.shared.router().load();
        let batch = batch::open(inner.number);
        let mut dispatch = Dispatch {
            inner,
            tables: &tables,
            logging: log::enabled(),
            wakers: Wakers::new(inner),
            arrived: None,
            came: 0,
        };
        let mut used = 0;
        budget.begin(src.len());
        let taken = loop {
            let rest = src.get(used..).unwrap_or_default();
            if rest.is_empty() || inner.has_failed() || inner.is_aborted() {
                break Ok(Taken::All);
            }
            if is_paused(inner) {
                break Ok(Taken::Paused);
            }
            if budget.is_used_up() {
                break Ok(Taken::Budget);
            }
            match self.unpack.unpack(inner.env(), rest, false) {
                Ok(None) => break Ok(Taken::All),
                Ok(Some((frame, length))) => {
                    used += length.max(1);
                    budget.spend(frame.body.len());
                    let part = shared
                        .filter(|_| frame.body.len() >= SHARE_FROM)
                        .and_then(|all| part_of(all, frame.body));
                    let body = part
                        .as_ref()
                        .map_or_else(|| BodyRef::new(frame.body), BodyRef::shared);
                    if let Err(stop) = dispatch.frame(&frame, length, body) {
                        break Err(stop);
                    }
                }
                Err(error) => break broken(inner, &error, rest, self.is_new && used == 0),
            }
        };
        self.is_new &= used == 0;
        if dispatch.came > 0 {
            inner.came.fetch_add(dispatch.came, Ordering::Relaxed);
        }
        let promised = dispatch.wakers.finish();
        let buffer = batch.finish();
        if !buffer.is_empty() && inner.put(&buffer, None, When::Now).is_err() {
            tracing::debug!(remote = %inner.remote, "replies were lost: the connection is closed");
        }
        scratch::give_pack(buffer);
        if promised && taken.is_err() {
            inner.look(LOOK_OUT);
        }
        (used.min(src.len()), taken.map(|taken| (taken, promised)))
    }
}

/// How far the messages of a read were taken out, and whether the queue was promised a write.
type TakenOut = Result<(Taken, bool), Stop>;

/// Whether reading has to stop until a handler is done. While a call of this side waits for its
/// reply it must not: the handlers may be waiting for that reply.
fn is_paused(inner: &Arc<Inner>) -> bool {
    if !inner.is_overloaded() {
        return false;
    }
    if inner.must_read() {
        return false;
    }
    inner.paused.store(true, Ordering::SeqCst);
    if !inner.is_overloaded() || inner.must_read() {
        inner.paused.store(false, Ordering::SeqCst);
        return false;
    }
    inner.watch_pause();
    true
}

/// The part of a buffer that a slice of it is; `None` for a slice of something else.
fn part_of(all: &Bytes, slice: &[u8]) -> Option<Bytes> {
    let offset = (slice.as_ptr() as usize).checked_sub(all.as_ptr() as usize)?;
    let end = offset.checked_add(slice.len())?;
    (end <= all.len()).then(|| all.slice(offset..end))
}

/// Says what broke the protocol, and if nothing was said before, who may be talking. One who came
/// to the wrong port is told so, when enough is there to do it.
#[cold]
fn broken(inner: &Inner, error: &ProtoError, bytes: &[u8], is_new: bool) -> Result<Taken, Stop> {
    let stranger = is_new.then(|| Stranger::of(inner.env(), &*inner.proto, bytes));
    let Some(stranger) = stranger.flatten() else {
        return Err(Stop(format!("a frame is broken: {error}")));
    };
    if stranger.needs_more() {
        return Ok(Taken::All);
    }
    if let Some(answer) = stranger.answer()
        && inner.put(answer, None, When::Now).is_err()
    {
        tracing::debug!(remote = %inner.remote, "a stranger is gone already");
    }
    let says = stranger.says();
    Err(Stop(format!("a frame is broken: {error} ({says})")))
}

/// The time that one wake may take.
#[derive(Default)]
struct Budget {
    spent: usize,
    started: Option<Instant>,
}

impl Budget {
    /// Starts the clock, for a read that holds more than a message or two.
    fn begin(&mut self, len: usize) {
        if len > LARGE_READ {
            self.started.get_or_insert_with(Instant::now);
        }
    }

    /// Counts a message; one that filters have blown up counts by its size.
    fn spend(&mut self, body: usize) {
        self.spent = self.spent.saturating_add(1 + body / BODY_PER_FRAME);
    }

    fn is_used_up(&mut self) -> bool {
        if self.spent < FRAMES_PER_LOOK {
            return false;
        }
        self.spent = 0;
        match self.started {
            None => {
                self.started = Some(Instant::now());
                false
            }
            Some(started) => started.elapsed() >= TIME_PER_WAKE,
        }
    }
}
