//! How a peer shuts down: everything that was accepted is finished, refused or cut off, and the
//! report says which.

mod attacks;
mod cuts;
mod pushes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use teleport::message::meta;
use teleport::rerror::code;
use teleport::{CallCtx, Peer, Plugin, PreSession, Rerror, Session, ShutdownReport};
use teleport::{controller, plugin};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{Pair, bare, call_bytes, connect, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Work {
    permits: Arc<Semaphore>,
    begun: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

impl Work {
    fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(0)),
            begun: Arc::default(),
            done: Arc::default(),
        }
    }
}

#[controller]
impl Work {
    async fn now(&self, arg: Bytes) -> Bytes {
        arg
    }

    async fn held(&self, arg: Bytes) -> Bytes {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await.unwrap().forget();
        self.done.fetch_add(1, Ordering::SeqCst);
        arg
    }

    /// Asks the caller something before it answers.
    async fn back(&self, ctx: &mut CallCtx, arg: Bytes) -> Result<Bytes, Rerror> {
        self.permits.acquire().await.unwrap().forget();
        Ok(call_bytes(ctx.session(), "/work/now", arg).await?)
    }
}

async fn working() -> (Pair, Work) {
    let pair = Pair::new().await;
    let work = Work::new();
    pair.server.route_call(work.clone()).unwrap();
    pair.client.route_call(work.clone()).unwrap();
    (pair, work)
}

fn spawn_call(session: &Session, uri: &'static str) -> JoinHandle<Result<Bytes, teleport::Error>> {
    let session = session.clone();
    tokio::spawn(async move { call_bytes(&session, uri, "body").await })
}

fn spawn_shutdown(peer: &Peer, deadline: Duration) -> JoinHandle<ShutdownReport> {
    tokio::spawn(peer.shutdown(deadline))
}

/// The text of the notices is what other implementations may look for.
async fn notice(stream: &mut DuplexStream) -> String {
    let frame = read_frame(stream).await.unwrap().expect("a notice");
    assert_eq!((frame.seq.as_str(), frame.mtype), ("~notice", 2));
    frame.meta_value("X-Notice").unwrap()
}

#[tokio::test]
async fn an_idle_peer_is_shut_down_at_once_and_its_clients_know_why() {
    let (pair, _) = working().await;
    let report = pair.server.shutdown(LONG).await;
    assert!(report.is_complete());
    assert_eq!((report.sessions, report.handlers_finished), (1, 0));
    let text = report.to_string();
    assert!(text.starts_with("shut down in 0.0"), "{text}");
    assert!(text.ends_with("0 refused; nothing was lost"), "{text}");

    pair.here.closed().await;
    let error = call_bytes(&pair.here, "/work/now", "x").await.unwrap_err();
    assert!(error.to_string().contains("the other end is going away"));
    assert!(error.is_closed() && error.may_retry());
    let error = pair.here.push("/work/now", "x").await.unwrap_err();
    assert!(error.is_closed() && error.may_retry());
    pair.server.closed().await;
}

