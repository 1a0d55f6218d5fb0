//! The outcome of a call on its way through the reply hooks.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout_at;

use super::{REPLY_HOOKS, at_once};
use crate::codec;
use crate::context::{Answered, CallCtx, Life, ReadCtx, WriteCtx};
use crate::error::ErrorKind;
use crate::message::{Header, Meta, Mtype, Uri};
use crate::plugin::{FlatHooks, Hooks};
use crate::private::ReplyBody;
use crate::rerror::Rerror;
use crate::router::handler::CallHandler;
use crate::router::{Entry, Tables};
use crate::session::Session;
use crate::session::answer::{Answer, Owed, deliver, lost};
use crate::session::inner::{Inner, Payload};
use crate::xfer::XferPipe;

/// The outcome of a call before its reply; `None`: the connection ends, there is nobody to answer.
pub(in crate::session) type Handled = Option<Outcome>;

/// What came of a call.
pub(in crate::session) struct Outcome {
    /// Whose reply hooks run; the peer's own without a route.
    pub(super) route: Option<Arc<Entry<dyn CallHandler>>>,
    pub(super) ctx: Option<CallCtx>,
    /// There if there are reply hooks.
    pub(super) call: Option<Answered>,
    pub(super) result: Result<Box<dyn ReplyBody>, Rerror>,
}

impl Outcome {
    /// A call that did not get as far as its handler.
    pub(super) fn failed(
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
pub(in crate::session) fn hooks_of<'a>(
    route: Option<&'a Arc<Entry<dyn CallHandler>>>,
    tables: &'a Tables,
) -> &'a FlatHooks {
    route.map_or(&tables.hooks, |route| &route.hooks)
}

/// Sends the outcome of a call, with the reply hooks of its route around it.
pub(in crate::session) async fn reply_handled(
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
    let session = Session(Arc::clone(inner));
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

/// Answers with an error without waiting for anything: a hook that is not ready is left out.
#[cold]
pub(in crate::session) fn refuse(
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
    let session = Session(Arc::clone(inner));
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
