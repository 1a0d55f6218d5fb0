//! The order in which hooks run, and what each may refuse.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use teleport::codec::Raw;
use teleport::rerror::code;
use teleport::{
    Error, ErrorKind, HandlerInfo, Hook, Hooks, Peer, PeerBuilder, PeerConfig, Plugin,
    PluginContainer, PreCtx, PreSession, ReadCtx, Rerror, Session, WriteCtx, controller,
    push_handler,
};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, connect, settle};

/// What happened, in order.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// What this name noted, without the name.
    fn take_of(&self, name: &str) -> Vec<String> {
        let prefix = format!("{name}.");
        let mine = |line: String| line.strip_prefix(&prefix).map(str::to_owned);
        self.take().into_iter().filter_map(mine).collect()
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

async fn work(pair: &Pair, trace: &Trace) {
    pair.server.route_call(Work(trace.clone())).unwrap();
    pair.server.route_push(Hear(trace.clone())).unwrap();
}

#[tokio::test]
async fn hooks_of_a_call_run_in_order_on_both_ends() {
    let trace = Trace::default();
    let pair = Pair::of(traced("s", &trace), traced("c", &trace)).await;
    work(&pair, &trace).await;
    trace.take();
    let on_server = |handler: bool, header_only: bool| {
        let mut hooks = vec!["pre_read_header", "post_read_call_header"];
        if !header_only {
            hooks.extend(["pre_read_call_body"]);
        }
        if handler {
            hooks.extend(["post_read_call_body"]);
        }
        hooks.extend(["pre_write_reply", "post_write_reply"]);
        hooks
    };
    let on_client = [
        "pre_write_call",
        "post_write_call",
        "pre_read_header",
        "post_read_reply_header",
        "pre_read_reply_body",
        "post_read_reply_body",
    ];
    for (uri, body, handler, header_only) in [
        ("/work/echo", "1", true, false),
        ("/work/fails", "", true, false),
        ("/work/echo", "nonsense", false, false),
        ("/none", "", false, true),
        ("%zz", "", false, true),
    ] {
        let call = pair.here.call::<i64>(uri, Raw(body)).await;
        settle().await;
        assert_eq!(call.is_ok(), body == "1", "{uri}");
        let lines = trace.take();
        let of = |name: &str| -> Vec<String> {
            let prefix = format!("{name}.");
            let mine = |line: &String| line.strip_prefix(&prefix).map(str::to_owned);
            lines.iter().filter_map(mine).collect()
        };
        assert_eq!(of("s"), on_server(handler, header_only), "{uri} {body:?}");
        assert_eq!(of("c"), on_client, "{uri} {body:?}");
        assert_eq!(lines.iter().any(|line| line == "handler"), handler);
        if handler {
            let at = |text: &str| lines.iter().position(|line| line == text).unwrap();
            assert!(at("s.post_read_call_body") < at("handler"));
            assert!(at("handler") < at("s.pre_write_reply"));
        }
    }
}

#[tokio::test]
async fn hooks_of_a_push_run_in_order_on_both_ends() {
    let trace = Trace::default();
    let pair = Pair::of(traced("s", &trace), traced("c", &trace)).await;
    work(&pair, &trace).await;
    trace.take();
    pair.here.push("/hear/it", 1).await.unwrap();
    assert_eq!(trace.take(), ["c.pre_write_push", "c.post_write_push"]);
    settle().await;
    let full = [
        "s.pre_read_header",
        "s.post_read_push_header",
        "s.pre_read_push_body",
        "s.post_read_push_body",
        "handler",
    ];
    assert_eq!(trace.take(), full);
    for (uri, hooks) in [("/hear/it", &full[..3]), ("/none", &full[..2])] {
        pair.here.push(uri, Raw("nonsense")).await.unwrap();
        trace.take();
        settle().await;
        assert_eq!(trace.take(), hooks);
    }
}

#[tokio::test]
async fn hooks_of_a_life_run_in_order() {
    let trace = Trace::default();
    let server = traced("s", &trace).build().unwrap();
    assert_eq!(trace.take(), ["s.pre_new_peer", "s.post_new_peer"]);
    server.route_call(Work(trace.clone())).unwrap();
    assert_eq!(
        trace.take(),
        [
            "s.path /work/echo",
            "s.post_reg",
            "s.path /work/fails",
            "s.post_reg"
        ]
    );
    server.listen_on("127.0.0.1:0").await.unwrap();
    assert_eq!(trace.take(), ["s.post_listen"]);
    let client = traced("c", &trace).build().unwrap();
    trace.take();
    let (there, here) = connect(&server, &client).await;
    let mut lines = trace.take();
    lines.sort();
    assert_eq!(lines, ["c.post_dial", "s.post_accept"]);
    here.close().await;
    there.closed().await;
    let mut lines = trace.take();
    lines.sort();
    assert_eq!(lines, ["c.post_disconnect", "s.post_disconnect"]);
}

#[tokio::test]
async fn an_end_is_told_once_and_last_whoever_makes_it() {
    for how in [
        "client closes",
        "server closes",
        "client aborts",
        "server aborts",
    ] {
        let trace = Trace::default();
        let pair = Pair::of(traced("s", &trace), traced("c", &trace)).await;
        work(&pair, &trace).await;
        pair.here.call::<i64>("/work/echo", 1).await.unwrap();
        settle().await;
        trace.take();
        match how {
            "client closes" => drop(pair.here.close()),
            "server closes" => drop(pair.there.close()),
            "client aborts" => pair.here.abort(),
            _ => pair.there.abort(),
        }
        tokio::join!(pair.here.closed(), pair.there.closed());
        settle().await;
        let mut lines = trace.take();
        lines.sort();
        assert_eq!(lines, ["c.post_disconnect", "s.post_disconnect"], "{how}");
    }
}

/// All hooks of both ends in one line: what each message runs through, and in which order.
#[tokio::test]
async fn a_conversation_runs_through_the_hooks_of_both_ends_in_one_order() {
    let trace = Trace::default();
    let pair = Pair::of(traced("s", &trace), traced("c", &trace)).await;
    work(&pair, &trace).await;
    trace.take();
    pair.here.call::<i64>("/work/echo", 1).await.unwrap();
    settle().await;
    assert_eq!(
        trace.take(),
        [
            "c.pre_write_call",
            "c.post_write_call",
            "s.pre_read_header",
            "s.post_read_call_header",
            "s.pre_read_call_body",
            "s.post_read_call_body",
            "handler",
            "s.pre_write_reply",
            "s.post_write_reply",
            "c.pre_read_header",
            "c.post_read_reply_header",
            "c.pre_read_reply_body",
            "c.post_read_reply_body",
        ]
    );
}

const ROUTED: Hooks = Hooks::AFTER_ROUTING;

/// A peer with plugins on its left, in its middle, and on its right, and a handler in two groups
/// with plugins of their own.
fn layered(trace: &Trace, order: &mut Vec<String>) -> Peer {
    let tracer = |name: &str| Tracer::new(name, trace);
    let mut plugins = PluginContainer::new();
    plugins.append(tracer("peer1")).unwrap();
    plugins.append_right(tracer("right1")).unwrap();
    plugins.append_left(tracer("left1")).unwrap();
    plugins.append(tracer("peer2")).unwrap();
    plugins.append_right(tracer("right2")).unwrap();
    plugins.append_left(tracer("left2")).unwrap();
    let server = Peer::builder().plugins(plugins).build().unwrap();
    let group = server
        .sub_route("outer")
        .plugin(tracer("group1").only(ROUTED))
        .sub_route("inner")
        .plugin(tracer("group2").only(ROUTED));
    let with = group.with(tracer("handler").only(ROUTED));
    with.route_call(Work(trace.clone())).unwrap();
    with.route_push(Hear(trace.clone())).unwrap();
    let names = [
        "left1", "left2", "peer1", "peer2", "group1", "group2", "handler", "right1", "right2",
    ];
    order.extend(names.map(str::to_owned));
    server
}

#[tokio::test]
async fn plugins_run_from_left_by_peer_group_and_handler_to_right() {
    let trace = Trace::default();
    let mut order = Vec::new();
    let server = layered(&trace, &mut order);
    let client = Peer::builder().build().unwrap();
    let (_there, here) = connect(&server, &client).await;
    let of_peer: Vec<_> = order
        .iter()
        .filter(|name| !name.starts_with("group") && *name != "handler")
        .cloned()
        .collect();
    let names: Vec<_> = server
        .plugins()
        .iter()
        .map(|p| p.name().to_owned())
        .collect();
    assert_eq!(names, of_peer);
    trace.take();
    here.call::<i64>("/outer/inner/work/echo", 1).await.unwrap();
    here.push("/outer/inner/hear/it", 1).await.unwrap();
    settle().await;
    let lines = trace.take();
    for (hook, wanted) in [
        ("pre_read_header", [&of_peer[..], &of_peer].concat()),
        ("post_read_call_header", of_peer.clone()),
        ("pre_read_call_body", order.clone()),
        ("post_read_call_body", order.clone()),
        ("pre_write_reply", order.clone()),
        ("post_write_reply", order.clone()),
        ("post_read_push_header", of_peer.clone()),
        ("pre_read_push_body", order.clone()),
        ("post_read_push_body", order.clone()),
    ] {
        let suffix = format!(".{hook}");
        let ran: Vec<_> = lines
            .iter()
            .filter_map(|line| line.strip_suffix(&suffix))
            .collect();
        assert_eq!(ran, wanted, "{hook}");
    }
}

/// What a call and then a push by the client come to, when one hook of one end goes wrong.
async fn outcome(
    how: How,
    side: &str,
    hook: Hooks,
) -> (Result<i64, Error>, Result<(), Error>, Trace) {
    let trace = Trace::default();
    let bad = |name: &str| {
        let tracer = Tracer::new(name, &trace);
        match name == side {
            true => Peer::builder().plugin(tracer.that(how, hook)),
            false => Peer::builder().plugin(tracer),
        }
    };
    let pair = Pair::of(bad("s"), bad("c")).await;
    work(&pair, &trace).await;
    trace.take();
    let call = pair.here.call::<i64>("/work/echo", 7).await;
    let push = pair.here.push("/hear/it", 7).await;
    settle().await;
    let survives = hook != Hooks::PRE_READ_HEADER || how == How::Waits;
    assert_eq!(
        pair.here.health() && pair.there.health(),
        survives,
        "{side} {hook:?}"
    );
    assert_eq!(pair.here.calls_in_flight(), 0);
    assert_eq!(
        pair.here.running_handlers() + pair.there.running_handlers(),
        0
    );
    (call, push, trace)
}

fn handled(trace: &Trace) -> usize {
    trace
        .take()
        .iter()
        .filter(|line| *line == "handler")
        .count()
}

const ALL_OF_MESSAGES: [(&str, Hooks); 16] = [
    ("c", Hooks::PRE_WRITE_CALL),
    ("c", Hooks::POST_WRITE_CALL),
    ("c", Hooks::PRE_WRITE_PUSH),
    ("c", Hooks::POST_WRITE_PUSH),
    ("s", Hooks::POST_READ_CALL_HEADER),
    ("s", Hooks::PRE_READ_CALL_BODY),
    ("s", Hooks::POST_READ_CALL_BODY),
    ("s", Hooks::PRE_WRITE_REPLY),
    ("s", Hooks::POST_WRITE_REPLY),
    ("s", Hooks::POST_READ_PUSH_HEADER),
    ("s", Hooks::PRE_READ_PUSH_BODY),
    ("s", Hooks::POST_READ_PUSH_BODY),
    ("c", Hooks::POST_READ_REPLY_HEADER),
    ("c", Hooks::PRE_READ_REPLY_BODY),
    ("c", Hooks::POST_READ_REPLY_BODY),
    ("s", Hooks::PRE_READ_HEADER),
];

/// The hooks that stand in the way of a call, and the kind of error that their own end sees.
fn stops_calls(hook: Hooks) -> Option<ErrorKind> {
    match hook {
        Hooks::PRE_WRITE_CALL
        | Hooks::POST_READ_REPLY_HEADER
        | Hooks::PRE_READ_REPLY_BODY
        | Hooks::POST_READ_REPLY_BODY => Some(ErrorKind::Refused),
        Hooks::POST_READ_CALL_HEADER | Hooks::PRE_READ_CALL_BODY | Hooks::POST_READ_CALL_BODY => {
            Some(ErrorKind::Remote)
        }
        Hooks::PRE_READ_HEADER => Some(ErrorKind::Closed),
        _ => None,
    }
}

async fn each_hook_that_goes_wrong(how: How, wrong_code: i32) {
    let (logs, _guard) = capture(false);
    for (side, hook) in ALL_OF_MESSAGES {
        let (call, push, trace) = outcome(how, side, hook).await;
        let mut handlers = 2;
        match stops_calls(hook) {
            None => assert_eq!(call.unwrap(), 7, "{hook:?}"),
            Some(kind) => {
                let error = call.unwrap_err();
                assert_eq!(error.kind(), kind, "{hook:?}: {error:?}");
                if kind != ErrorKind::Closed {
                    let rerror = error.rerror().unwrap();
                    assert_eq!(rerror.code(), wrong_code, "{hook:?}");
                    let name = hook.names().next().unwrap();
                    assert!(rerror.reason().contains(name), "{rerror}");
                }
                let ran = format!("{hook:?}").contains("reply");
                handlers -= usize::from(!ran);
            }
        }
        match hook {
            Hooks::PRE_WRITE_PUSH => {
                let error = push.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Refused);
                assert_eq!(error.rerror().unwrap().code(), wrong_code);
                handlers -= 1;
            }
            Hooks::PRE_READ_HEADER => {
                // The connection may be gone already.
                let _ = push;
                handlers -= 1;
            }
            _ => push.unwrap(),
        }
        let drops = [
            Hooks::POST_READ_PUSH_HEADER,
            Hooks::PRE_READ_PUSH_BODY,
            Hooks::POST_READ_PUSH_BODY,
        ];
        handlers -= usize::from(drops.contains(&hook));
        assert_eq!(handled(&trace), handlers, "{hook:?}");
        // What nobody is told stands in the log.
        if stops_calls(hook).is_none() && hook != Hooks::PRE_WRITE_PUSH {
            assert!(logs.has(&[hook.names().next().unwrap()]), "{hook:?}");
        }
    }
}