#[tokio::test]
async fn what_runs_is_finished_on_both_sides() {
    let (pair, work) = working().await;
    let calls = [
        spawn_call(&pair.here, "/work/held"),
        spawn_call(&pair.there, "/work/held"),
        spawn_call(&pair.here, "/work/back"),
    ];
    settle().await;
    let shutdown = spawn_shutdown(&pair.server, LONG);
    settle().await;
    assert!(!shutdown.is_finished());
    // The client makes no more calls here, and still answers those of handlers.
    let error = call_bytes(&pair.here, "/work/now", "x").await.unwrap_err();
    assert!(error.is_closed() && error.may_retry(), "{error:?}");
    work.permits.add_permits(3);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "body");
    }
    let report = shutdown.await.unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!((report.handlers_finished, report.calls_finished), (2, 2));
    pair.here.closed().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_understand_is_served_until_nothing_moves_for_a_while() {
    let server = Peer::builder().build().unwrap();
    server.route_call(Work::new()).unwrap();
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    let began = Instant::now();
    let shutdown = spawn_shutdown(&server, LONG);
    assert_eq!(notice(&mut stream).await, "going-away");
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(80)).await;
        let call = RawFrame::call("a", "/work/now", "1").bytes();
        stream.write_all(&call).await.unwrap();
        let reply = read_frame(&mut stream).await.unwrap().unwrap();
        assert_eq!(
            (reply.seq.as_str(), reply.body.as_slice()),
            ("a", &b"1"[..])
        );
    }
    assert_eq!(notice(&mut stream).await, "gone");
    assert_eq!(read_frame(&mut stream).await.unwrap(), None);
    let report = shutdown.await.unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.handlers_finished, 5);
    let took = began.elapsed().as_millis();
    assert!((500..600).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn who_never_stops_calling_is_refused_after_a_second_and_told_that_nothing_was_run() {
    let server = Peer::builder().build().unwrap();
    let work = Work::new();
    server.route_call(work.clone()).unwrap();
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    let held = RawFrame::call("held", "/work/held", "1").bytes();
    stream.write_all(&held).await.unwrap();
    let shutdown = spawn_shutdown(&server, LONG);
    assert_eq!(notice(&mut stream).await, "going-away");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let late = RawFrame::call("late", "/work/now", "1").bytes();
    stream.write_all(&late).await.unwrap();
    let refused = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(refused.seq, "late");
    assert!(refused.error().contains("503"), "{refused:?}");
    assert_eq!(refused.meta_value(meta::NOT_RUN).as_deref(), Some("true"));
    work.permits.add_permits(1);
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(reply.seq, "held");
    assert_eq!(notice(&mut stream).await, "gone");
    let report = shutdown.await.unwrap();
    assert_eq!((report.handlers_finished, report.calls_refused), (1, 1));
    assert!(report.is_complete(), "{report}");
}

#[tokio::test]
async fn calls_without_a_reply_may_be_made_again_when_the_other_end_says_it_is_gone() {
    let client = Peer::builder().build().unwrap();
    let (session, mut stream) = bare(&client, 1 << 16).await;
    let calls = [spawn_call(&session, "/a"), spawn_call(&session, "/b")];
    settle().await;
    let first = read_frame(&mut stream).await.unwrap().unwrap();
    let mut bytes = RawFrame::reply(&first.seq, "done").bytes();
    bytes.extend(RawFrame::reply("~notice", "").meta("X-Notice=gone").bytes());
    stream.write_all(&bytes).await.unwrap();
    let [done, not_run] = calls;
    assert_eq!(done.await.unwrap().unwrap(), "done");
    let error = not_run.await.unwrap().unwrap_err();
    assert!(error.is_closed() && error.may_retry(), "{error:?}");
    assert!(
        error.to_string().contains("did not run the call"),
        "{error}"
    );
    session.closed().await;
}

#[tokio::test]
async fn a_lost_connection_says_nothing_of_the_kind() {
    let client = Peer::builder().build().unwrap();
    let (session, stream) = bare(&client, 1 << 16).await;
    let call = spawn_call(&session, "/a");
    settle().await;
    drop(stream);
    let error = call.await.unwrap().unwrap_err();
    assert!(error.is_closed() && !error.may_retry(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_is_cut_off_at_the_deadline() {
    let (pair, work) = working().await;
    let call = spawn_call(&pair.here, "/work/held");
    let own = spawn_call(&pair.there, "/work/held");
    settle().await;
    let deadline = Duration::from_secs(5);
    let report = pair.server.shutdown(deadline).await;
    assert!(!report.is_complete());
    assert_eq!((report.handlers_cut, report.handlers_finished), (1, 0));
    assert_eq!((report.calls_cut, report.calls_finished), (1, 0));
    assert_eq!(report.sessions_cut, 1);
    assert!(!report.was_hurried);
    let took = report.elapsed.as_millis();
    assert!((5000..5010).contains(&took), "{took} ms");
    let text = report.to_string();
    assert!(text.contains("handlers 0 finished, 1 cut off"), "{text}");
    assert!(text.contains("1 sessions cut off"), "{text}");
    for call in [call, own] {
        let error = call.await.unwrap().unwrap_err();
        assert!(error.is_closed() && !error.may_retry(), "{error:?}");
    }
    drop(work);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_reads_nothing_is_cut_off_at_the_deadline() {
    let server = Peer::builder().build().unwrap();
    let (session, _stream) = bare(&server, 10).await;
    session.push("/x", vec![0_u8; 1000]).await.unwrap();
    let deadline = Duration::from_secs(3);
    let report = server.shutdown(deadline).await;
    let took = report.elapsed.as_millis();
    assert!((3000..3010).contains(&took), "{took} ms");
    assert!(report.bytes_unsent > 900, "{report}");
    assert_eq!(report.sessions_cut, 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_cuts_everything_off_at_once() {
    let (pair, _work) = working().await;
    let call = spawn_call(&pair.here, "/work/held");
    settle().await;
    let first = spawn_shutdown(&pair.server, LONG);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let report = pair.server.shutdown(LONG).await;
    assert!(report.was_hurried);
    assert_eq!(report.handlers_cut, 1);
    let took = report.elapsed.as_millis();
    assert!((2000..2010).contains(&took), "{took} ms");
    assert!(report.to_string().ends_with("; it was hurried"), "{report}");
    assert_eq!(first.await.unwrap(), report);
    assert!(call.await.unwrap().unwrap_err().is_closed());
    // And one that comes after the end has nothing to do.
    assert_eq!(pair.server.shutdown(LONG).await, report);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_zero_cuts_everything_off_at_once() {
    let (pair, _work) = working().await;
    let call = spawn_call(&pair.here, "/work/held");
    settle().await;
    let report = pair.server.shutdown(Duration::ZERO).await;
    assert!(report.elapsed < Duration::from_millis(10), "{report}");
    assert!(call.await.unwrap().unwrap_err().is_closed());
}

#[tokio::test]
async fn a_deadline_beyond_all_clocks_is_none() {
    let (pair, _work) = working().await;
    let report = pair.server.shutdown(Duration::MAX).await;
    assert!(report.is_complete(), "{report}");
}

/// Hooks that wait for ever, before and after the life of a session.
struct Hangs {
    accept: bool,
    disconnect: bool,
}

#[plugin]
impl Plugin for Hangs {
    fn name(&self) -> &str {
        "hangs"
    }

    async fn post_accept(&self, _session: &mut PreSession) -> Result<(), Rerror> {
        if self.accept {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn post_disconnect(&self, _session: &Session) -> Result<(), Rerror> {
        if self.disconnect {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_that_hang_are_cut_off_soon_after_the_deadline() {
    let hangs = Hangs {
        accept: false,
        disconnect: true,
    };
    let pair = Pair::of(Peer::builder().plugin(hangs), Peer::builder()).await;
    let report = pair.server.shutdown(Duration::from_secs(2)).await;
    assert_eq!(report.hooks_cut, 1, "{report}");
    assert!(!report.is_complete());
    let took = report.elapsed.as_millis();
    assert!((2000..2500).contains(&took), "{took} ms");
    // Whoever waits for the peer is not left waiting either.
    pair.server.closed().await;
    pair.server.close().await;
    assert!(pair.server.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_is_soon_given_up() {
    let hangs = Hangs {
        accept: true,
        disconnect: false,
    };
    let server = Peer::builder()
        .plugin(hangs)
        .handshake_timeout(Duration::from_secs(3600))
        .build()
        .unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(address.socket_addr().unwrap())
        .await
        .unwrap();
    settle().await;
    let report = server.shutdown(LONG).await;
    // A second more, for it to close its side too.
    assert!(report.elapsed < Duration::from_millis(2100), "{report}");
    assert!(report.is_complete(), "{report}");
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_connection_that_came_before_is_told_and_served_not_turned_away() {
    let server = Peer::builder().build().unwrap();
    let work = Work::new();
    server.route_call(work.clone()).unwrap();
    let client = Peer::builder().build().unwrap();
    let (_, here) = connect(&server, &client).await;
    let held = spawn_call(&here, "/work/held");
    settle().await;
    let shutdown = spawn_shutdown(&server, LONG);
    settle().await;
    let (near, mut stream) = tokio::io::duplex(1 << 16);
    server.serve_conn(near).await.unwrap();
    assert_eq!(notice(&mut stream).await, "going-away");
    let call = RawFrame::call("a", "/work/now", "1").bytes();
    stream.write_all(&call).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(reply.body, b"1");
    drop(stream);
    work.permits.add_permits(1);
    assert_eq!(held.await.unwrap().unwrap(), "body");
    let report = shutdown.await.unwrap();
    assert_eq!((report.sessions, report.handlers_finished), (2, 2));
    assert!(server.serve_conn(tokio::io::duplex(1).0).await.is_err());
}

#[tokio::test]
async fn listening_ends_with_the_shutdown_and_not_before() {
    let server = Peer::builder()
        .listen_port(0)
        .local_ip([127, 0, 0, 1].into());
    let server = server.build().unwrap();
    let work = Work::new();
    server.route_call(work.clone()).unwrap();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.listen_and_serve().await }
    });
    let client = Peer::builder().build().unwrap();
    let (_, here) = connect(&server, &client).await;
    let held = spawn_call(&here, "/work/held");
    settle().await;
    let shutdown = spawn_shutdown(&server, LONG);
    settle().await;
    assert!(!serving.is_finished());
    work.permits.add_permits(1);
    assert_eq!(held.await.unwrap().unwrap(), "body");
    serving.await.unwrap().unwrap();
    assert!(shutdown.await.unwrap().is_complete());
}

#[tokio::test]
async fn a_client_that_shuts_down_gets_its_replies_first() {
    let (pair, work) = working().await;
    let call = spawn_call(&pair.here, "/work/held");
    settle().await;
    let shutdown = spawn_shutdown(&pair.client, LONG);
    settle().await;
    let error = call_bytes(&pair.there, "/work/now", "x").await.unwrap_err();
    assert!(error.may_retry(), "{error:?}");
    work.permits.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap(), "body");
    assert!(shutdown.await.unwrap().is_complete());
    pair.there.closed().await;
    pair.server.shutdown(LONG).await;
}

#[tokio::test]
async fn both_ends_may_shut_down_at_once() {
    let (pair, work) = working().await;
    let calls = [
        spawn_call(&pair.here, "/work/held"),
        spawn_call(&pair.there, "/work/held"),
    ];
    settle().await;
    let shutdowns = [&pair.server, &pair.client].map(|peer| spawn_shutdown(peer, LONG));
    settle().await;
    work.permits.add_permits(2);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "body");
    }
    for shutdown in shutdowns {
        let report = shutdown.await.unwrap();
        assert!(report.is_complete(), "{report}");
        assert_eq!((report.handlers_finished, report.calls_finished), (1, 1));
    }
}

/// A little generator, so that each run tries the same moments.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Handlers that take the time that they are told, and say which of them began and ended.
#[derive(Clone, Default)]
struct Timed {
    begun: Arc<std::sync::Mutex<Vec<u64>>>,
    ended: Arc<AtomicUsize>,
}

#[controller]
impl Timed {
    async fn take(&self, arg: (u64, u64)) -> u64 {
        let (id, time) = arg;
        self.begun.lock().unwrap().push(id);
        for _ in 0..time % 4 {
            tokio::task::yield_now().await;
        }
        if time >= 4 {
            tokio::time::sleep(Duration::from_millis(time)).await;
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        id
    }
}

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    NotRun,
    Cut,
}

fn fate(result: Result<u64, teleport::Error>) -> Fate {
    match result {
        Ok(_) => Fate::Answered,
        Err(error) if error.is_closed() && error.may_retry() => Fate::NotRun,
        Err(error) if error.is_closed() => Fate::Cut,
        Err(error) => {
            let code = error.rerror().map(Rerror::code);
            assert_eq!(code, Some(code::SERVICE_UNAVAILABLE), "{error:?}");
            Fate::NotRun
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_has_one_fate_whenever_the_shutdown_comes() {
    let (mut answered, mut not_run, mut cut) = (0, 0, 0);
    for seed in 1..=400 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let pair = Pair::new().await;
        let timed = Timed::default();
        pair.server.route_call(timed.clone()).unwrap();
        let calls: Vec<_> = (0..20)
            .map(|id| {
                let (here, time, wait) = (pair.here.clone(), dice.below(60), dice.below(120));
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(wait / 2)).await;
                    here.call("/timed/take", &(id, time)).await
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(dice.below(70))).await;
        for _ in 0..dice.below(60) {
            tokio::task::yield_now().await;
        }
        let generous = dice.below(2) == 0;
        let deadline = match generous {
            true => LONG,
            false => Duration::from_millis(dice.below(40)),
        };
        let report = pair.server.shutdown(deadline).await;
        let (begun, ended) = (
            timed.begun.lock().unwrap().clone(),
            timed.ended.load(Ordering::SeqCst),
        );
        assert_eq!(report.handlers_cut, begun.len() - ended, "{seed}: {report}");
        if generous {
            assert!(report.is_complete(), "{seed}: {report}");
        }
        for (id, call) in calls.into_iter().enumerate() {
            let fate = fate(call.await.unwrap());
            let was_begun = begun.contains(&(id as u64));
            match fate {
                Fate::Answered => answered += 1,
                Fate::NotRun => not_run += 1,
                Fate::Cut => cut += 1,
            }
            match fate {
                Fate::Answered => assert!(was_begun),
                Fate::NotRun => assert!(!was_begun, "{seed}: call {id} was run"),
                Fate::Cut => assert!(!generous, "{seed}: call {id} was cut off"),
            }
        }
    }
    println!("{answered} calls answered, {not_run} not run, {cut} cut off");
    assert!(answered > 1000 && not_run > 1000 && cut > 100);
}

#[tokio::test(start_paused = true)]
async fn a_session_at_its_last_writes_is_accounted_for_too() {
    let server = Peer::builder().build().unwrap();
    let (session, mut stream) = bare(&server, 10).await;
    session.push("/x", vec![0_u8; 1000]).await.unwrap();
    // The other end is done with its side, and reads nothing.
    stream.shutdown().await.unwrap();
    settle().await;
    let report = server.shutdown(Duration::from_secs(1)).await;
    assert_eq!((report.sessions, report.sessions_cut), (1, 1), "{report}");
    assert!(report.bytes_unsent > 900, "{report}");
}
