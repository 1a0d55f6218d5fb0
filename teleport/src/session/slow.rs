//! From a frame to its handler by way of plugins.
//!
//! From its header hooks to its reply hooks a message is one future. It is polled once where the
//! message stands; one that is not ready moves into a task of its own.

mod call;
mod outcome;
mod push;
mod reply;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

pub(super) use self::call::{call, routed_call, turn_away};
pub(super) use self::outcome::{Handled, hooks_of, refuse, reply_handled};
pub(super) use self::push::{drop_push, push, routed_push};
pub(super) use self::reply::reply;
use super::cuts::{self, Apart, counted_apart};
use super::inner::Inner;
use crate::context::{Life, PreCtx, ReadCtx, Received};
use crate::plugin::Hooks;
use crate::rerror::Rerror;
use crate::router::Tables;
use crate::router::handler::BoxFuture;

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

/// Polls a future once; what is not ready then is dropped.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut cx = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