#[tokio::test]
async fn each_hook_refuses_what_it_may() {
    each_hook_that_goes_wrong(How::Refuses, 77).await;
}

#[tokio::test]
async fn a_panic_in_a_hook_is_error_500_of_that_hook() {
    each_hook_that_goes_wrong(How::Panics, code::INTERNAL).await;
}

#[tokio::test]
async fn a_panic_in_a_hook_that_waited_is_error_500_too() {
    each_hook_that_goes_wrong(How::PanicsLater, code::INTERNAL).await;
}

#[tokio::test]
async fn hooks_may_wait() {
    for (side, hook) in ALL_OF_MESSAGES {
        let (call, push, trace) = outcome(How::Waits, side, hook).await;
        assert_eq!(call.unwrap(), 7, "{hook:?}");
        push.unwrap();
        assert_eq!(handled(&trace), 2, "{hook:?}");
    }
}

#[tokio::test]
async fn after_a_refusal_nothing_later_runs_but_the_reply_hooks() {
    for (hook, ran) in [
        (Hooks::POST_READ_CALL_HEADER, 2),
        (Hooks::PRE_READ_CALL_BODY, 3),
        (Hooks::POST_READ_CALL_BODY, 4),
    ] {
        let trace = Trace::default();
        let mut plugins = PluginContainer::new();
        plugins
            .append(Tracer::new("one", &trace).that(How::Refuses, hook))
            .unwrap();
        plugins.append(Tracer::new("two", &trace)).unwrap();
        let pair = Pair::of(Peer::builder().plugins(plugins), Peer::builder()).await;
        work(&pair, &trace).await;
        trace.take();
        let error = pair.here.call::<i64>("/work/echo", 7).await.unwrap_err();
        assert_eq!(error.rerror().unwrap().code(), 77);
        settle().await;
        let lines = trace.take();
        let trace_of = |name: &str| {
            let again = Trace::default();
            lines.iter().for_each(|line| again.note(line.clone()));
            again.take_of(name)
        };
        let all = [
            "pre_read_header",
            "post_read_call_header",
            "pre_read_call_body",
            "post_read_call_body",
        ];
        let replies = ["pre_write_reply", "post_write_reply"];
        assert_eq!(trace_of("one"), [&all[..ran], &replies].concat());
        assert_eq!(trace_of("two"), [&all[..ran - 1], &replies].concat());
    }
}

