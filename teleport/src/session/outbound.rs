//! The outbound queue of a session: bytes of whole frames on their way to the stream.
//!
//! Whoever sends packs first, into a buffer of its own, and then holds the lock just long enough
//! to append or to write. Nobody waits under the lock: a write that the stream does not take at
//! once leaves the rest in the queue, and the session's task goes on with it when the stream is
//! ready. A write carries everything that is queued.

mod queue;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite as _;
use tokio::sync::Notify;

use crate::lock;
use crate::socket::WriteHalf;

/// What is queued beyond this is written at once, even in the middle of a batch: larger batches
/// make the two ends take turns.
pub(super) const FLUSH_AT: usize = 16 * 1024;

/// A body from this size on is queued as it is, not copied.
pub(super) const CHAIN_FROM: usize = 32 * 1024;

/// How many pieces one vectored write carries.
const MAX_SLICES: usize = 16;

/// When to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At once, unless somebody is about to write anyway.
    Now,
    /// With others, a turn later.
    Soon,
}

/// Whether the session's task was asked to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// No.
    None,
    /// Yes; it first lets the others of this turn have their say.
    Asked,
    /// Its turn has passed.
    Due,
}

/// What became of bytes that were handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Put {
    pub(super) after: After,
    /// Where they end among all that are ever written.
    pub(super) end: u64,
    pub(super) size: usize,
    /// Not all of them were written yet, or they never will be.
    pub(super) is_left: bool,
}

/// What a sender has to do after it handed its bytes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum After {
    Nothing,
    /// Wake the session's task.
    Wake,
}

/// The stream takes no more bytes.
#[derive(Debug)]
pub(super) struct Closed;

pub(super) struct Outbound {
    state: Mutex<State>,
    /// The bytes queued, to be looked at without the lock.
    queued: AtomicUsize,
    room: Notify,
    /// How many calls and pushes wait for room.
    waiters: AtomicUsize,
    soft: usize,
}

struct State {
    write: Box<dyn WriteHalf>,
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
    /// A write was not taken whole: only the session's task goes on, when the stream is ready.
    stuck: bool,
    promise: Promise,
    /// Bytes were written that the stream may still hold back.
    unflushed: bool,
    closed: bool,
    /// The connection is gone, without a shutdown.
    cut: bool,
    error: Option<io::Error>,
    /// Bytes that were queued when the stream was closed.
    dropped: usize,
    /// All bytes ever written: whether it moves tells whether the other peer reads.
    written: u64,
}

impl Outbound {
    pub(super) fn new(write: Box<dyn WriteHalf>, soft: usize) -> Self {
        Self {
            state: Mutex::new(State {
                write,
                chunks: VecDeque::new(),
                tail: BytesMut::new(),
                len: 0,
                stuck: false,
                promise: Promise::None,
                unflushed: false,
                closed: false,
                cut: false,
                error: None,
                dropped: 0,
                written: 0,
            }),
            queued: AtomicUsize::new(0),
            room: Notify::new(),
            waiters: AtomicUsize::new(0),
            soft,
        }
    }

    /// The bytes waiting to be written.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Whether callers should wait before they add more.
    pub(super) fn is_full(&self) -> bool {
        self.queued() >= self.soft
    }

