//! What becomes of a message when one of its hooks refuses it, panics, or waits.

use teleport::rerror::code;
use teleport::{Error, ErrorKind, Hooks, Peer, PluginContainer};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, settle};

use super::{How, Trace, Tracer, words, work};

/// All that runs for a call by the client, its reply, and a push by it.
const CALL: &str = "c.pre_write_call c.post_write_call s.pre_read_header s.post_read_call_header \
    s.pre_read_call_body s.post_read_call_body handler";
const REPLY: &str = "s.pre_write_reply s.post_write_reply c.pre_read_header \
    c.post_read_reply_header c.pre_read_reply_body c.post_read_reply_body";
const PUSH: &str = "c.pre_write_push c.post_write_push s.pre_read_header s.post_read_push_header \
    s.pre_read_push_body s.post_read_push_body handler";

const ALL_OF_MESSAGES: [(&str, Hooks); 17] = [
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
    ("c", Hooks::PRE_READ_HEADER),
];

/// What a call and then a push by the client come to, each with the hooks that ran.
struct Outcome {
    call: Result<i64, Error>,
    called: Vec<String>,
    push: Result<(), Error>,
    pushed: Vec<String>,
}

impl Outcome {
    /// When one hook of one end goes wrong.
    async fn of(how: How, side: &str, hook: Hooks) -> Self {
        let trace = Trace::default();
        let bad = |name: &str| {
            let tracer = Tracer::new(name, &trace);
            match name == side {
                true => Peer::builder().plugin(tracer.that(how, hook)),
                false => Peer::builder().plugin(tracer),
            }
        };
        let pair = Pair::of(bad("s"), bad("c")).await;
        work(&pair.server, &trace);
        trace.take();
        let call = pair.here.call::<i64>("/work/echo", 7).await;
        settle().await;
        let called = trace.take();
        let push = pair.here.push("/hear/it", 7).await;
        settle().await;
        let survives = hook != Hooks::PRE_READ_HEADER || how == How::Waits;
        let health = [pair.here.health(), pair.there.health()];
        assert_eq!(health, [survives; 2], "{side} {hook:?}");
        assert_eq!(pair.here.calls_in_flight(), 0);
        let running = [&pair.here, &pair.there].map(|end| end.running_handlers());
        assert_eq!(running, [0, 0]);
        let pushed = trace.take();
        Self {
            call,
            called,
            push,
            pushed,
        }
    }
}

/// The hooks that stand in the way of a call, and the kind of error that its caller sees.
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

/// The hooks that stand in the way of a push.
const STOP_PUSHES: [Hooks; 4] = [
    Hooks::PRE_WRITE_PUSH,
    Hooks::POST_READ_PUSH_HEADER,
    Hooks::PRE_READ_PUSH_BODY,
    Hooks::POST_READ_PUSH_BODY,
];

fn name(hook: Hooks) -> &'static str {
    hook.names().next().unwrap()
}

/// A line up to the hook of one end, and all of it if that is not in it.
fn up_to(line: &[&'static str], side: &str, hook: Hooks) -> Vec<&'static str> {
    let last = format!("{side}.{}", name(hook));
    let at = line.iter().position(|word| *word == last);
    line[..at.map_or(line.len(), |at| at + 1)].to_vec()
}

/// What runs for the call, and for the push, when that hook of that end goes wrong.
fn lines_of(side: &str, hook: Hooks) -> (Vec<&'static str>, Vec<&'static str>) {
    let whole = [words(CALL), words(REPLY)].concat();
    let call = match stops_calls(hook) {
        None => whole,
        Some(ErrorKind::Remote) => [up_to(&words(CALL), side, hook), words(REPLY)].concat(),
        Some(ErrorKind::Closed) => {
            let mut line = up_to(&whole, side, hook);
            // Whoever refuses to read on ends first; the other end finds out.
            line.extend(match side {
                "s" => ["s.post_disconnect", "c.post_disconnect"],
                _ => ["c.post_disconnect", "s.post_disconnect"],
            });
            return (line, Vec::new());
        }
        Some(_) => up_to(&whole, side, hook),
    };
    let push = match STOP_PUSHES.contains(&hook) {
        true => up_to(&words(PUSH), side, hook),
        false => words(PUSH),
    };
    (call, push)
}

async fn each_hook_that_goes_wrong(how: How, wrong_code: i32) {
    let (logs, _guard) = capture(false);
    for (side, hook) in ALL_OF_MESSAGES {
        let outcome = Outcome::of(how, side, hook).await;
        let (call, push) = lines_of(side, hook);
        assert_eq!(outcome.called, call, "{side} {hook:?}");
        assert_eq!(outcome.pushed, push, "{side} {hook:?}");
        match stops_calls(hook) {
            None => assert_eq!(outcome.call.unwrap(), 7, "{hook:?}"),
            Some(kind) => {
                let error = outcome.call.unwrap_err();
                assert_eq!(error.kind(), kind, "{hook:?}: {error:?}");
                if kind != ErrorKind::Closed {
                    let rerror = error.rerror().unwrap();
                    assert_eq!(rerror.code(), wrong_code, "{hook:?}");
                    assert!(rerror.reason().contains(name(hook)), "{rerror}");
                }
            }
        }
        match hook {
            Hooks::PRE_WRITE_PUSH => {
                let error = outcome.push.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Refused);
                assert_eq!(error.rerror().unwrap().code(), wrong_code);
            }
            Hooks::PRE_READ_HEADER => {
                let error = outcome.push.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Closed);
            }
            _ => outcome.push.unwrap(),
        }
        // What nobody is told stands in the log.
        if stops_calls(hook).is_none() && hook != Hooks::PRE_WRITE_PUSH {
            assert!(logs.has(&[name(hook)]), "{hook:?}");
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
        let outcome = Outcome::of(How::Waits, side, hook).await;
        assert_eq!(outcome.call.unwrap(), 7, "{hook:?}");
        outcome.push.unwrap();
        let whole = [words(CALL), words(REPLY)].concat();
        assert_eq!(outcome.called, whole, "{hook:?}");
        assert_eq!(outcome.pushed, words(PUSH), "{hook:?}");
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
        work(&pair.server, &trace);
        trace.take();
        let error = pair.here.call::<i64>("/work/echo", 7).await.unwrap_err();
        assert_eq!(error.rerror().unwrap().code(), 77);
        settle().await;
        let lines = trace.take();
        let of = |name: &str| -> Vec<_> {
            let mine = |line: &String| Some(line.strip_prefix(name)?.strip_prefix('.')?.to_owned());
            lines.iter().filter_map(mine).collect()
        };
        let all = [
            "pre_read_header",
            "post_read_call_header",
            "pre_read_call_body",
            "post_read_call_body",
        ];
        let replies = ["pre_write_reply", "post_write_reply"];
        assert_eq!(of("one"), [&all[..ran], &replies].concat());
        assert_eq!(of("two"), [&all[..ran - 1], &replies].concat());
    }
}