#[tokio::test]
async fn hooks_of_a_connection_refuse_it() {
    for how in [How::Refuses, How::Panics, How::PanicsLater] {
        let trace = Trace::default();
        let bad = |hook| {
            let tracer = Tracer::new("bad", &trace).that(how, hook);
            Peer::builder().plugin(tracer).build().unwrap()
        };
        let plain = Peer::builder().build().unwrap();
        let refusing = bad(Hooks::POST_ACCEPT);
        let (near, far) = tokio::io::duplex(100);
        let (there, here) = tokio::join!(refusing.serve_conn(near), plain.dial_conn(far));
        assert_eq!(there.unwrap_err().kind(), ErrorKind::Refused);
        here.unwrap().closed().await;
        let refusing = bad(Hooks::POST_DIAL);
        let (near, far) = tokio::io::duplex(100);
        let (there, here) = tokio::join!(plain.serve_conn(near), refusing.dial_conn(far));
        assert_eq!(here.unwrap_err().kind(), ErrorKind::Refused);
        there.unwrap().closed().await;
        assert!(refusing.sessions().is_empty());
        // The end of a connection cannot be refused.
        let sad = bad(Hooks::POST_DISCONNECT);
        let (there, here) = connect(&sad, &plain).await;
        here.close().await;
        there.closed().await;
        assert!(sad.sessions().is_empty());
    }
}

