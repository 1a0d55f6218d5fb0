//! Replies by way of plugins.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Job, read_on};
use crate::context::ReadCtx;
use crate::message::{Meta, Seq};
use crate::plugin::{FlatHooks, Hooks};
use crate::rerror::Rerror;
use crate::router::handler::BoxFuture;
use crate::session::calls::{ReplyBytes, ReplyIn};
use crate::session::dispatch::stray;
use crate::session::inner::Inner;
use crate::xfer::XferPipe;

/// A REPLY, by way of the plugins that want to see it.
pub(in crate::session) fn reply(job: Job, inner: &Arc<Inner>) -> BoxFuture<'static, ()> {
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
