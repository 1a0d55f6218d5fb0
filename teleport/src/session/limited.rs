//! Driving a message whose handling has a limit, or whose caller may give up.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::answer::Owed;
use super::cancels::Attended;
use super::dispatch::push_done;
use super::inner::Inner;
use super::log::{self, Record};
use super::slow::{Handled, REPLY_HOOKS, hooks_of, refuse, reply_handled};
use crate::context::{Answered, Asked, Life, Limits, OnCancel};
use crate::message::{Head, Meta, Mtype, Seq, Uri, meta};
use crate::rerror::{Rerror, code};
use crate::router::handler::CallHandler;
use crate::router::{Entry, Tables};

/// What a caller said about its patience; on a connection with a guard it says so where nobody sees
/// it yet.
fn asked(inner: &Inner, head: &Head<'_>) -> Option<Asked> {
    if head.mtype != Mtype::CALL || inner.guard.is_some() {
        return None;
    }
    meta::find_encoded(head.meta, meta::REMAINING).map(|text| Asked::read(&text))
}

/// What a caller said where the guard's plugin has made it readable.
pub(super) fn hear(inner: &Inner, life: &Life, meta: &Meta) {
    if inner.guard.is_some()
        && let Some(text) = meta.get_bytes(meta::REMAINING)
    {
        life.set_asked(Asked::read(text));
    }
}

/// Whether a message needs a [`Life`], apart from what its route says.
#[inline]
pub(super) fn is_limited(inner: &Inner, head: &Head<'_>) -> bool {
    inner.has_context_age() || (!head.meta.is_empty() && asked(inner, head).is_some())
}

/// The life of a message that needs one. Without `limits` its route is not known yet, and `may`
/// says whether it may have an age.
#[cold]
pub(super) fn life(
    inner: &Inner,
    head: &Head<'_>,
    limits: Option<&Limits>,
    may: bool,
) -> Option<Arc<Life>> {
    let age = inner.context_age();
    let asked = asked(inner, head);
    let may = may || (head.mtype == Mtype::CALL && inner.guard.is_some());
    let own = limits.map_or(may, |limits| limits.age.is_some());
    if age.is_zero() && asked.is_none() && !own {
        return None;
    }
    let life = Life::new(asked, age, inner.shared.on_cancel());
    if let Some(limits) = limits {
        life.set_limits(limits);
    }
    Some(Arc::new(life))
}

/// How the driving of a message ended.
enum Ended<T> {
    Done(T),
    /// It was done after its time, without waiting.
    Late(T),
    /// Its time is over, and it still waits.
    Over,
    /// Its caller gave up, and it still waits.
    GivenUp,
}

/// Drives the work of one message.
struct Driver {
    life: Arc<Life>,
    timer: Option<Pin<Box<Sleep>>>,
    attended: Option<Attended>,
}

impl Driver {
    fn new(life: Arc<Life>, attended: Option<Attended>) -> Self {
        Self {
            life,
            timer: None,
            attended,
        }
    }

    /// Polls the work, unless its time is over or its caller gave up.
    fn poll<F: Future>(
        &mut self,
        cx: &mut Context<'_>,
        work: Pin<&mut F>,
        of: (&Arc<Inner>, &Seq),
    ) -> Poll<Ended<F::Output>> {
        let life = Arc::clone(&self.life);
        life.watch(cx.waker());
        if life.is_given_up() {
            return Poll::Ready(Ended::GivenUp);
        }
        if life.is_over() {
            return Poll::Ready(Ended::Over);
        }
        if let Poll::Ready(output) = life.scope(|| work.poll(cx)) {
            self.attended = None;
            return Poll::Ready(if life.is_over() {
                Ended::Late(output)
            } else {
                Ended::Done(output)
            });
        }
        if self.attended.is_none() && life.is_attended() {
            self.attended = Some(Attended::new(of.0, of.1, &life));
        }
        match life.deadline() {
            Some(at) => self.poll_timer(cx, at).map(|()| Ended::Over),
            None => Poll::Pending,
        }
    }

    /// The deadline may have changed with the route.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx)
    }
}

/// A call that has a limit, or a caller who may give up.
pub(super) struct Limited<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) tables: &'a Tables,
    pub(super) life: &'a Arc<Life>,
    /// The route, as soon as it is known.
    pub(super) route: &'a OnceLock<Arc<Entry<dyn CallHandler>>>,
    pub(super) attended: Option<Attended>,
    pub(super) uri: Uri,
}

