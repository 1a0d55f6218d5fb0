//! What is too much, beyond one end that calls: who is refused learns when to come again, limits
//! change while they count, and other plugins and failing replies leave nothing counted.

use std::sync::Arc;
use std::time::Duration;

use teleport::plugins::auth::{Launch, Verify};
use teleport::plugins::overload::{Load, Overload};
use teleport::session::Redial;
use teleport::{
    Error, ErrorKind, Peer, Plugin, ReadCtx, Rerror, Session, controller, plugin, push_handler,
};
use teleport_tests::exchange::Exchange;
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, bare, connect, settle};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// Handlers that wait for the test.
#[derive(Clone)]
struct Work(Arc<Semaphore>);

impl Work {
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

#[controller]
impl Work {
    async fn quick(&self) {}

    async fn slow(&self) {
        self.0.acquire().await.unwrap().forget();
    }

    async fn large(&self) -> String {
        self.0.acquire().await.unwrap().forget();
        "x".repeat(4096)
    }

    /// What no codec can write.
    async fn odd(&self) -> f64 {
        f64::NAN
    }
}

#[push_handler]
impl Work {
    async fn boom(&self) {
        panic!("boom");
    }
}

async fn call(session: &Session, uri: &str) -> Result<(), Error> {
    session.call::<()>(uri, ()).await
}

#[track_caller]
fn code(result: Result<(), Error>) -> Option<i32> {
    result.err().and_then(|e| e.rerror().map(Rerror::code))
}

const HINT: Duration = Duration::from_millis(2500);

fn one_session() -> Overload {
    Overload::new()
        .in_all(Load::new().sessions(1))
        .retry_hint(HINT)
}

#[tokio::test]
async fn a_dial_that_is_refused_says_when_to_come_again() {
    let verify = Verify::new(|_, _| Ok(()));
    let server = Peer::builder().plugin(one_session()).plugin(verify);
    let server = server.build().unwrap();
    let client = Peer::builder().plugin(Launch::new("hi")).build().unwrap();
    let dial = || async {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (_there, here) = tokio::join!(server.serve_conn(near), client.dial_conn(far));
        here
    };
    let _first = dial().await.unwrap();
    let error = dial().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.rerror().unwrap().code(), 503);
    assert_eq!(error.retry_after(), Some(HINT));
    assert!(error.may_retry());
}

