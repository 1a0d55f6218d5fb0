//! Handlers as the engine runs them, and how a typed handler becomes one.
//!
//! A handler is a function from a context and an argument to a future. In place, the future is
//! built in a box that its thread keeps for the route, polled once, and the box is used again;
//! only a future that has to wait takes its box along into a task of its own.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use crate::codec::{BodyRef, CodecError, Codecs};
use crate::context::{CallCtx, PushCtx};
use crate::private::ReplyBody;
use crate::rerror::Rerror;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How far the handler of a push came in place.
pub(crate) enum Step {
    /// It is done.
    Done(Result<(), Rerror>),
    /// It waits for something.
    Pending(BoxFuture<'static, PushOutcome>),
}

/// What came out of a handler: its context, unless a panic swallowed it, and its answer.
pub(crate) type Outcome<C, T> = (Option<C>, Result<T, Rerror>);

pub(crate) type CallOutcome = Outcome<CallCtx, Box<dyn ReplyBody>>;
pub(crate) type PushOutcome = Outcome<PushCtx, ()>;

/// What the engine does with the outcome of a call that was done in place. The context and the body
/// are lent, so that a result that is encoded at once is neither boxed nor moved.
pub(crate) type AnswerFn<'a> =
    &'a mut dyn FnMut(Option<&CallCtx>, Result<&mut dyn ReplyBody, &Rerror>);

/// A decoded argument of any type.
pub(crate) type Arg = Box<dyn Any + Send>;

/// The handler of a call, its types erased.
pub(crate) trait CallHandler: Send + Sync {
    /// Decodes and runs as far as it goes without waiting. `answer` gets the outcome if there is
    /// one already; else the future to wait for is returned.
    fn start(
        &self,
        codecs: &Codecs,
        ctx: CallCtx,
        body: BodyRef<'_>,
        answer: AnswerFn<'_>,
    ) -> Started;

