//! From a frame to its handler by way of plugins.
//!
//! From its header hooks to its reply hooks a message is one future. It is polled once where the
//! message stands; one that is not ready moves into a task of its own.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Owed, deliver, lost};
use super::calls::{ReplyBytes, ReplyIn};
use super::cancels::Attended;
use super::cuts::{self, Apart, counted_apart};
use super::dispatch::{invalid_uri, no_codec, not_found, push_done, stray};
use super::inner::{Inner, Payload};
use super::limited::{self, Limited, limited_push};
use super::log::Record;
use crate::codec::{self, BodyRef};
use crate::context::{Answered, CallCtx, Life, PreCtx, PushCtx, ReadCtx, Received, WriteCtx};
use crate::error::ErrorKind;
use crate::message::{Header, Meta, Mtype, Seq, Uri};
use crate::plugin::{FlatHooks, Hooks};
use crate::private::ReplyBody;
use crate::rerror::Rerror;
use crate::router::handler::{BoxFuture, CallHandler, CallOutcome, PushHandler, PushOutcome};
use crate::router::{Entry, RunMode, Tables};
use crate::xfer::XferPipe;

pub(super) const REPLY_HOOKS: Hooks = Hooks::PRE_WRITE_REPLY.union(Hooks::POST_WRITE_REPLY);

/// A message that is on its way through plugins.
pub(super) struct Job {
    ctx: ReadCtx,
    tables: Arc<Tables>,
    life: Option<Arc<Life>>,
}

impl Job {
    pub(super) fn new(received: Received, body: Bytes, tables: &Arc<Tables>) -> Self {
        Self {
            ctx: ReadCtx::new(received, body),
            tables: Arc::clone(tables),
            life: None,
        }
    }

    /// The same with a limit, or a caller who may give up.
    pub(super) fn limited(mut self, life: Option<Arc<Life>>) -> Self {
        if life.is_some() {
            self.ctx.set_life(life.clone());
            self.life = life;
        }
        self
    }
}

/// Polls a message's future where it stands; it becomes a task if it has to wait.
pub(super) fn start(inner: &Arc<Inner>, mut future: BoxFuture<'static, ()>) {
    let mut cx = Context::from_waker(Waker::noop());
    let (polled, finishes) = cuts::marked(false, || future.as_mut().poll(&mut cx));
    if polled.is_pending() {
        cuts::spawn(inner, finishes, future);
    }
}

/// A CALL, from the first hook on.
pub(super) fn call(job: Job, answer: Answer, inner: &Arc<Inner>) -> BoxFuture<'static, ()> {
    let owed = Owed::new(inner.count_running(), answer);
    let inner = Arc::clone(inner);
    let Job { ctx, tables, life } = job;
    match life {
        None => Box::pin(async move {
            let mut owed = owed;
            let handled = from_first_hook(&inner, ctx, &tables, For::Any(&mut owed)).await;
            reply_handled(&inner, &tables, &mut owed, handled, None).await;
        }),
        Some(life) => Box::pin(async move {
            let route = OnceLock::new();
            let call = Limited {
                inner: &inner,
                tables: &tables,
                life: &life,
                route: &route,
                attended: None,
                uri: ctx.uri().clone(),
            };
            let work = from_first_hook(&inner, ctx, &tables, For::Limited(&life, &route));
            call.run(owed, work).await;
        }),
    }
}

