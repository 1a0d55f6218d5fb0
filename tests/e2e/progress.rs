//! Nobody holds up anybody else: slow handlers, waiting hooks, busy sessions, full queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use teleport::{Error, Peer, PeerBuilder, Plugin, ReadCtx, Rerror, Session, controller, plugin};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{Pair, bare, call_bytes, connect_with_room, until};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

#[derive(Clone, Default)]
struct Gate(Arc<Notify>);

struct Work {
    gate: Gate,
    done: Arc<AtomicUsize>,
}

#[controller]
impl Work {
    async fn fast(&self, arg: Bytes) -> Bytes {
        self.done.fetch_add(1, Ordering::Relaxed);
        arg
    }

    async fn slow(&self, arg: Bytes) -> Bytes {
        self.gate.0.notified().await;
        arg
    }

    async fn yields(&self, arg: Bytes) -> Bytes {
        for _ in 0..arg.len() % 4 {
            tokio::task::yield_now().await;
        }
        arg
    }

    /// Blocks its thread until somebody calls `open`.
    #[route(blocking)]
    fn blocks(&self, arg: Bytes) -> Bytes {
        while self.done.load(Ordering::Acquire) == 0 {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        arg
    }

    #[route(spawn)]
    async fn apart(&self, arg: Bytes) -> Bytes {
        self.gate.0.notified().await;
        arg
    }
}

#[derive(Default)]
struct Parts {
    gate: Gate,
    done: Arc<AtomicUsize>,
}

impl Parts {
    fn work(&self) -> Work {
        Work {
            gate: self.gate.clone(),
            done: self.done.clone(),
        }
    }
}

/// Calls `/work/{slow}` and then `/work/fast` in one write, and sees the second answered first.
async fn is_overtaken(server: &Peer, slow: &str, release: impl FnOnce()) {
    let (_session, mut stream) = bare(server, 1 << 16).await;
    let mut bytes = RawFrame::call("slow", slow, "1").bytes();
    bytes.extend(RawFrame::call("fast", "/work/fast", "2").bytes());
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().seq, "fast");
    release();
    let late = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!((late.seq.as_str(), &late.body[..]), ("slow", &b"1"[..]));
}

#[tokio::test]
async fn a_slow_handler_is_overtaken() {
    let parts = Parts::default();
    let server = Peer::builder().build().unwrap();
    server.route_call(parts.work()).unwrap();
    is_overtaken(&server, "/work/slow", || parts.gate.0.notify_one()).await;
    is_overtaken(&server, "/work/apart", || parts.gate.0.notify_one()).await;
}

#[tokio::test]
async fn a_handler_that_blocks_is_overtaken() {
    let parts = Parts::default();
    let server = Peer::builder().build().unwrap();
    server.route_call(parts.work()).unwrap();
    // The fast call is what lets it go on: on one thread, this ends only if nothing is blocked.
    is_overtaken(&server, "/work/blocks", || {}).await;
}

struct Waits(Gate);

#[plugin]
impl Plugin for Waits {
    fn name(&self) -> &str {
        "waits"
    }

