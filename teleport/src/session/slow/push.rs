//! Pushes by way of plugins.

use std::sync::Arc;

use super::{Job, at_once, on_blocking_thread, read_on};
use crate::codec::{self, BodyRef};
use crate::context::{Life, PushCtx, ReadCtx};
use crate::plugin::Hooks;
use crate::rerror::Rerror;
use crate::router::handler::{BoxFuture, PushHandler, PushOutcome};
use crate::router::{Entry, RunMode, Tables};
use crate::session::cuts;
use crate::session::dispatch::{invalid_uri, no_codec, push_done};
use crate::session::inner::Inner;
use crate::session::limited::limited_push;
use crate::session::log::Record;

/// A PUSH, from the first hook on.
pub(in crate::session) fn push(
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
pub(in crate::session) fn routed_push(
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

/// Shows a push that is dropped to its header hooks.
#[cold]
pub(in crate::session) fn drop_push(job: Job, inner: &Arc<Inner>) {
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