    /// Decodes alone.
    fn decode(&self, codecs: &Codecs, codec: u8, body: BodyRef<'_>) -> Result<Arg, DecodeFail>;

    /// Runs with an argument that [`decode`](Self::decode) made.
    fn run(&self, ctx: CallCtx, arg: Arg) -> BoxFuture<'static, CallOutcome>;
}

/// The handler of a push, its types erased.
pub(crate) trait PushHandler: Send + Sync {
    /// Decodes and runs as far as it goes without waiting.
    fn start(&self, codecs: &Codecs, ctx: PushCtx, body: BodyRef<'_>) -> Result<Step, DecodeFail>;

    /// Decodes alone.
    fn decode(&self, codecs: &Codecs, codec: u8, body: BodyRef<'_>) -> Result<Arg, DecodeFail>;

    /// Runs with an argument that [`decode`](Self::decode) made.
    fn run(&self, ctx: PushCtx, arg: Arg) -> BoxFuture<'static, PushOutcome>;
}

/// What became of a call that was started in place.
pub(crate) enum Started {
    /// `answer` was told.
    Answered,
    /// The argument could not be decoded; nobody was told.
    Undecoded(DecodeFail),
    /// The handler waits.
    Pending(BoxFuture<'static, CallOutcome>),
}

/// Why an argument was not decoded.
#[derive(Debug)]
pub(crate) enum DecodeFail {
    Codec(CodecError),
    Panic(String),
}

/// A handler of calls, its types erased; for macro output.
pub struct CallFn(pub(crate) Arc<dyn CallHandler>);

/// A handler of pushes, its types erased; for macro output.
pub struct PushFn(pub(crate) Arc<dyn PushHandler>);

impl std::fmt::Debug for CallFn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallFn")
    }
}

impl std::fmt::Debug for PushFn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PushFn")
    }
}

/// The erased form of a decoder and a handler whose types the macro output knows.
struct Typed<D, R, A, F> {
    decode: D,
    run: R,
    cache: CacheKey,
    types: PhantomData<fn(A) -> F>,
}

/// Joins the decoder and the body of a call's handler; for macro output.
pub fn call_handler<D, R, A, F, O>(decode: D, run: R) -> CallFn
where
    D: Fn(&Codecs, u8, BodyRef<'_>) -> Result<A, CodecError> + Send + Sync + 'static,
    R: Fn(CallCtx, A) -> F + Send + Sync + 'static,
    A: Send + 'static,
    F: Future<Output = (CallCtx, Result<O, Rerror>)> + Send + 'static,
    O: ReplyBody + 'static,
{
    CallFn(Arc::new(Typed {
        decode,
        run,
        cache: CacheKey::new(),
        types: PhantomData,
    }))
}

/// Joins the decoder and the body of a push's handler; for macro output.
pub fn push_handler<D, R, A, F>(decode: D, run: R) -> PushFn
where
    D: Fn(&Codecs, u8, BodyRef<'_>) -> Result<A, CodecError> + Send + Sync + 'static,
    R: Fn(PushCtx, A) -> F + Send + Sync + 'static,
    A: Send + 'static,
    F: Future<Output = (PushCtx, Result<(), Rerror>)> + Send + 'static,
{
    PushFn(Arc::new(Typed {
        decode,
        run,
        cache: CacheKey::new(),
        types: PhantomData,
    }))
}

impl<D, R, A, F> Typed<D, R, A, F>
where
    D: Fn(&Codecs, u8, BodyRef<'_>) -> Result<A, CodecError>,
{
    fn decode_caught(
        &self,
        codecs: &Codecs,
        codec: u8,
        body: BodyRef<'_>,
    ) -> Result<A, DecodeFail> {
        match catch_unwind(AssertUnwindSafe(|| (self.decode)(codecs, codec, body))) {
            Ok(Ok(arg)) => Ok(arg),
            Ok(Err(error)) => Err(DecodeFail::Codec(error)),
            Err(panic) => Err(DecodeFail::Panic(crate::panic_text(&*panic))),
        }
    }
}

impl<D, R, A, F, O> CallHandler for Typed<D, R, A, F>
where
    D: Fn(&Codecs, u8, BodyRef<'_>) -> Result<A, CodecError> + Send + Sync + 'static,
    R: Fn(CallCtx, A) -> F + Send + Sync + 'static,
    A: Send + 'static,
    F: Future<Output = (CallCtx, Result<O, Rerror>)> + Send + 'static,
    O: ReplyBody + 'static,
{
    fn start(
        &self,
        codecs: &Codecs,
        ctx: CallCtx,
        body: BodyRef<'_>,
        answer: AnswerFn<'_>,
    ) -> Started {
        let codec = ctx.body_codec();
        let decode = || (self.decode)(codecs, codec, body);
        let done = |outcome: Done<'_, F>| match outcome {
            Ok((ctx, Ok(body))) => answer(Some(ctx), Ok(body)),
            Ok((ctx, Err(rerror))) => answer(Some(ctx), Err(rerror)),
            Err(text) => answer(None, Err(&Rerror::internal(text))),
        };
        match poll_once(self.cache, ctx, decode, &self.run, done) {
            First::Done => Started::Answered,
            First::Undecoded(fail) => Started::Undecoded(fail),
            First::Pending(future) => Started::Pending(Box::pin(erase_call(future))),
        }
    }

    fn decode(&self, codecs: &Codecs, codec: u8, body: BodyRef<'_>) -> Result<Arg, DecodeFail> {
        self.decode_caught(codecs, codec, body)
            .map(|arg| Box::new(arg) as Arg)
    }

    fn run(&self, ctx: CallCtx, arg: Arg) -> BoxFuture<'static, CallOutcome> {
        let Ok(arg) = arg.downcast::<A>() else {
            return Box::pin(std::future::ready((Some(ctx), Err(wrong_argument()))));
        };
        match catch_unwind(AssertUnwindSafe(|| (self.run)(ctx, *arg))) {
            Ok(future) => Box::pin(erase_call(Box::pin(Some(future)))),
            Err(panic) => {
                let text = crate::panic_text(&*panic);
                Box::pin(std::future::ready((None, Err(Rerror::internal(text)))))
            }
        }
    }
}

impl<D, R, A, F> PushHandler for Typed<D, R, A, F>
where
    D: Fn(&Codecs, u8, BodyRef<'_>) -> Result<A, CodecError> + Send + Sync + 'static,
    R: Fn(PushCtx, A) -> F + Send + Sync + 'static,
    A: Send + 'static,
    F: Future<Output = (PushCtx, Result<(), Rerror>)> + Send + 'static,
{
    fn start(&self, codecs: &Codecs, ctx: PushCtx, body: BodyRef<'_>) -> Result<Step, DecodeFail> {
        let codec = ctx.body_codec();
        let decode = || (self.decode)(codecs, codec, body);
        let mut result = Ok(());
        let done = |outcome: Done<'_, F>| {
            result = match outcome {
                Ok((_, result)) => std::mem::replace(result, Ok(())),
                Err(text) => Err(Rerror::internal(text)),
            };
        };
        match poll_once(self.cache, ctx, decode, &self.run, done) {
            First::Done => Ok(Step::Done(result)),
            First::Undecoded(fail) => Err(fail),
            First::Pending(future) => Ok(Step::Pending(Box::pin(caught(future)))),
        }
    }

    fn decode(&self, codecs: &Codecs, codec: u8, body: BodyRef<'_>) -> Result<Arg, DecodeFail> {
        self.decode_caught(codecs, codec, body)
            .map(|arg| Box::new(arg) as Arg)
    }

    fn run(&self, ctx: PushCtx, arg: Arg) -> BoxFuture<'static, PushOutcome> {
        let Ok(arg) = arg.downcast::<A>() else {
            return Box::pin(std::future::ready((Some(ctx), Err(wrong_argument()))));
        };
        match catch_unwind(AssertUnwindSafe(|| (self.run)(ctx, *arg))) {
            Ok(future) => Box::pin(caught(Box::pin(Some(future)))),
            Err(panic) => {
                let text = crate::panic_text(&*panic);
                Box::pin(std::future::ready((None, Err(Rerror::internal(text)))))
            }
        }
    }
}

#[cold]
fn wrong_argument() -> Rerror {
    Rerror::internal("the argument was decoded for another handler")
}

async fn erase_call<F, O>(future: Pin<Box<Option<F>>>) -> CallOutcome
where
    F: Future<Output = (CallCtx, Result<O, Rerror>)>,
    O: ReplyBody + 'static,
{
    let (ctx, result) = caught(future).await;
    (ctx, result.map(|body| Box::new(body) as Box<dyn ReplyBody>))
}

/// Awaits a handler; a panic in it becomes error 500.
async fn caught<F, C, T>(mut future: Pin<Box<Option<F>>>) -> Outcome<C, T>
where
    F: Future<Output = (C, Result<T, Rerror>)>,
{
    let outcome = std::future::poll_fn(|cx| poll_caught(&mut future, cx)).await;
    // A panic while the future is dropped must not pass for an outcome that never came.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| future.set(None))) {
        return (None, Err(Rerror::internal(crate::panic_text(&*panic))));
    }
    match outcome {
        Ok((ctx, result)) => (Some(ctx), result),
        Err(text) => (None, Err(Rerror::internal(text))),
    }
}

fn poll_caught<F: Future>(
    future: &mut Pin<Box<Option<F>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, String>> {
    let poll = catch_unwind(AssertUnwindSafe(|| match future.as_mut().as_pin_mut() {
        Some(future) => future.poll(cx),
        None => Poll::Pending,
    }));
    match poll {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(crate::panic_text(&*panic))),
    }
}

/// Where the first poll of a handler left it.
enum First<F> {
    /// Who wanted its outcome has been told.
    Done,
    /// Its argument could not be decoded; nobody was told.
    Undecoded(DecodeFail),
    Pending(Slot<F>),
}

/// What a handler gave that was done at once, or the text of its panic.
type Done<'a, F> = Result<&'a mut <F as Future>::Output, String>;

/// What is being done when a panic comes.
enum Stage {
    Decoding,
    Handling,
    Telling,
}

/// Names the box that each thread keeps for one handler.
#[derive(Clone, Copy)]
struct CacheKey(usize);

impl CacheKey {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// How many handlers of a process have such boxes; those registered later do without.
const KEPT_BOXES: usize = 4096;

thread_local! {
    static BOXES: RefCell<Vec<Option<Box<dyn Any>>>> = const { RefCell::new(Vec::new()) };
}

/// A box that fits the futures of one handler.
type Slot<F> = Pin<Box<Option<F>>>;

impl CacheKey {
    /// Takes this thread's box out, so that a handler that comes back here gets a new one.
    fn take<F: 'static>(self) -> Slot<F> {
        let kept = BOXES.with_borrow_mut(|boxes| {
            boxes
                .get_mut(self.0)?
                .as_mut()?
                .downcast_mut::<Option<Slot<F>>>()?
                .take()
        });
        kept.unwrap_or_else(|| Box::pin(None))
    }

