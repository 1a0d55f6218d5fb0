//! What is too much is turned away, and says when to come again; and nothing that was counted
//! stays counted.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use teleport::plugins::auth::{Launch, Verify};
use teleport::plugins::overload::{Load, Overload};
use teleport::rerror::code;
use teleport::{
    CallerExt, Error, ErrorKind, Hooks, Peer, Plugin, Rerror, Session, controller, push_handler,
};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, bare, settle};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// Handlers that end when the test says so, or in another way.
#[derive(Clone)]
struct Work(Arc<Semaphore>);

impl Work {
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    async fn wait(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

#[controller]
impl Work {
    async fn quick(&self) {}

    async fn slow(&self) {
        self.wait().await;
    }

    #[route(spawn)]
    async fn apart(&self) {
        self.wait().await;
    }

    async fn boom(&self) {
        panic!("boom");
    }

    async fn late_boom(&self) {
        self.wait().await;
        panic!("late boom");
    }

    #[route(blocking)]
    fn block(&self) {}

    #[route(blocking)]
    fn block_boom(&self) {
        panic!("block boom");
    }

    async fn fails(&self) -> Result<(), Rerror> {
        Err(Rerror::new(7, "no", ""))
    }

    async fn number(&self, arg: i64) -> i64 {
        arg
    }
}

#[push_handler]
impl Work {
    async fn note(&self) {
        self.wait().await;
    }
}

async fn pair(overload: &Overload) -> (Pair, Work) {
    let server = Peer::builder().plugin(overload.clone());
    let pair = Pair::of(server, Peer::builder()).await;
    let work = Work::new();
    pair.server.route_call(work.clone()).unwrap();
    pair.server.route_push(work.clone()).unwrap();
    (pair, work)
}

async fn call(session: &Session, uri: &str) -> Result<(), Error> {
    session.call::<()>(uri, ()).await
}

/// That it was refused for overload; gives how long to wait.
#[track_caller]
fn refused(result: Result<(), Error>, reason: &str) -> Duration {
    let error = result.unwrap_err();
    let rerror = error.rerror().unwrap();
    assert_eq!(rerror.code(), code::SERVICE_UNAVAILABLE);
    assert_eq!(rerror.reason(), reason);
    assert!(error.is_remote() && error.may_retry());
    error.retry_after().unwrap()
}

const TOO_FAST: &str = "too many calls a second";
const TOO_MANY: &str = "too many calls are running";

#[tokio::test(start_paused = true)]
async fn calls_that_come_too_fast_are_told_when_to_come_again() {
    let overload = Overload::new().in_all(Load::new().per_second(10).burst(3));
    let (pair, _) = pair(&overload).await;
    for _ in 0..3 {
        for _ in 0..3 {
            call(&pair.here, "/work/quick").await.unwrap();
        }
        let wait = refused(call(&pair.here, "/work/quick").await, TOO_FAST);
        assert_eq!(wait, Duration::from_millis(100));
        sleep(wait - Duration::from_millis(10)).await;
        let wait = refused(call(&pair.here, "/work/quick").await, TOO_FAST);
        assert_eq!(wait, Duration::from_millis(10));
        sleep(wait).await;
        call(&pair.here, "/work/quick").await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    let stats = overload.stats();
    assert_eq!((stats.refused_by_rate, stats.refused_calls()), (6, 6));
    assert!(pair.here.health() && pair.there.health());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_on_the_wire_has_the_error_and_the_hint() {
    let overload = Overload::new().in_all(Load::new().per_second(1));
    let server = Peer::builder().plugin(overload).build().unwrap();
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    // What has no route counts as well.
    for seq in ["A", "B"] {
        let frame = RawFrame::call(seq, "/none", "").bytes();
        stream.write_all(&frame).await.unwrap();
    }
    let first = read_frame(&mut stream).await.unwrap().unwrap();
    assert!(first.error().contains("404"));
    let second = read_frame(&mut stream).await.unwrap().unwrap();
    let meta = "X-Reply-Error=%7B%22code%22%3A503%2C%22message%22%3A%22Service%20Unavailable%22%2C\
                %22reason%22%3A%22too%20many%20calls%20a%20second%22%7D&X-Retry-After-Ms=1000";
    assert_eq!(second, RawFrame::reply("B", "").meta(meta).codec(0));
}

#[tokio::test]
async fn as_many_calls_run_as_may() {
    let overload = Overload::new()
        .in_all(Load::new().running(2))
        .retry_hint(Duration::from_millis(250));
    let (pair, work) = pair(&overload).await;
    let running: Vec<_> = ["/work/slow", "/work/apart"]
        .map(|uri| {
            let here = pair.here.clone();
            tokio::spawn(async move { call(&here, uri).await })
        })
        .into();
    settle().await;
    assert_eq!(overload.stats().running, 2);
    let wait = refused(call(&pair.here, "/work/quick").await, TOO_MANY);
    assert_eq!(wait, Duration::from_millis(250));
    work.0.add_permits(2);
    for task in running {
        task.await.unwrap().unwrap();
    }
    settle().await;
    call(&pair.here, "/work/quick").await.unwrap();
    let stats = overload.stats();
    assert_eq!((stats.running, stats.refused_by_running), (0, 1));
}

/// However a call ends, its place is free afterwards.
#[tokio::test]
async fn no_place_is_lost() {
    let overload = Overload::new().in_all(Load::new().running(1));
    let (pair, work) = pair(&overload).await;
    work.0.add_permits(1000);
    for uri in [
        "/work/quick",
        "/work/slow",
        "/work/apart",
        "/work/boom",
        "/work/late/boom",
        "/work/block",
        "/work/block/boom",
        "/work/fails",
        "/work/number", // without an argument that it can read
        "/none",
        "%zz",
    ] {
        for _ in 0..5 {
            let answer = pair.here.call::<()>(uri, "nonsense").await;
            let refused = answer.err().and_then(|e| e.rerror().map(Rerror::code)) == Some(503);
            assert!(!refused, "{uri}");
            // The reply may be there before its handler is forgotten.
            while overload.stats().running > 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    assert_eq!(overload.stats().refused_calls(), 0);
}

#[tokio::test]
async fn lost_connections_and_given_up_calls_free_their_places() {
    let overload = Overload::new().in_all(Load::new().running(64));
    for round in 0..3 {
        let (pair, work) = pair(&overload).await;
        let calls: Vec<_> = (0..20)
            .map(|n| {
                let here = pair.here.clone();
                let uri = ["/work/slow", "/work/apart", "/work/late/boom"][n % 3];
                tokio::spawn(async move { call(&here, uri).await })
            })
            .collect();
        for _ in 0..5 {
            pair.here.push("/work/note", ()).await.unwrap();
        }
        settle().await;
        assert_eq!(overload.stats().running, 25);
        match round {
            0 => calls.iter().for_each(|call| call.abort()),
            1 => pair.here.abort(),
            _ => pair.there.abort(),
        }
        settle().await;
        // Handlers that were begun go on to their ends.
        work.0.add_permits(25);
        settle().await;
        assert_eq!(overload.stats().running, 0, "{round}");
    }
}

#[test]
fn handlers_that_are_dropped_with_their_runtime_free_their_places() {
    let overload = Overload::new().in_all(Load::new().running(8));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (pair, _work) = runtime.block_on(pair(&overload));
    let here = pair.here.clone();
    runtime.spawn(async move { call(&here, "/work/slow").await });
    while overload.stats().running == 0 {
        std::thread::yield_now();
    }
    drop(runtime);
    drop(pair);
    assert_eq!(overload.stats().running, 0);
}

#[tokio::test]
async fn pushes_that_are_too_much_are_dropped_logged_and_counted() {
    let (logs, _guard) = capture(false);
    let overload = Overload::new().in_all(Load::new().running(2));
    let (pair, work) = pair(&overload).await;
    for _ in 0..5 {
        pair.here.push("/work/note", ()).await.unwrap();
    }
    settle().await;
    let stats = overload.stats();
    assert_eq!((stats.running, stats.dropped_pushes), (2, 3));
    assert_eq!(stats.refused_calls(), 0);
    assert!(logs.has(&["a push was not handled", "/work/note", TOO_MANY]));
    work.0.add_permits(2);
    settle().await;
    assert_eq!(overload.stats().running, 0);
    assert!(pair.here.health());
}

#[tokio::test(start_paused = true)]
async fn a_route_or_a_group_has_limits_of_its_own_beside_those_of_the_peer() {
    let all = Overload::new().in_all(Load::new().per_second(1).burst(8));
    let narrow = Overload::new().in_all(Load::new().per_second(1).burst(2));
    let pair = Pair::of(Peer::builder().plugin(all.clone()), Peer::builder()).await;
    let work = Work::new();
    // Clones count together: these two groups are one.
    for prefix in ["a", "b"] {
        let group = pair.server.sub_route(prefix).plugin(narrow.clone());
        group.route_call(work.clone()).unwrap();
    }
    pair.server.route_call(work).unwrap();
    call(&pair.here, "/a/work/quick").await.unwrap();
    call(&pair.here, "/b/work/quick").await.unwrap();
    let wait = refused(call(&pair.here, "/a/work/quick").await, TOO_FAST);
    assert_eq!(wait, Duration::from_secs(1));
    refused(call(&pair.here, "/b/work/quick").await, TOO_FAST);
    for _ in 0..4 {
        call(&pair.here, "/work/quick").await.unwrap();
    }
    refused(call(&pair.here, "/work/quick").await, TOO_FAST);
    assert_eq!(narrow.stats().refused_by_rate, 2);
    assert_eq!(all.stats().refused_by_rate, 1);
}

async fn from(ip: [u8; 4], address: &str) -> Session {
    let client = Peer::builder().local_ip(IpAddr::from(ip)).build().unwrap();
    client.dial(address).await.unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn each_source_address_has_its_own_part() {
    let overload = Overload::new().per_source(Load::new().running(1).sessions(2));
    let server = Peer::builder().plugin(overload.clone()).build().unwrap();
    let work = Work::new();
    server.route_call(work.clone()).unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap().to_string();
    let noisy = [
        from([127, 0, 0, 1], &address).await,
        from([127, 0, 0, 1], &address).await,
    ];
    let other = from([127, 0, 0, 2], &address).await;
    let slow = tokio::spawn({
        let noisy = noisy[0].clone();
        async move { call(&noisy, "/work/slow").await }
    });
    while noisy[0].calls_in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    // Behind it on the same connection, and on another of the same source.
    refused(call(&noisy[0], "/work/quick").await, TOO_MANY);
    refused(call(&noisy[1], "/work/quick").await, TOO_MANY);
    call(&other, "/work/quick").await.unwrap();
    // A third session of the noisy one is too much.
    let third = from([127, 0, 0, 1], &address).await;
    third.closed().await;
    assert!(third.close_reason().unwrap().contains("too many sessions"));
    from([127, 0, 0, 2], &address).await;
    assert_eq!(overload.stats().sources, 2);
    work.0.add_permits(1);
    slow.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_is_too_many_is_told_and_closed() {
    let (logs, _guard) = capture(false);
    let overload = Overload::new().in_all(Load::new().sessions(1));
    let (pair, _) = pair(&overload).await;
    let (near, mut stream) = tokio::io::duplex(1 << 16);
    let error = pair.server.serve_conn(near).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.rerror().unwrap().code(), 503);
    // A reply that belongs to no call, which nobody else minds.
    let told = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!((told.mtype, told.seq.as_str()), (2, "~notice"));
    assert!(told.error().contains("too many sessions"));
    assert_eq!(told.meta_value("X-Retry-After-Ms").unwrap(), "1000");
    assert_eq!(read_frame(&mut stream).await.unwrap(), None);
    // A client finds out by its first call, at the latest, and may make it elsewhere.
    let (near, far) = tokio::io::duplex(1 << 16);
    let client = Peer::builder().build().unwrap();
    let (there, here) = tokio::join!(pair.server.serve_conn(near), client.dial_conn(far));
    there.unwrap_err();
    let here = here.unwrap();
    let error = call(&here, "/work/quick").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(
        error.to_string().contains("refused by the other end: 503"),
        "{error}"
    );
    assert!(error.may_retry());
    here.closed().await;
    assert_eq!(overload.stats().refused_sessions, 2);
    assert!(pair.here.health());
    drop(logs);
}

#[tokio::test]
async fn a_handshake_fails_with_the_error_of_who_takes_no_more_sessions() {
    let overload = Overload::new().in_all(Load::new().sessions(1));
    let verify = Verify::new(|_, text| match text {
        "secret" => Ok(()),
        _ => Err(Rerror::new(403, "auth fail", "")),
    });
    let server = Peer::builder().plugin(overload.clone()).plugin(verify);
    let server = server.build().unwrap();
    let dial = |text: &'static str| {
        let client = Peer::builder().plugin(Launch::new(text)).build().unwrap();
        let server = server.clone();
        async move {
            let (near, far) = tokio::io::duplex(1 << 16);
            let (_there, here) = tokio::join!(server.serve_conn(near), client.dial_conn(far));
            here
        }
    };
    // Who is refused by somebody else has taken no place.
    for _ in 0..3 {
        let error = dial("wrong").await.unwrap_err();
        assert_eq!(error.rerror().unwrap().code(), 403);
    }
    assert_eq!(overload.stats().sessions, 0);
    let session = dial("secret").await.unwrap();
    assert_eq!(overload.stats().sessions, 1);
    let error = dial("secret").await.unwrap_err();
    assert_eq!(error.rerror().unwrap().code(), 503);
    session.close().await;
    while overload.stats().sessions > 0 {
        tokio::task::yield_now().await;
    }
    dial("secret").await.unwrap();
}

#[tokio::test]
async fn a_session_that_ended_counts_no_more_though_its_handle_is_kept() {
    let overload = Overload::new().in_all(Load::new().sessions(1));
    for round in 0..6 {
        let (pair, _) = pair(&overload).await;
        let kept = (pair.there.clone(), pair.there.swap().clone());
        match round % 3 {
            0 => pair.here.close().await,
            1 => pair.here.abort(),
            _ => pair.there.abort(),
        }
        pair.there.closed().await;
        assert_eq!(overload.stats().sessions, 0);
        drop(kept);
    }
    assert_eq!(overload.stats().sessions, 0);
}

#[tokio::test(start_paused = true)]
async fn connections_that_hang_in_their_handshake_count_until_it_is_over() {
    let overload = Overload::new().in_all(Load::new().sessions(3));
    let server = Peer::builder()
        .plugin(overload.clone())
        .plugin(Verify::new(|_, _| Ok(())))
        .build()
        .unwrap();
    let mut hanging = Vec::new();
    for _ in 0..5 {
        let (near, far) = tokio::io::duplex(1 << 10);
        let server = server.clone();
        hanging.push((
            tokio::spawn(async move { server.serve_conn(near).await }),
            far,
        ));
    }
    settle().await;
    let stats = overload.stats();
    assert_eq!((stats.sessions, stats.refused_sessions), (3, 2));
    for (task, _far) in hanging {
        task.await.unwrap().unwrap_err();
    }
    assert_eq!(overload.stats().sessions, 0);
}

#[test]
fn limits_that_are_none_are_errors_that_say_what_to_write() {
    for (load, text) in [
        (Load::new().sessions(0), "sessions is 0"),
        (Load::new().per_second(0), "per_second is 0"),
        (Load::new().per_second(5).burst(0), "burst is 0"),
        (Load::new().burst(5), "without per_second"),
        (Load::new().running(0), "running is 0"),
    ] {
        for overload in [
            Overload::new().in_all(load.clone()),
            Overload::new().per_source(load.clone()),
        ] {
            let error = Peer::builder()
                .plugin(overload.clone())
                .build()
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(text), "{error}");
            let peer = Peer::builder().build().unwrap();
            let with = peer.with(overload);
            assert!(with.route_call(Work::new()).is_err());
        }
    }
    let peer = Peer::builder().build().unwrap();
    let sessions = Overload::new().in_all(Load::new().sessions(5));
    let error = peer.sub_route("x").plugin(sessions).route_call(Work::new());
    let text = error.unwrap_err().to_string();
    assert!(text.contains("builder of the peer"), "{text}");
    assert!(peer.routes().is_empty());
}

#[test]
fn what_is_not_limited_has_no_hook() {
    let of_messages = Hooks::POST_READ_CALL_HEADER
        .union(Hooks::POST_READ_PUSH_HEADER)
        .union(Hooks::PRE_WRITE_REPLY);
    let sessions = Overload::new().in_all(Load::new().sessions(5));
    assert!(!sessions.hooks().intersects(of_messages));
    let running = Overload::new().per_source(Load::new().running(5));
    assert!(running.hooks().contains(of_messages));
    assert!(!running.hooks().intersects(Hooks::POST_ACCEPT));
}

#[tokio::test]
async fn whatever_calls_sees_the_hint() {
    let overload = Overload::new().in_all(Load::new().per_second(1));
    let (pair, _) = pair(&overload).await;
    call(&pair.here, "/work/quick").await.unwrap();
    let by_caller = CallerExt::call_as::<()>(&pair.here, "/work/quick", ()).await;
    let wait = refused(by_caller, TOO_FAST);
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1));
    let command = pair.here.call::<()>("/work/quick", ()).send().await;
    let reply = command.unwrap().raw_reply().await.unwrap();
    assert!(reply.meta.get("X-Retry-After-Ms").is_some());
    // An error without a hint has none, and neither has a local one.
    let error = call(&pair.here, "/none").await.unwrap_err();
    assert!(error.reply_meta().is_some());
    pair.here.abort();
    let error = call(&pair.here, "/none").await.unwrap_err();
    assert!(error.reply_meta().is_none() && error.retry_after().is_none());
}