#[tokio::test]
async fn calls_of_a_session_that_is_refused_say_when_to_come_again() {
    let server = Peer::builder().plugin(one_session()).build().unwrap();
    let client = Peer::builder().build().unwrap();
    let _first = connect(&server, &client).await;
    let (near, far) = tokio::io::duplex(1 << 16);
    let (there, here) = tokio::join!(server.serve_conn(near), client.dial_conn(far));
    assert_eq!(there.unwrap_err().kind(), ErrorKind::Refused);
    let here = here.unwrap();
    for _ in 0..2 {
        let error = call(&here, "/work/quick").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert_eq!(error.retry_after(), Some(HINT), "{error}");
        assert!(error.may_retry());
        // The next is made after the end.
        here.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_dials_again_waits_as_long_as_it_is_asked_to() {
    let server = Peer::builder().plugin(one_session()).build().unwrap();
    let exchange = Exchange::new(&server);
    let client = Peer::builder().build().unwrap();
    let dial = client.dial_by(exchange.connector());
    let session = dial.redial(Redial::forever()).await.unwrap();
    settle().await;
    exchange.cut();
    settle().await;
    // Somebody else was faster.
    let (hog, _far) = connect(&server, &client).await;
    let began = Instant::now();
    sleep(Duration::from_secs(26)).await;
    let dials = exchange.dials();
    let late: Vec<_> = dials.iter().filter(|at| **at > began).collect();
    assert!((3..=11).contains(&late.len()), "{late:?}");
    for pair in late.windows(2) {
        assert!(*pair[1] - *pair[0] >= HINT, "{late:?}");
    }
    hog.close().await;
    sleep(Duration::from_secs(31)).await;
    assert!(session.is_connected());
}

#[tokio::test(start_paused = true)]
async fn limits_change_while_they_count() {
    let overload = Overload::new().in_all(Load::new().running(usize::MAX).sessions(usize::MAX));
    let pair = Pair::of(Peer::builder().plugin(overload.clone()), Peer::builder()).await;
    let work = Work::new();
    pair.server.route_call(work.clone()).unwrap();
    let slow = |count| {
        for _ in 0..count {
            let here = pair.here.clone();
            tokio::spawn(async move { call(&here, "/work/slow").await });
        }
    };
    slow(5);
    settle().await;
    assert_eq!(overload.stats().running, 5);
    // Those that run stay, and none is added until there are fewer.
    overload.change_in_all(&Load::new().running(3)).unwrap();
    assert_eq!(code(call(&pair.here, "/work/quick").await), Some(503));
    work.0.add_permits(3);
    settle().await;
    assert_eq!(overload.stats().running, 2);
    call(&pair.here, "/work/quick").await.unwrap();
    // A rate in its place, and away with that.
    let rate = Load::new().per_second(1);
    overload.change_in_all(&rate).unwrap();
    call(&pair.here, "/work/quick").await.unwrap();
    let error = call(&pair.here, "/work/quick").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    overload.change_in_all(&rate.clone().burst(100)).unwrap();
    for _ in 0..100 {
        call(&pair.here, "/work/quick").await.unwrap();
    }
    // What a slow rate would have to make up for, a new one need not.
    overload.change_in_all(&Load::new().per_second(10)).unwrap();
    call(&pair.here, "/work/quick").await.unwrap();
    overload.change_per_source(&rate).unwrap();
    overload.change_in_all(&Load::new()).unwrap();
    for _ in 0..10 {
        // In memory nobody has an address.
        call(&pair.here, "/work/quick").await.unwrap();
    }
    // What ran under another limit is given back all the same.
    work.0.add_permits(2);
    settle().await;
    assert_eq!(overload.stats().running, 0);
    overload.change_in_all(&Load::new().sessions(1)).unwrap();
    let (near, _far) = tokio::io::duplex(1 << 10);
    let error = pair.server.serve_conn(near).await.unwrap_err();
    assert_eq!(error.rerror().unwrap().code(), 503);
    overload.change_in_all(&Load::new().sessions(2)).unwrap();
    let (near, _far) = tokio::io::duplex(1 << 10);
    pair.server.serve_conn(near).await.unwrap();
}

#[test]
fn a_change_that_nothing_would_come_of_is_refused() {
    let messages = Overload::new().in_all(Load::new().running(5));
    let sessions = Overload::new().per_source(Load::new().sessions(5));
    let before = format!("{messages:?} {sessions:?}");
    for (overload, load, text) in [
        (&messages, Load::new().running(0), "running is 0"),
        (&messages, Load::new().sessions(1), "`sessions(usize::MAX)`"),
        (&sessions, Load::new().running(1), "`running(usize::MAX)`"),
        (
            &sessions,
            Load::new().sessions(1).per_second(1),
            "`running(usize::MAX)`",
        ),
    ] {
        for error in [
            overload.change_in_all(&load),
            overload.change_per_source(&load),
        ] {
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(text), "{error}");
        }
    }
    assert_eq!(format!("{messages:?} {sessions:?}"), before);
}

#[tokio::test]
async fn limits_that_are_as_good_as_none_and_hints_of_any_length_do_no_harm() {
    let huge = Load::new()
        .sessions(usize::MAX)
        .running(usize::MAX)
        .per_second(u32::MAX)
        .burst(u32::MAX);
    let overload = Overload::new().in_all(huge.clone()).per_source(huge);
    let pair = Pair::of(Peer::builder().plugin(overload), Peer::builder()).await;
    pair.server.route_call(Work::new()).unwrap();
    for _ in 0..100 {
        call(&pair.here, "/work/quick").await.unwrap();
    }
    let most = Duration::from_millis(u64::MAX);
    for (hint, told) in [
        (Duration::MAX, most),
        (Duration::ZERO, Duration::ZERO),
        (Duration::from_nanos(1), Duration::from_millis(1)),
    ] {
        let overload = Overload::new()
            .in_all(Load::new().running(1))
            .retry_hint(hint);
        let pair = Pair::of(Peer::builder().plugin(overload), Peer::builder()).await;
        pair.server.route_call(Work::new()).unwrap();
        let here = pair.here.clone();
        tokio::spawn(async move { call(&here, "/work/slow").await });
        settle().await;
        let error = call(&pair.here, "/work/quick").await.unwrap_err();
        assert_eq!(error.retry_after(), Some(told));
    }
}

/// Refuses at the hook that the query names.
struct Refuses;

#[plugin]
impl Plugin for Refuses {
    fn name(&self) -> &str {
        "refuses"
    }

    fn post_read_call_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        refuse(ctx, "header")
    }

    fn pre_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        refuse(ctx, "pre")
    }

    fn post_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        refuse(ctx, "post")
    }
}