/// A CALL whose route is known already.
pub(super) fn routed_call(
    job: Job,
    entry: Arc<Entry<dyn CallHandler>>,
    answer: Answer,
    inner: &Arc<Inner>,
) -> BoxFuture<'static, ()> {
    let owed = Owed::new(inner.count_running(), answer);
    let inner = Arc::clone(inner);
    let Job { ctx, tables, life } = job;
    match life {
        None => Box::pin(async move {
            let mut owed = owed;
            let handled = handle_call(&inner, entry, ctx, For::Any(&mut owed)).await;
            reply_handled(&inner, &tables, &mut owed, handled, None).await;
        }),
        Some(life) => {
            // One that runs elsewhere may be given up on before it is polled at all.
            let own_task = entry.mode != RunMode::Inline && life.is_attended();
            let attended = own_task.then(|| Attended::new(&inner, ctx.seq(), &life));
            Box::pin(async move {
                let route = OnceLock::from(Arc::clone(&entry));
                let call = Limited {
                    inner: &inner,
                    tables: &tables,
                    life: &life,
                    route: &route,
                    attended,
                    uri: ctx.uri().clone(),
                };
                let work = handle_call(&inner, entry, ctx, For::Limited(&life, &route));
                call.run(owed, work).await;
            })
        }
    }
}

/// The outcome of a call before its reply; `None`: the connection ends, there is nobody to answer.
pub(super) type Handled = Option<Outcome>;

/// What came of a call.
pub(super) struct Outcome {
    /// Whose reply hooks run; the peer's own without a route.
    route: Option<Arc<Entry<dyn CallHandler>>>,
    ctx: Option<CallCtx>,
    /// There if there are reply hooks.
    call: Option<Answered>,
    result: Result<Box<dyn ReplyBody>, Rerror>,
}

impl Outcome {
    /// A call that did not get as far as its handler.
    fn failed(
        hooks: &FlatHooks,
        route: Option<Arc<Entry<dyn CallHandler>>>,
        mut ctx: ReadCtx,
        rerror: Rerror,
    ) -> Self {
        Self {
            call: hooks.any(REPLY_HOOKS).then(|| Answered::new(&mut ctx)),
            route,
            ctx: None,
            result: Err(rerror),
        }
    }
}

/// The hooks of a route; those of the peer itself without one.
pub(super) fn hooks_of<'a>(
    route: Option<&'a Arc<Entry<dyn CallHandler>>>,
    tables: &'a Tables,
) -> &'a FlatHooks {
    route.map_or(&tables.hooks, |route| &route.hooks)
}

/// Who is told how far a call got.
enum For<'a> {
    /// Whoever answers for it, should its end be one that nobody planned.
    Any(&'a mut Owed),
    /// Those who see to its limit.
    Limited(&'a Life, &'a OnceLock<Arc<Entry<dyn CallHandler>>>),
}

impl For<'_> {
    fn any_hooks(&mut self, hooks: &FlatHooks, ctx: &ReadCtx) {
        if let Self::Any(owed) = self {
            owed.tell(hooks, ctx.uri());
        }
    }

    /// The header hooks are through.
    fn opened(&self, inner: &Inner, ctx: &ReadCtx) {
        if let Self::Limited(life, _) = self {
            limited::hear(inner, life, ctx.meta());
        }
    }

    fn routed(&mut self, entry: &Arc<Entry<dyn CallHandler>>) {
        if let Self::Limited(life, route) = self {
            life.set_limits(entry.info.limits());
            let _ = route.set(Arc::clone(entry));
        }
    }

    fn handled(&mut self) {
        if let Self::Limited(life, _) = self {
            life.begin_handling();
        }
    }
}

async fn from_first_hook(
    inner: &Arc<Inner>,
    mut ctx: ReadCtx,
    tables: &Tables,
    mut whom: For<'_>,
) -> Handled {
    let hooks = &tables.hooks;
    whom.any_hooks(hooks, &ctx);
    if !read_on(inner, tables, &ctx).await {
        return None;
    }
    let checked = hooks.run(Hooks::POST_READ_CALL_HEADER, &mut ctx, |p, c| {
        p.post_read_call_header(c)
    });
    if let Err(rerror) = checked.await {
        return Some(Outcome::failed(hooks, None, ctx, rerror));
    }
    whom.opened(inner, &ctx);
    let path = ctx.uri().path_bytes();
    if path.is_empty() {
        return Some(Outcome::failed(hooks, None, ctx, invalid_uri()));
    }
    let Some(entry) = tables.calls.find(path).cloned() else {
        not_found(inner, tables, ctx.uri().as_bytes());
        return Some(Outcome::failed(hooks, None, ctx, Rerror::not_found()));
    };
    whom.routed(&entry);
    handle_call(inner, entry, ctx, whom).await
}

