//! The order in which hooks run, and what each may refuse.
//!
//! Both ends are on one thread, joined by a connection in memory, and no hook waits unless a test
//! says so: then all hooks of both ends have one order, and it is pinned as one line. Between
//! machines one part of it is not fixed: a message is on its way before the hook after its writing
//! runs, so the other end's first hooks may come before that one. What each end does by itself
//! keeps its order.

mod changes;
mod layers;
mod life;
mod order;
mod refusals;

use std::sync::{Arc, Mutex};

use teleport::{
    DialCtx, Error, ErrorKind, HandlerInfo, Hook, Hooks, Peer, PeerBuilder, PeerConfig, Plugin,
    PluginContainer, PreCtx, PreSession, ReadCtx, Rerror, Session, WriteCtx, controller,
    push_handler,
};
use teleport_tests::pair::Pair;
use tokio::sync::Notify;

/// What happened, in order.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>, Arc<Notify>);

impl Trace {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Lets a handler end that is held.
    fn let_go(&self) {
        self.1.notify_one();
    }
}

/// Notes its hooks, and refuses one, or panics or waits in it.
struct Tracer {
    name: String,
    trace: Trace,
    hooks: Hooks,
    bad: Hooks,
    how: How,
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Refuses,
    Panics,
    PanicsLater,
    Waits,
}

impl Tracer {
    fn new(name: &str, trace: &Trace) -> Self {
        Self {
            name: name.to_owned(),
            trace: trace.clone(),
            hooks: Hooks::ALL,
            bad: Hooks::NONE,
            how: How::Refuses,
        }
    }

    fn only(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    fn that(mut self, how: How, bad: Hooks) -> Self {
        (self.how, self.bad) = (how, bad);
        self
    }

    fn now(&self, hook: Hooks, name: &str) -> Result<(), Rerror> {
        self.trace.note(format!("{}.{name}", self.name));
        if !self.bad.contains(hook) {
            return Ok(());
        }
        match self.how {
            How::Refuses => Err(Rerror::new(77, "refused", name.to_owned())),
            How::Panics => panic!("panic in {name}"),
            How::PanicsLater | How::Waits => Ok(()),
        }
    }

    fn hook(&self, hook: Hooks, name: &'static str) -> Hook<'_> {
        let result = self.now(hook, name);
        if result.is_ok() && self.bad.contains(hook) {
            let panics = self.how == How::PanicsLater;
            return Hook::wait(async move {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                assert!(!panics, "panic in {name}");
                Ok(())
            });
        }
        Hook::ready(result)
    }
}

macro_rules! hooks {
    ($($name:ident $hook:ident $ctx:ty;)+) => {
        $(
            fn $name<'a>(&'a self, _: &'a mut $ctx) -> Hook<'a> {
                self.hook(Hooks::$hook, stringify!($name))
            }
        )+
    };
}

impl Plugin for Tracer {
    fn name(&self) -> &str {
        &self.name
    }

    fn hooks(&self) -> Hooks {
        self.hooks
    }

    fn pre_new_peer(&self, _: &mut PeerConfig, _: &mut PluginContainer) -> Result<(), Error> {
        self.now(Hooks::PRE_NEW_PEER, "pre_new_peer").map_err(local)
    }

    fn post_new_peer(&self, _: &Peer) -> Result<(), Error> {
        self.now(Hooks::POST_NEW_PEER, "post_new_peer")
            .map_err(local)
    }

    fn post_reg(&self, handler: &mut HandlerInfo) -> Result<(), Error> {
        self.trace
            .note(format!("{}.path {}", self.name, handler.path()));
        self.now(Hooks::POST_REG, "post_reg").map_err(local)
    }

    fn post_listen(&self, _: &teleport::Address) -> Result<(), Error> {
        self.now(Hooks::POST_LISTEN, "post_listen").map_err(local)
    }

    fn post_disconnect<'a>(&'a self, _: &'a Session) -> Hook<'a> {
        self.hook(Hooks::POST_DISCONNECT, "post_disconnect")
    }

    hooks! {
        pre_dial PRE_DIAL DialCtx;
        post_dial POST_DIAL PreSession;
        post_accept POST_ACCEPT PreSession;
        pre_write_call PRE_WRITE_CALL WriteCtx;
        post_write_call POST_WRITE_CALL WriteCtx;
        pre_write_reply PRE_WRITE_REPLY WriteCtx;
        post_write_reply POST_WRITE_REPLY WriteCtx;
        pre_write_push PRE_WRITE_PUSH WriteCtx;
        post_write_push POST_WRITE_PUSH WriteCtx;
        pre_read_header PRE_READ_HEADER PreCtx;
        post_read_call_header POST_READ_CALL_HEADER ReadCtx;
        pre_read_call_body PRE_READ_CALL_BODY ReadCtx;
        post_read_call_body POST_READ_CALL_BODY ReadCtx;
        post_read_push_header POST_READ_PUSH_HEADER ReadCtx;
        pre_read_push_body PRE_READ_PUSH_BODY ReadCtx;
        post_read_push_body POST_READ_PUSH_BODY ReadCtx;
        post_read_reply_header POST_READ_REPLY_HEADER ReadCtx;
        pre_read_reply_body PRE_READ_REPLY_BODY ReadCtx;
        post_read_reply_body POST_READ_REPLY_BODY ReadCtx;
    }
}

fn local(rerror: Rerror) -> Error {
    Error::new(ErrorKind::Plugin, rerror.to_string())
}

struct Work(Trace);

#[controller]
impl Work {
    async fn echo(&self, arg: i64) -> i64 {
        self.0.note("handler");
        arg
    }

    async fn fails(&self) -> Result<(), Rerror> {
        self.0.note("handler");
        Err(Rerror::new(5, "failed", ""))
    }

    #[route(spawn)]
    async fn spawned(&self) {
        self.held().await;
    }

    async fn held(&self) {
        self.0.note("handler");
        self.0.1.notified().await;
        self.0.note("handler ended");
    }
}

struct Hear(Trace);

#[push_handler]
impl Hear {
    async fn it(&self, _arg: i64) {
        self.0.note("handler");
    }
}

fn traced(name: &str, trace: &Trace) -> PeerBuilder {
    Peer::builder().plugin(Tracer::new(name, trace))
}

fn work(peer: &Peer, trace: &Trace) {
    peer.route_call(Work(trace.clone())).unwrap();
    peer.route_push(Hear(trace.clone())).unwrap();
}

/// A server `s` and a client `c` with a tracer each and the same handlers.
async fn traced_pair(trace: &Trace) -> Pair {
    let pair = Pair::of(traced("s", trace), traced("c", trace)).await;
    work(&pair.server, trace);
    work(&pair.client, trace);
    trace.take();
    pair
}

/// The names in a text, one by one.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}
