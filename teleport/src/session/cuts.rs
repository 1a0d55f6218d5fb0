//! The end that a shutdown puts to handlers that wait.
//!
//! A handler that is not done where it is polled first becomes a task, and has a place here while
//! it waits. At the deadline of a shutdown it is woken and dropped, unless it is one that
//! [finishes](OnCancel::Finish). Whatever it computes until it waits again it still does, and a
//! thread that blocks cannot be stopped at all.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::inner::{Inner, Running};
use crate::context::{Limits, OnCancel};
use crate::lock;

/// Emptied places are given back when there is room for more than this.
const KEPT: usize = 8;

/// The handlers of a connection that wait.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    is_cut: AtomicBool,
    places: OnceLock<Box<Mutex<Places>>>,
}

#[derive(Debug, Default)]
struct Places {
    /// Whom to wake; none for a place that is free, or whose handler was woken to be dropped.
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Places {
    fn taken(&self) -> usize {
        self.wakers.len() - self.free.len()
    }
}

impl Cuts {
    /// Whether handlers are dropped now.
    #[inline]
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::SeqCst)
    }

    /// Wakes all that wait here, and all that will, to be dropped.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        let Some(places) = self.places.get() else {
            return;
        };
        let wakers: Vec<_> = lock(places)
            .wakers
            .iter_mut()
            .filter_map(Option::take)
            .collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether none waits here that is to be dropped.
    pub(super) fn are_done(&self) -> bool {
        self.places
            .get()
            .is_none_or(|places| lock(places).taken() == 0)
    }

    fn places(&self) -> &Mutex<Places> {
        self.places.get_or_init(Box::default)
    }
}

/// A handler's place among those that wait.
#[derive(Debug)]
struct Place {
    inner: Arc<Inner>,
    at: Option<usize>,
}

impl Place {
    fn new(inner: &Arc<Inner>) -> Self {
        Self {
            inner: Arc::clone(inner),
            at: None,
        }
    }

    /// Takes the place, if it is not taken yet; a task keeps its waker. Tells whether this handler is
    /// to be dropped.
    fn is_cut(&mut self, cx: &Context<'_>) -> bool {
        let cuts = &self.inner.cuts;
        if self.at.is_none() {
            let mut places = lock(cuts.places());
            let waker = Some(cx.waker().clone());
            self.at = Some(match places.free.pop() {
                Some(at) => {
                    if let Some(place) = places.wakers.get_mut(at) {
                        *place = waker;
                    }
                    at
                }
                None => {
                    places.wakers.push(waker);
                    places.wakers.len() - 1
                }
            });
        }
        // Looked at after the place is taken: whoever cuts has set it, or finds the waker.
        cuts.is_cut()
    }

    fn leave(&mut self) {
        let Some(at) = self.at.take() else { return };
        let cuts = &self.inner.cuts;
        let waker = {
            let mut places = lock(cuts.places());
            let waker = places.wakers.get_mut(at).and_then(Option::take);
            places.free.push(at);
            if places.taken() == 0 && places.wakers.capacity() > KEPT {
                *places = Places::default();
            }
            waker
        };
        drop(waker);
        self.inner.look_again_if_cut();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

pin_project! {
    /// A message's work that is dropped when it is cut.
    struct Cuttable<F> {
        #[pin]
        work: Option<F>,
        finishes: bool,
        place: Place,
    }
}

impl<F: Future<Output = ()>> Future for Cuttable<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if !*this.finishes && this.place.is_cut(cx) {
            this.place.inner.count_cut();
            // What is dropped is the user's, and may panic.
            let dropped = catch_unwind(AssertUnwindSafe(|| this.work.set(None)));
            if let Err(panic) = dropped {
                let text = crate::panic_text(&*panic);
                tracing::error!(panic = %text.escape_debug(), "a handler panicked when it was dropped");
            }
            return Poll::Ready(());
        }
        let Some(work) = this.work.as_mut().as_pin_mut() else {
            return Poll::Ready(());
        };
        let (polled, finishes) = marked(*this.finishes, || work.poll(cx));
        if finishes && !*this.finishes {
            *this.finishes = true;
            this.place.leave();
        }
        polled
    }
}

/// Makes a message's work a task. `finishes`: it is not dropped at the deadline of a shutdown.
pub(super) fn spawn(
    inner: &Arc<Inner>,
    finishes: bool,
    work: impl Future<Output = ()> + Send + 'static,
) {
    tokio::spawn(Cuttable {
        work: Some(work),
        finishes,
        place: Place::new(inner),
    });
}

pin_project! {
    /// Work on a thread that may block; nothing comes of it if it is cut where it waits.
    pub(super) struct Apart<F> {
        #[pin]
        work: F,
        finishes: bool,
        place: Place,
    }
}

impl<F> Apart<F> {
    pub(super) fn new(inner: &Arc<Inner>, finishes: bool, work: F) -> Self {
        let place = Place::new(inner);
        Self {
            work,
            finishes,
            place,
        }
    }
}

impl<F: Future> Future for Apart<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.work.poll(cx) {
            return Poll::Ready(Some(output));
        }
        if !*this.finishes && this.place.is_cut(cx) {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

/// Counts a handler on a thread that may block as running until it ends, whoever still waits for it.
/// The first of these is held by its driver, which is counted itself; the other by the thread.
pub(super) fn counted_apart(inner: &Arc<Inner>) -> (Waited, EndedApart) {
    let count = Arc::new(Mutex::new(Count::Driver));
    let waited = Waited {
        inner: Arc::clone(inner),
        count: Arc::clone(&count),
    };
    (waited, EndedApart(count))
}

/// What counts a handler apart.
enum Count {
    Driver,
    /// Its driver is gone; `is_cut`: dropped by a shutdown.
    Itself {
        running: Running,
        is_cut: bool,
    },
    Ended,
}

pub(super) struct Waited {
    inner: Arc<Inner>,
    count: Arc<Mutex<Count>>,
}

impl Drop for Waited {
    fn drop(&mut self) {
        let mut count = lock(&self.count);
        if matches!(*count, Count::Driver) {
            *count = Count::Itself {
                running: self.inner.count_running(),
                is_cut: self.inner.cut_goes_on(),
            };
        }
    }
}

pub(super) struct EndedApart(Arc<Mutex<Count>>);

impl Drop for EndedApart {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *lock(&self.0), Count::Ended);
        if let Count::Itself {
            running,
            is_cut: true,
        } = before
        {
            running.session().0.cut_ends();
        }
    }
}

/// Whether a handler of these limits is one that finishes.
pub(super) fn finishes(inner: &Inner, limits: &Limits) -> bool {
    let choice = limits.on_cancel.unwrap_or_else(|| inner.shared.on_cancel());
    choice == OnCancel::Finish
}

thread_local! {
    /// Whether the message that is being polled on this thread has come to a handler that finishes.
    static FINISHES: Cell<bool> = const { Cell::new(false) };
}

/// The message that is being polled is not dropped from now on.
pub(super) fn finish_this() {
    FINISHES.set(true);
}

/// Does a part of a message's work; tells whether it is not to be dropped from now on.
pub(super) fn marked<T>(finishes: bool, work: impl FnOnce() -> T) -> (T, bool) {
    let before = Before(FINISHES.replace(finishes));
    let done = work();
    let finishes = FINISHES.get();
    drop(before);
    (done, finishes)
}

/// Puts back what was there before, also after a panic.
struct Before(bool);

impl Drop for Before {
    fn drop(&mut self) {
        FINISHES.set(self.0);
    }
}