async fn handle_call(
    inner: &Arc<Inner>,
    entry: Arc<Entry<dyn CallHandler>>,
    mut ctx: ReadCtx,
    mut whom: For<'_>,
) -> Handled {
    let hooks = &entry.hooks;
    whom.any_hooks(hooks, &ctx);
    let checked = hooks.run(Hooks::PRE_READ_CALL_BODY, &mut ctx, |p, c| {
        p.pre_read_call_body(c)
    });
    let failed = |ctx, rerror| {
        let route = Some(Arc::clone(&entry));
        Some(Outcome::failed(hooks, route, ctx, rerror))
    };
    if let Err(rerror) = checked.await {
        return failed(ctx, rerror);
    }
    let codecs = &inner.env().codecs;
    let arg = match entry
        .handler
        .decode(codecs, ctx.body_codec(), BodyRef::shared(ctx.body()))
    {
        Ok(arg) => arg,
        Err(fail) => {
            let rerror = ctx.undecodable(fail.to_rerror());
            if ctx.body_codec() == codec::NONE {
                inner.broken(no_codec(&rerror).0);
                return None;
            }
            return failed(ctx, rerror);
        }
    };
    let checked = hooks.run(Hooks::POST_READ_CALL_BODY, &mut ctx, |p, c| {
        p.post_read_call_body(c)
    });
    if let Err(rerror) = checked.await {
        return failed(ctx, rerror);
    }
    whom.handled();
    // A handler that panics takes its context along.
    let hooked = hooks.any(REPLY_HOOKS);
    let uri = hooked.then(|| ctx.uri().clone());
    let received = ctx.into_parts().0;
    let life = received.life().filter(|_| entry.mode == RunMode::Blocking);
    let life = life.cloned();
    let finishes = cuts::finishes(inner, entry.info.limits());
    if finishes {
        cuts::finish_this();
    }
    let ctx = CallCtx::new(received);
    let (mut ctx, result): CallOutcome = if entry.mode == RunMode::Blocking {
        let entry = Arc::clone(&entry);
        on_blocking_thread(inner, life, finishes, move || entry.handler.run(ctx, arg)).await
    } else {
        entry.handler.run(ctx, arg).await
    };
    let call = match &mut ctx {
        Some(ctx) => hooked.then(|| Answered::new(ctx)),
        None => uri.map(Answered::lost),
    };
    Some(Outcome {
        route: Some(entry),
        ctx,
        call,
        result,
    })
}

/// Runs a handler on a thread that may block. It counts as running until it ends, also when nobody
/// waits for it any more.
async fn on_blocking_thread<C, T>(
    inner: &Arc<Inner>,
    life: Option<Arc<Life>>,
    finishes: bool,
    run: impl FnOnce() -> BoxFuture<'static, (Option<C>, Result<T, Rerror>)> + Send + 'static,
) -> (Option<C>, Result<T, Rerror>)
where
    C: Send + 'static,
    T: Send + 'static,
{
    let runtime = tokio::runtime::Handle::current();
    let (waited, ended) = counted_apart(inner);
    let inner = Arc::clone(inner);
    let work = move || {
        let outcome = runtime.block_on(Apart::new(&inner, finishes, async {
            match life {
                None => Some(run().await),
                Some(life) => life.scoped_apart(async { run().await }).await,
            }
        }));
        drop(ended);
        outcome
            .flatten()
            .unwrap_or_else(|| (None, Err(Rerror::internal("the handler was stopped"))))
    };
    let outcome = tokio::task::spawn_blocking(work).await;
    drop(waited);
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => (None, Err(Rerror::internal(error.to_string()))),
    }
}

