//! Reading, and taking messages out of what was read.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead as _, ReadBuf};

use super::budget::Budget;
use super::{READS_PER_WAKE, Task, is_paused};
use crate::codec::BodyRef;
use crate::proto::{ProtoError, Stranger};
use crate::session::dispatch::{Dispatch, SHARE_FROM, Stop, Wakers};
use crate::session::inner::{Inner, LOOK_OUT};
use crate::session::outbound::When;
use crate::session::{batch, log, scratch};

/// A cut-off rest up to this size is put in front of the next read, rather than read on behind.
const SMALL_REST: usize = 16 * 1024;

/// How many times what has arrived of a large message its buffer may hold.
const GROWTH: usize = 4;

/// Why reading ended, when nothing is left to be read.
const CLEAN_END: &str = "closed by the other end";
const READ_FAILED: &str = "reading failed";

/// How the taking out of messages ended.
enum Taken {
    /// Nothing whole is left.
    All,
    /// The budget is used up; more may be there.
    Budget,
    /// As many handlers wait as may.
    Paused,
}

impl Task {
    pub(super) fn poll_reading(&mut self, cx: &mut Context<'_>) {
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