impl Limited<'_> {
    /// Sees the call through: its reply comes in time, or an error in its place.
    pub(super) async fn run(self, mut owed: Owed, work: impl Future<Output = Handled>) {
        let Self {
            inner,
            tables,
            life,
            route,
            attended,
            uri,
        } = self;
        let Some(seq) = owed.seq() else { return };
        owed.tell(hooks_of(route.get(), tables), &uri);
        let mut driver = Driver::new(Arc::clone(life), attended);
        let mut work = pin!(Some(work));
        let ended = poll_fn(|cx| match work.as_mut().as_pin_mut() {
            Some(work) => driver.poll(cx, work, (inner, &seq)),
            None => Poll::Pending,
        });
        let ended = ended.await;
        drop(driver);
        let time_out = |owed: &mut Owed| {
            let Some(answer) = owed.answer() else { return };
            let hooks = hooks_of(route.get(), tables);
            let rerror = life.timed_out();
            match hooks.any(REPLY_HOOKS) {
                false => answer.refuse(inner, &rerror),
                true => refuse(inner, hooks, answer, Answered::lost(uri.clone()), &rerror),
            }
        };
        match ended {
            Ended::Done(handled) => {
                reply_handled(inner, tables, &mut owed, handled, Some(life)).await;
            }
            // The connection ends, which is worse than being late.
            Ended::Late(None) => drop(owed.answer()),
            Ended::Late(Some(outcome)) => {
                drop(outcome);
                time_out(&mut owed);
                late(inner, life, &uri);
            }
            Ended::Over => {
                time_out(&mut owed);
                let goes_on = end_or_tell(life, work.as_mut());
                outlive(inner, life, &uri, work, goes_on).await;
            }
            Ended::GivenUp => {
                if let Some(mut answer) = owed.answer() {
                    answer.log(inner, Some(&given_up()));
                }
                let goes_on = end_or_tell(life, work.as_mut());
                outlive(inner, life, &uri, work, goes_on).await;
            }
        }
    }
}

/// Sees a push that has a limit through.
pub(super) async fn limited_push(
    inner: &Arc<Inner>,
    life: Arc<Life>,
    uri: &Uri,
    record: Option<Box<Record>>,
    work: impl Future<Output = Option<Result<(), Rerror>>>,
) {
    let seq = Seq::default();
    let mut driver = Driver::new(Arc::clone(&life), None);
    let mut work = pin!(Some(work));
    let ended = poll_fn(|cx| match work.as_mut().as_pin_mut() {
        Some(work) => driver.poll(cx, work, (inner, &seq)),
        None => Poll::Pending,
    });
    match ended.await {
        Ended::Done(None) | Ended::Late(None) => {}
        // What was done late was done all the same.
        Ended::Done(Some(result)) | Ended::Late(Some(result)) => {
            push_done(inner, record, uri.as_bytes(), result.as_ref().err());
        }
        Ended::Over | Ended::GivenUp => {
            push_done(inner, record, uri.as_bytes(), Some(&life.timed_out()));
            let goes_on = end_or_tell(&life, work.as_mut());
            outlive(inner, &life, uri, work, goes_on).await;
        }
    }
}

/// Ends work that nobody waits for, or tells it so. Tells whether it goes on.
fn end_or_tell<F: Future>(life: &Life, mut work: Pin<&mut Option<F>>) -> bool {
    match life.choice() {
        OnCancel::Abort => {
            life.tell();
            // What is dropped is the user's, and may panic; that must not cost the caller's reply.
            let dropped = catch_unwind(AssertUnwindSafe(|| work.set(None)));
            if let Err(panic) = dropped {
                let text = crate::panic_text(&*panic);
                tracing::error!(panic = %text.escape_debug(), "a handler panicked when it was dropped");
            }
            false
        }
        OnCancel::Notify => {
            life.tell();
            true
        }
        OnCancel::Finish => true,
    }
}

/// Lets work go on that nobody waits for.
async fn outlive<F: Future>(
    inner: &Inner,
    life: &Life,
    uri: &Uri,
    mut work: Pin<&mut Option<F>>,
    goes_on: bool,
) {
    if !goes_on {
        return;
    }
    if let Some(work) = work.as_mut().as_pin_mut() {
        life.scoped(work).await;
        late(inner, life, uri);
    }
}

#[cold]
fn late(inner: &Inner, life: &Life, uri: &Uri) {
    tracing::info!(
        remote = %inner.remote,
        uri = %log::printable(uri.as_bytes()),
        took = ?life.elapsed(),
        "a handler ended when nobody waited for it any more; its result is dropped"
    );
}

/// How the log line of a call ends whose caller gave up. Nobody is sent this.
#[cold]
fn given_up() -> Rerror {
    Rerror::new(code::UNKNOWN, "Cancelled", "the caller gave up")
}