/// Whether [`Plugin::pre_read_header`](crate::Plugin::pre_read_header) lets reading go on.
async fn read_on(inner: &Arc<Inner>, tables: &Tables, ctx: &ReadCtx) -> bool {
    if !tables.hooks.any(Hooks::PRE_READ_HEADER) {
        return true;
    }
    let mut pre = PreCtx::new(ctx.session().clone());
    let checked = tables.hooks.run(Hooks::PRE_READ_HEADER, &mut pre, |p, c| {
        p.pre_read_header(c)
    });
    match checked.await {
        Ok(()) => true,
        Err(rerror) => {
            inner.broken(format!("a plugin ended the reading: {rerror}"));
            false
        }
    }
}

/// Sends the outcome of a call, with the reply hooks of its route around it.
pub(super) async fn reply_handled(
    inner: &Arc<Inner>,
    tables: &Tables,
    owed: &mut Owed,
    handled: Handled,
    life: Option<&Life>,
) {
    let Some(outcome) = handled else {
        drop(owed.answer());
        return;
    };
    let Outcome {
        route,
        ctx,
        call,
        result,
    } = outcome;
    let hooks = hooks_of(route.as_ref(), tables);
    reply_result(inner, hooks, owed, (ctx.as_ref(), life), call, result).await;
}

/// `call` is there if there are reply hooks. With a limited life the reply is not held up by them
/// for longer than that.
async fn reply_result(
    inner: &Arc<Inner>,
    hooks: &FlatHooks,
    owed: &mut Owed,
    (ctx, life): (Option<&CallCtx>, Option<&Life>),
    call: Option<Answered>,
    result: Result<Box<dyn ReplyBody>, Rerror>,
) {
    let Some(mut answer) = owed.answer() else {
        return;
    };
    let Some(call) = call else {
        match result {
            Ok(mut body) => answer.send(inner, ctx, Ok(&mut *body)),
            Err(rerror) => answer.send(inner, ctx, Err(&rerror)),
        }
        return;
    };
    if inner.sends_nothing() {
        // Perhaps by a hook that found the call forged; then no plugin is to see or make a reply.
        // Nor is any to run after the last hooks.
        lost(inner, answer.seq());
        return;
    }
    let (codec, body, error) = match result {
        Ok(body) => encode(inner, ctx, body),
        Err(rerror) => (codec::NONE, Bytes::new(), Some(rerror)),
    };
    let uri = call.uri().clone();
    let meta = ctx.map(|ctx| ctx.reply_meta().clone()).unwrap_or_default();
    let pipe = answer.pipe(ctx.map_or(&[], |ctx| ctx.added_xfer().ids()));
    let header = header(&answer, meta, error.as_ref(), codec, pipe);
    let session = super::Session(Arc::clone(inner));
    let mut write = WriteCtx::new(session, header, body).answering(call);
    let run = hooks.run(Hooks::PRE_WRITE_REPLY, &mut write, |p, c| {
        p.pre_write_reply(c)
    });
    let ran = match life.and_then(|life| Some((life, life.deadline()?))) {
        None => run.await,
        Some((life, deadline)) => match timeout_at(deadline, run).await {
            Ok(ran) => ran,
            Err(_) => {
                tracing::warn!(remote = %inner.remote, "plugins held a reply up beyond its time");
                return refuse(inner, hooks, answer, Answered::lost(uri), &life.timed_out());
            }
        },
    };
    if let Err(rerror) = ran {
        tracing::warn!(remote = %inner.remote, error = %rerror, "a plugin failed before a reply");
    }
    let (header, body) = write.parts();
    if let Some(record) = answer.record() {
        record.add_parts("send", &header.meta, body);
    }
    match header.with_head(|head| deliver(inner, head, Payload::Bytes(body), false)) {
        Ok(size) => {
            if let Some(record) = answer.record() {
                record.set_sent(size);
            }
        }
        Err(failed) if failed.kind() == ErrorKind::Closed => {
            lost(inner, answer.seq());
            return answer.log(inner, error.as_ref());
        }
        Err(failed) => {
            // The hooks see what goes out in its place too.
            let rerror = Rerror::internal(failed.chain());
            refuse(inner, hooks, answer, Answered::lost(uri), &rerror);
            return;
        }
    }
    answer.log(inner, error.as_ref());
    if hooks.any(Hooks::POST_WRITE_REPLY) {
        // What a hook sends now must not overtake the reply.
        inner.flush_batch();
    }
    let run = hooks.run(Hooks::POST_WRITE_REPLY, &mut write, |p, c| {
        p.post_write_reply(c)
    });
    if let Err(rerror) = run.await {
        tracing::warn!(remote = %inner.remote, error = %rerror, "a plugin failed after a reply");
    }
}