#[tokio::test]
async fn hooks_of_a_life_refuse_it() {
    let trace = Trace::default();
    let bad = |hook| Peer::builder().plugin(Tracer::new("bad", &trace).that(How::Refuses, hook));
    for hook in [Hooks::PRE_NEW_PEER, Hooks::POST_NEW_PEER] {
        let error = bad(hook).build().unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
    }
    let peer = bad(Hooks::POST_REG).build().unwrap();
    assert!(peer.route_call(Work(trace.clone())).is_err());
    assert!(peer.routes().is_empty());
    let peer = bad(Hooks::POST_LISTEN).build().unwrap();
    assert!(peer.listen_on("127.0.0.1:0").await.is_err());
}

/// Answers with what it is given by another plugin.
struct Rewrites;

#[teleport::plugin]
impl Plugin for Rewrites {
    fn name(&self) -> &str {
        "rewrites"
    }

    fn post_read_call_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        if ctx.path() == "/old" {
            ctx.reset_uri("/work/echo?new=1");
        }
        Ok(())
    }

    async fn pre_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        if ctx.meta().contains("double") {
            let n: i64 = ctx.decode(&ctx.body().clone())?;
            ctx.set_body(b'j', (n * 2).to_string());
        }
        Ok(())
    }

    fn pre_write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
        ctx.header_mut().meta.add("by", "rewrites");
        let body = [ctx.body(), &b"0"[..]].concat();
        ctx.set_body(b'j', body);
        Ok(())
    }
}

#[tokio::test]
async fn hooks_may_change_route_body_and_reply() {
    let trace = Trace::default();
    let pair = Pair::of(Peer::builder().plugin(Rewrites), Peer::builder()).await;
    work(&pair, &trace).await;
    let call = pair
        .here
        .call::<i64>("/old", 7)
        .meta("double", "")
        .send()
        .await;
    let reply = call.unwrap().reply().await.unwrap();
    assert_eq!((reply.body, reply.meta.get("by")), (140, Some("rewrites")));
    let raw: Raw<Bytes> = pair.here.call("/work/echo", 1).await.unwrap();
    assert_eq!(raw.0, "10");
}
