//! Calls by way of plugins, up to the outcome of their handlers.

use std::sync::{Arc, OnceLock};

use super::outcome::{Handled, Outcome, refuse, reply_handled};
use super::{Job, REPLY_HOOKS, at_once, on_blocking_thread, read_on};
use crate::codec::{self, BodyRef};
use crate::context::{Answered, CallCtx, Life, ReadCtx};
use crate::plugin::{FlatHooks, Hooks};
use crate::rerror::Rerror;
use crate::router::handler::{BoxFuture, CallHandler, CallOutcome};
use crate::router::{Entry, RunMode, Tables};
use crate::session::answer::{Answer, Owed};
use crate::session::cancels::Attended;
use crate::session::cuts;
use crate::session::dispatch::{invalid_uri, no_codec, not_found};
use crate::session::inner::Inner;
use crate::session::limited::{self, Limited};

/// A CALL, from the first hook on.
pub(in crate::session) fn call(
    job: Job,
    answer: Answer,
    inner: &Arc<Inner>,
) -> BoxFuture<'static, ()> {
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
pub(in crate::session) fn routed_call(
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

/// Turns a call away that nobody has looked at. Its header hooks see it, and what they refuse is
/// refused in their words.
#[cold]
pub(in crate::session) fn turn_away(
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