    async fn post_read_call_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        if ctx.query("wait").is_some() {
            self.0.0.notified().await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_waiting_hook_is_overtaken() {
    let parts = Parts::default();
    let gate = parts.gate.clone();
    let server = Peer::builder().plugin(Waits(gate.clone())).build().unwrap();
    server.route_call(parts.work()).unwrap();
    is_overtaken(&server, "/work/fast?wait=1", || gate.0.notify_one()).await;
}

#[tokio::test]
async fn a_busy_session_starves_no_other() {
    const FLOOD: usize = 20_000;
    let parts = Parts::default();
    let server = Peer::builder().build().unwrap();
    server.route_call(parts.work()).unwrap();
    let (_busy, mut flood) = bare(&server, 16 << 20).await;
    let (_lone, mut lone) = bare(&server, 1 << 16).await;
    let mut bytes = Vec::new();
    for _ in 0..FLOOD {
        bytes.extend(RawFrame::call("", "/work/fast", "").bytes());
    }
    // Both are there before the server's tasks run at all.
    flood.write_all(&bytes).await.unwrap();
    lone.write_all(&RawFrame::call("x", "/work/slow", "").bytes())
        .await
        .unwrap();
    parts.gate.0.notify_one();
    assert_eq!(read_frame(&mut lone).await.unwrap().unwrap().seq, "x");
    let done = parts.done.load(Ordering::Relaxed);
    println!("{done} of {FLOOD} calls were done when the lone one was");
    assert!(done < FLOOD / 2, "{done} of {FLOOD} calls came first");
}

fn tiny() -> PeerBuilder {
    Peer::builder()
        .queue_limit(1024)
        .reply_queue_limit(1024)
        .max_running_handlers(4)
        .stall_timeout(Duration::from_secs(30))
}

/// Calls until the other side has room for the call.
async fn persistently(session: &Session, uri: &str, body: &str) -> Result<Bytes, Error> {
    loop {
        match call_bytes(session, uri, body.to_owned()).await {
            Err(error) if error.may_retry() => tokio::task::yield_now().await,
            result => return result,
        }
    }
}

async fn flood(uri: &'static str, room: usize, body: usize) {
    let (one, two) = (tiny().build().unwrap(), tiny().build().unwrap());
    let parts = Parts::default();
    one.route_call(parts.work()).unwrap();
    two.route_call(parts.work()).unwrap();
    let (near, far) = connect_with_room(&one, &two, room).await;
    let mut callers = Vec::new();
    for (side, session) in [("one", &near), ("two", &far)] {
        for caller in 0..15 {
            let session = session.clone();
            callers.push(tokio::spawn(async move {
                for round in 0..6 {
                    let text = format!("{side} {caller} {round} {:>1$}", "", body + caller);
                    let echoed = persistently(&session, uri, &text).await.unwrap();
                    assert!(echoed == text, "{text:?} came back as {echoed:?}");
                }
            }));
        }
    }
    for caller in callers {
        caller.await.unwrap();
    }
    for session in [&near, &far] {
        assert_eq!(session.calls_in_flight(), 0);
        assert!(session.health(), "{:?}", session.close_reason());
        // On another thread the writer may not have noted yet what was read here already.
        until("all is written", || session.queued_bytes() == 0).await;
    }
}

/// The clock is paused: were everybody to wait, it would jump, and the stall be noticed.
#[tokio::test(start_paused = true)]
async fn peers_with_tiny_bounds_flood_each_other_to_the_end() {
    for uri in ["/work/fast", "/work/yields"] {
        for (room, body) in [(64, 10), (300, 700), (1 << 16, 100)] {
            flood(uri, room, body).await;
        }
    }
}

/// Several threads, so that whoever forgets to wake somebody is found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn peers_with_tiny_bounds_flood_each_other_on_several_threads() {
    let floods = async {
        for (room, body) in [(64, 10), (300, 700), (1 << 16, 100)] {
            flood("/work/yields", room, body).await;
        }
    };
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, floods)
        .await
        .expect("nobody waits for ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_several_threads_all_get_their_replies_by_tcp() {
    let parts = Parts::default();
    let (one, two) = (
        Peer::builder().build().unwrap(),
        Peer::builder().build().unwrap(),
    );
    one.route_call(parts.work()).unwrap();
    two.route_call(parts.work()).unwrap();
    let address = one.listen_on("127.0.0.1:0").await.unwrap().to_string();
    let far = two.dial(&address).await.unwrap();
    let near = loop {
        match one.sessions().get(&far.id()) {
            Some(near) => break near,
            None => tokio::task::yield_now().await,
        }
    };
    let mut callers = Vec::new();
    for caller in 0..64_usize {
        let session = [&near, &far][caller % 2].clone();
        let uri = ["/work/fast", "/work/yields"][caller / 2 % 2];
        callers.push(tokio::spawn(async move {
            for round in 0..100 {
                let text = format!("{caller} {round} {:>1$}", "", round % 7);
                let call = call_bytes(&session, uri, text.clone());
                let limit = Duration::from_secs(60);
                let echoed = tokio::time::timeout(limit, call).await;
                assert_eq!(echoed.expect("nobody waits for ever").unwrap(), text);
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
}

/// A handler that calls back while its own side is at the bound.
struct Back;

#[controller]
impl Back {
    async fn and_forth(&self, ctx: &mut teleport::CallCtx, depth: u32) -> Result<u32, Error> {
        if depth == 0 {
            return Ok(0);
        }
        let session = ctx.session().clone();
        let below: u32 = session.call("/back/and/forth", depth - 1).await?;
        Ok(below + 1)
    }
}

#[tokio::test]
async fn handlers_call_back_and_forth_within_the_bounds() {
    let pair = Pair::of(
        tiny().max_running_handlers(12),
        tiny().max_running_handlers(12),
    )
    .await;
    pair.server.route_call(Back).unwrap();
    pair.client.route_call(Back).unwrap();
    let depth: u32 = pair.here.call("/back/and/forth", 20_u32).await.unwrap();
    assert_eq!(depth, 20);
}

/// Runs something on a clock that only goes on while nothing else does, and fails when it does not
/// come to its end: a session that is never at rest keeps such a clock from going on.
fn comes_to_rest(work: impl Future<Output = ()> + Send + 'static) {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(work);
        done.send(()).unwrap();
    });
    let ended = ended.recv_timeout(Duration::from_secs(60));
    assert!(
        ended.is_ok(),
        "a session is never at rest, or the test panicked"
    );
}

#[test]
fn a_connection_that_takes_no_more_bytes_is_at_rest_while_its_handlers_wait() {
    comes_to_rest(async {
        let parts = Parts::default();
        let server = Peer::builder().build().unwrap();
        server.route_call(parts.work()).unwrap();
        let (session, mut stream) = bare(&server, 64 * 1024).await;
        let mut calls = RawFrame::call("A", "/work/slow", "x").bytes();
        calls.extend(RawFrame::call("B", "/work/fast", "x").bytes());
        stream.write_all(&calls).await.unwrap();
        drop(stream);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!session.health());
        parts.gate.0.notify_one();
        session.closed().await;
    });
}