fn header(
    answer: &Answer,
    mut meta: Meta,
    error: Option<&Rerror>,
    body_codec: u8,
    xfer: XferPipe,
) -> Header {
    if let Some(rerror) = error {
        answer.set_error(rerror, &mut meta);
    }
    Header {
        seq: answer.seq().clone(),
        mtype: Mtype::REPLY,
        uri: Uri::default(),
        meta,
        body_codec,
        xfer,
    }
}

/// Turns a call away that nobody has looked at. Its header hooks see it, and what they refuse is
/// refused in their words.
#[cold]
pub(super) fn turn_away(
    job: Job,
    mut answer: Answer,
    inner: &Arc<Inner>,
    rerror: Rerror,
    for_good: bool,
) {
    let Job {
        mut ctx, tables, ..
    } = job;
    let hooks = &tables.hooks;
    let looked = at_once(async {
        if !read_on(inner, &tables, &ctx).await {
            return None;
        }
        let checked = hooks.run(Hooks::POST_READ_CALL_HEADER, &mut ctx, |p, c| {
            p.post_read_call_header(c)
        });
        Some(checked.await.err())
    });
    let refused = match looked {
        Some(None) => return,
        Some(Some(refused)) => refused,
        None => None,
    };
    answer.set_turned_away(for_good && refused.is_none());
    let call = Answered::new(&mut ctx);
    refuse(inner, hooks, answer, call, &refused.unwrap_or(rerror));
}

/// Shows a push that is dropped to its header hooks.
#[cold]
pub(super) fn drop_push(job: Job, inner: &Arc<Inner>) {
    let Job {
        mut ctx, tables, ..
    } = job;
    at_once(async {
        if read_on(inner, &tables, &ctx).await {
            let run = tables
                .hooks
                .run(Hooks::POST_READ_PUSH_HEADER, &mut ctx, |p, c| {
                    p.post_read_push_header(c)
                });
            // It is dropped already, whatever they say.
            let _ = run.await;
        }
    });
}

/// Answers with an error without waiting for anything: a hook that is not ready is left out.
#[cold]
pub(super) fn refuse(
    inner: &Arc<Inner>,
    hooks: &FlatHooks,
    mut answer: Answer,
    call: Answered,
    rerror: &Rerror,
) {
    if inner.sends_nothing() {
        lost(inner, answer.seq());
        return;
    }
    let header = header(
        &answer,
        Meta::new(),
        Some(rerror),
        codec::NONE,
        answer.pipe(&[]),
    );
    let session = super::Session(Arc::clone(inner));
    let mut write = WriteCtx::new(session, header, Bytes::new()).answering(call);
    let before = at_once(hooks.run(Hooks::PRE_WRITE_REPLY, &mut write, |p, c| {
        p.pre_write_reply(c)
    }));
    if !matches!(before, Some(Ok(()))) {
        tracing::warn!(remote = %inner.remote, "a plugin failed, or would wait, before an error reply");
    }
    let (header, body) = write.parts();
    match header.with_head(|head| deliver(inner, head, Payload::Bytes(body), answer.is_past_mark()))
    {
        Ok(_) => answer.log(inner, Some(rerror)),
        Err(_) => return answer.refuse(inner, rerror),
    }
    at_once(hooks.run(Hooks::POST_WRITE_REPLY, &mut write, |p, c| {
        p.post_write_reply(c)
    }));
}