    fn give<F: 'static>(self, slot: Slot<F>) {
        if self.0 >= KEPT_BOXES {
            return;
        }
        BOXES.with_borrow_mut(|boxes| {
            if boxes.len() <= self.0 {
                boxes.resize_with(self.0 + 1, || None);
            }
            let Some(place) = boxes.get_mut(self.0) else {
                return;
            };
            match place
                .as_mut()
                .and_then(|kept| kept.downcast_mut::<Option<Slot<F>>>())
            {
                Some(kept) => *kept = Some(slot),
                None => *place = Some(Box::new(Some(slot))),
            }
        });
    }
}

/// Decodes, builds the handler's future in this thread's box, polls it once, and tells `done` of the
/// outcome. Whoever the future waits for wakes nobody: one that is not ready is polled again by the
/// task it moves to.
///
/// All in one place, because an argument or a result may be large: neither is moved from hand to
/// hand more often than it takes.
fn poll_once<C, A, F: Future + 'static>(
    key: CacheKey,
    ctx: C,
    decode: impl Fn() -> Result<A, CodecError>,
    run: &impl Fn(C, A) -> F,
    mut done: impl FnMut(Done<'_, F>),
) -> First<F> {
    let mut slot = key.take::<F>();
    let mut ctx = Some(ctx);
    let mut stage = Stage::Decoding;
    let first = catch_unwind(AssertUnwindSafe(|| {
        match (decode(), ctx.take()) {
            (Ok(arg), Some(ctx)) => {
                stage = Stage::Handling;
                slot.set(Some(run(ctx, arg)));
            }
            (Err(error), _) => return Err(DecodeFail::Codec(error)),
            // It is taken only here.
            (Ok(_), None) => return Ok(true),
        }
        let mut cx = Context::from_waker(Waker::noop());
        let mut poll = match slot.as_mut().as_pin_mut() {
            Some(future) => future.poll(&mut cx),
            None => Poll::Pending,
        };
        let Poll::Ready(outcome) = &mut poll else {
            return Ok(true);
        };
        slot.set(None);
        stage = Stage::Telling;
        done(Ok(outcome));
        Ok(false)
    }));
    match (first, stage) {
        (Ok(Ok(true)), _) => First::Pending(slot),
        (Ok(Ok(false)), _) => {
            key.give(slot);
            First::Done
        }
        (Ok(Err(fail)), _) => {
            key.give(slot);
            First::Undecoded(fail)
        }
        (Err(panic), Stage::Decoding) => {
            First::Undecoded(DecodeFail::Panic(crate::panic_text(&*panic)))
        }
        (Err(panic), Stage::Handling) => {
            // What is left of the future may panic once more when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
            done(Err(crate::panic_text(&*panic)));
            First::Done
        }
        // Not the handler's: it is for whoever runs the session.
        (Err(panic), Stage::Telling) => resume_unwind(panic),
    }
}