fn refuse(ctx: &ReadCtx, at: &str) -> Result<(), Rerror> {
    match ctx.query("at") {
        Some(named) if named == at => Err(Rerror::new(7, "refused", at.to_owned())),
        Some("panic") => panic!("a hook"),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn hooks_that_refuse_and_replies_that_fail_leave_nothing_counted() {
    let overload = Overload::new().in_all(Load::new().running(1));
    let server = Peer::builder().plugin(overload.clone()).plugin(Refuses);
    let pair = Pair::of(server, Peer::builder()).await;
    pair.server.route_call(Work::new()).unwrap();
    pair.server.route_push(Work::new()).unwrap();
    for _ in 0..3 {
        for (uri, due) in [
            ("/work/quick?at=header", 7),
            ("/work/quick?at=pre", 7),
            ("/work/quick?at=post", 7),
            ("/work/quick?at=panic", 500),
            ("/work/odd", 500),
        ] {
            assert_eq!(code(call(&pair.here, uri).await), Some(due), "{uri}");
            settle().await;
            assert_eq!(overload.stats().running, 0, "{uri}");
        }
        pair.here.push("/work/boom", ()).await.unwrap();
        pair.here.push("/none", ()).await.unwrap();
        settle().await;
        assert_eq!(overload.stats().running, 0);
    }
    assert_eq!(overload.stats().refused_calls(), 0);
}

#[tokio::test]
async fn a_reply_that_nobody_takes_any_more_frees_its_place() {
    let overload = Overload::new().in_all(Load::new().running(1));
    let server = Peer::builder().plugin(overload.clone()).build().unwrap();
    let work = Work::new();
    server.route_call(work.clone()).unwrap();
    for _ in 0..5 {
        let (_session, mut stream) = bare(&server, 64).await;
        let frame = RawFrame::call("A", "/work/large", "").bytes();
        stream.write_all(&frame).await.unwrap();
        settle().await;
        assert_eq!(overload.stats().running, 1);
        // Gone while the handler runs, so that writing fails.
        drop(stream);
        work.0.add_permits(1);
        settle().await;
        assert_eq!(overload.stats().running, 0);
    }
}

#[tokio::test]
async fn one_who_does_not_read_holds_no_place_but_those_of_running_handlers() {
    let overload = Overload::new().in_all(Load::new().running(2));
    let server = Peer::builder().plugin(overload.clone()).build().unwrap();
    let work = Work::new();
    work.0.add_permits(1000);
    server.route_call(work).unwrap();
    // Room for a fraction of a reply.
    let (_session, mut deaf) = bare(&server, 256).await;
    for seq in ["A", "B", "C"] {
        let frame = RawFrame::call(seq, "/work/large", "").bytes();
        deaf.write_all(&frame).await.unwrap();
        settle().await;
    }
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    let frame = RawFrame::call("A", "/work/quick", "").bytes();
    stream.write_all(&frame).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(reply.meta, "");
}

#[cfg(unix)]
#[tokio::test]
async fn who_has_no_address_is_limited_in_all_but_not_by_source() {
    let (_logs, _guard) = capture(false);
    let name = format!("teleport-overload-{}.sock", std::process::id());
    let path = std::env::temp_dir().join(name);
    let overload = Overload::new()
        .per_source(Load::new().per_second(1).sessions(1))
        .in_all(Load::new().per_second(1).burst(20));
    let server = Peer::builder().plugin(overload.clone()).build().unwrap();
    server.route_call(Work::new()).unwrap();
    let address = format!("unix:{}", path.display());
    server.listen_on(&address).await.unwrap();
    let client = Peer::builder().build().unwrap();
    for _ in 0..2 {
        let session = client.dial(&address).await.unwrap();
        for _ in 0..10 {
            call(&session, "/work/quick").await.unwrap();
        }
    }
    let session = client.dial(&address).await.unwrap();
    assert_eq!(code(call(&session, "/work/quick").await), Some(503));
    assert_eq!(overload.stats().sources, 0);
    server.close().await;
}