/// Polls a future once; what is not ready then is dropped.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut cx = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn encode(
    inner: &Inner,
    ctx: Option<&CallCtx>,
    mut body: Box<dyn ReplyBody>,
) -> (u8, Bytes, Option<Rerror>) {
    let codec = ctx.map_or(codec::NONE, CallCtx::reply_body_codec);
    if let Some(bytes) = body.take_bytes() {
        return (codec, bytes, None);
    }
    let encoded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut bytes = BytesMut::new();
        body.encode(&inner.env().codecs, codec, &mut bytes)
            .map(|()| bytes.freeze())
    }));
    let rerror = match encoded {
        Ok(Ok(bytes)) => return (codec, bytes, None),
        Ok(Err(error)) => Rerror::internal(error.to_string()),
        Err(panic) => Rerror::internal(crate::panic_text(&*panic)),
    };
    (codec::NONE, Bytes::new(), Some(rerror))
}

/// A PUSH, from the first hook on.
pub(super) fn push(
    job: Job,
    record: Option<Box<Record>>,
    inner: &Arc<Inner>,
) -> BoxFuture<'static, ()> {
    let Job { ctx, tables, life } = job;
    let note = life.clone();
    let work = move |inner: Arc<Inner>, ctx| async move {
        push_from_first_hook(&inner, ctx, &tables, note.as_deref()).await
    };
    driven_push(ctx, life, record, inner, work)
}

/// A PUSH whose route is known already.
pub(super) fn routed_push(
    job: Job,
    entry: Arc<Entry<dyn PushHandler>>,
    record: Option<Box<Record>>,
    inner: &Arc<Inner>,
) -> BoxFuture<'static, ()> {
    let Job { ctx, life, .. } = job;
    let note = life.clone();
    let work = move |inner: Arc<Inner>, ctx| async move {
        Some(handle_push(&inner, &entry, ctx, note.as_deref()).await)
    };
    driven_push(ctx, life, record, inner, work)
}

fn driven_push<F>(
    ctx: ReadCtx,
    life: Option<Arc<Life>>,
    record: Option<Box<Record>>,
    inner: &Arc<Inner>,
    work: impl FnOnce(Arc<Inner>, ReadCtx) -> F + Send + 'static,
) -> BoxFuture<'static, ()>
where
    F: Future<Output = Option<Result<(), Rerror>>> + Send + 'static,
{
    let running = inner.count_running();
    let inner = Arc::clone(inner);
    let uri = ctx.uri().clone();
    let work = work(Arc::clone(&inner), ctx);
    match life {
        None => Box::pin(async move {
            if let Some(result) = work.await {
                push_done(&inner, record, uri.as_bytes(), result.as_ref().err());
            }
            drop(running);
        }),
        Some(life) => Box::pin(async move {
            limited_push(&inner, life, &uri, record, work).await;
            drop(running);
        }),
    }
}

/// `None`: the connection ends, and nothing is to be said of the push.
async fn push_from_first_hook(
    inner: &Arc<Inner>,
    mut ctx: ReadCtx,
    tables: &Tables,
    life: Option<&Life>,
) -> Option<Result<(), Rerror>> {
    if !read_on(inner, tables, &ctx).await {
        return None;
    }
    let checked = tables
        .hooks
        .run(Hooks::POST_READ_PUSH_HEADER, &mut ctx, |p, c| {
            p.post_read_push_header(c)
        });
    let routed = match checked.await {
        Err(rerror) => Err(rerror),
        Ok(()) if ctx.uri().path_bytes().is_empty() => Err(invalid_uri()),
        Ok(()) => match tables.pushes.find(ctx.uri().path_bytes()) {
            Some(entry) => Ok(Arc::clone(entry)),
            None => Err(Rerror::not_found()),
        },
    };
    Some(match routed {
        Ok(entry) => {
            if let Some(life) = life {
                life.set_limits(entry.info.limits());
            }
            handle_push(inner, &entry, ctx, life).await
        }
        Err(rerror) => Err(rerror),
    })
}