    /// Waits until there is room, or the stream is closed.
    pub(super) async fn wait_for_room(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if !self.is_full() || lock(&self.state).closed {
                return;
            }
            room.await;
        }
    }

    /// Counts a call or push that waits for room, as long as what this returns lives.
    pub(super) fn count_waiter(&self) -> Counted<'_> {
        Counted::new(&self.waiters)
    }

    /// How many calls and pushes wait for room.
    pub(super) fn waiters(&self) -> usize {
        self.waiters.load(Ordering::SeqCst)
    }

    /// Hands over the bytes of whole frames, with a body that goes right behind them.
    pub(super) fn put(
        &self,
        bytes: &[u8],
        body: Option<&Bytes>,
        when: When,
    ) -> Result<Put, Closed> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Closed);
        }
        let before = state.len;
        let size = bytes.len() + body.map_or(0, Bytes::len);
        let end = state.written.wrapping_add((before + size) as u64);
        let mut cx = Context::from_waker(Waker::noop());
        let idle = state.len == 0 && !state.stuck;
        let after = if idle && state.promise == Promise::None && when == When::Now {
            let taken = state.write_now(&mut cx, bytes);
            state.append(bytes.get(taken..).unwrap_or_default());
            if let Some(body) = body {
                state.chain(body.clone());
                if !state.stuck {
                    state.drain_unless_stuck(&mut cx);
                }
            }
            state.after_write()
        } else {
            state.append(bytes);
            if let Some(body) = body {
                state.chain(body.clone());
            }
            if state.stuck {
                After::Nothing
            } else if state.len >= FLUSH_AT {
                state.drain_unless_stuck(&mut cx);
                state.after_write()
            } else if state.promise == Promise::None {
                state.promise = Promise::Asked;
                After::Wake
            } else {
                After::Nothing
            }
        };
        self.queued.store(state.len, Ordering::Relaxed);
        let room = (before >= self.soft && state.len < self.soft) || state.closed;
        let is_left = state.len > 0 || state.closed;
        drop(state);
        if room {
            self.room.notify_waiters();
        }
        Ok(Put {
            after,
            end,
            size,
            is_left,
        })
    }

    /// Announces that the session's task will write soon, whatever is queued until then: several
    /// callers are about to be woken.
    pub(super) fn promise(&self) {
        let mut state = lock(&self.state);
        if state.promise == Promise::None {
            state.promise = Promise::Asked;
        }
    }

    /// The session's task looks after the queue. `Ready(true)`: a promise waits for the next turn.
    /// `Pending`: the stream is not ready, and the task will be woken when it is.
    pub(super) fn poll_work(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = lock(&self.state);
        if state.closed {
            return Poll::Ready(false);
        }
        if state.promise == Promise::Asked && !state.stuck {
            state.promise = Promise::Due;
            return Poll::Ready(true);
        }
        state.promise = Promise::None;
        state.stuck = false;
        let before = state.len;
        let result = state.drain(cx);
        state.stuck = result.is_pending();
        if let Poll::Ready(Err(error)) = result {
            state.fail(error);
        }
        self.queued.store(state.len, Ordering::Relaxed);
        let room = (before >= self.soft && state.len < self.soft) || state.closed;
        let stuck = state.stuck;
        drop(state);
        if room {
            self.room.notify_waiters();
        }
        if stuck {
            Poll::Pending
        } else {
            Poll::Ready(false)
        }
    }

    /// Writes the rest and shuts the stream's write side.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if !state.closed {
            match state.drain(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => state.fail(error),
            }
            self.queued.store(state.len, Ordering::Relaxed);
        }
        // What a broken stream says to its shutdown interests nobody.
        let _ = ready!(Pin::new(&mut state.write).poll_shutdown(cx));
        state.close();
        // Handles of the session may live on; the connection must not.
        state.write = Box::new(tokio::io::sink());
        drop(state);
        self.room.notify_waiters();
        Poll::Ready(())
    }

    /// Drops what is queued and takes no more.
    pub(super) fn close(&self) {
        lock(&self.state).close();
        self.queued.store(0, Ordering::Relaxed);
        self.room.notify_waiters();
    }

    /// [`close`](Self::close)s, and lets the connection go without a shutdown.
    pub(super) fn cut(&self) {
        self.close();
        let mut state = lock(&self.state);
        state.write = Box::new(tokio::io::sink());
        state.cut = true;
    }

    /// Whether the connection is gone without a shutdown.
    pub(super) fn was_cut(&self) -> bool {
        lock(&self.state).cut
    }

    /// Another descriptor of the connection; an error once that is gone.
    #[cfg(unix)]
    pub(super) fn duplicate(&self) -> io::Result<std::os::fd::OwnedFd> {
        crate::socket::duplicate(&*lock(&self.state).write)
    }

    /// How many bytes were queued when the stream was closed.
    pub(super) fn dropped(&self) -> usize {
        lock(&self.state).dropped
    }

    /// The error that ended the writing.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        lock(&self.state).error.take()
    }

    /// Whether the stream takes no more bytes.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// All bytes ever written, and whether there is a queue.
    pub(super) fn progress(&self) -> (u64, usize) {
        let state = lock(&self.state);
        (state.written, state.len)
    }

    /// All bytes ever written, and whether there will be no more.
    pub(super) fn written(&self) -> (u64, bool) {
        let state = lock(&self.state);
        (state.written, state.closed)
    }

    /// Whether a message that ends at this place was not written whole, nor will be. The other end
    /// cannot have handled it then.
    pub(super) fn is_unwritten(&self, end: u64) -> bool {
        let (written, closed) = self.written();
        closed && written < end
    }

    /// How much memory the queue holds.
    pub(super) fn held(&self) -> usize {
        let state = lock(&self.state);
        state.tail.capacity() + state.chunks.iter().map(Bytes::len).sum::<usize>()
    }
}

/// Counts one that waits, as long as it lives.
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound")
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