async fn handle_push(
    inner: &Arc<Inner>,
    entry: &Arc<Entry<dyn PushHandler>>,
    mut ctx: ReadCtx,
    life: Option<&Life>,
) -> Result<(), Rerror> {
    let hooks = &entry.hooks;
    hooks
        .run(Hooks::PRE_READ_PUSH_BODY, &mut ctx, |p, c| {
            p.pre_read_push_body(c)
        })
        .await?;
    let codecs = &inner.env().codecs;
    let arg = match entry
        .handler
        .decode(codecs, ctx.body_codec(), BodyRef::shared(ctx.body()))
    {
        Ok(arg) => arg,
        Err(fail) => {
            let rerror = ctx.undecodable(fail.to_rerror());
            if ctx.body_codec() == codec::NONE {
                inner.broken(no_codec(&rerror).0);
            }
            return Err(rerror);
        }
    };
    hooks
        .run(Hooks::POST_READ_PUSH_BODY, &mut ctx, |p, c| {
            p.post_read_push_body(c)
        })
        .await?;
    if let Some(life) = life {
        life.begin_handling();
    }
    let received = ctx.into_parts().0;
    let life = received.life().filter(|_| entry.mode == RunMode::Blocking);
    let life = life.cloned();
    let finishes = cuts::finishes(inner, entry.info.limits());
    if finishes {
        cuts::finish_this();
    }
    let ctx = PushCtx::new(received);
    let (_, result): PushOutcome = if entry.mode == RunMode::Blocking {
        let entry = Arc::clone(entry);
        on_blocking_thread(inner, life, finishes, move || entry.handler.run(ctx, arg)).await
    } else {
        entry.handler.run(ctx, arg).await
    };
    result
}

/// A REPLY, by way of the plugins that want to see it.
pub(super) fn reply(job: Job, inner: &Arc<Inner>) -> BoxFuture<'static, ()> {
    let running = inner.count_running();
    let inner = Arc::clone(inner);
    Box::pin(async move {
        let Job {
            mut ctx, tables, ..
        } = job;
        if !read_on(&inner, &tables, &ctx).await {
            return;
        }
        let arrived = Instant::now();
        let refused = reply_hooks(&tables.hooks, &mut ctx).await.err();
        let seq: Seq = ctx.seq().clone();
        let (received, body) = ctx.into_parts();
        let meta: Meta = received.meta().clone();
        let delivered = inner.calls.deliver(seq.as_bytes(), |_| ReplyIn {
            body_codec: received.body_codec(),
            meta,
            xfer: XferPipe::from_wire(received.xfer().ids()),
            body: ReplyBytes::Shared(body),
            size: received.size(),
            arrived,
            refused,
        });
        match delivered {
            Some(Some(waker)) => waker.wake(),
            Some(None) => {}
            None => stray(&inner, seq.as_bytes()),
        }
        drop(running);
    })
}

async fn reply_hooks(hooks: &FlatHooks, ctx: &mut ReadCtx) -> Result<(), Rerror> {
    hooks
        .run(Hooks::POST_READ_REPLY_HEADER, ctx, |p, c| {
            p.post_read_reply_header(c)
        })
        .await?;
    hooks
        .run(Hooks::PRE_READ_REPLY_BODY, ctx, |p, c| {
            p.pre_read_reply_body(c)
        })
        .await?;
    hooks
        .run(Hooks::POST_READ_REPLY_BODY, ctx, |p, c| {
            p.post_read_reply_body(c)
        })
        .await
}
