//! Calls that are given up: how the other peer is told, and what it does then.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use teleport::{
    CallCtx, ErrorKind, OnCancel, Peer, PeerBuilder, Plugin, ReadCtx, Rerror, Session, controller,
    plugin,
};
use teleport_tests::frames::{REPLY, RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, bare, connect, poll_once, settle};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep};

/// How many handlers were begun, told, dropped or done.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 3]>);

const BEGUN: usize = 0;
const TOLD: usize = 1;
const OVER: usize = 2;

impl Counts {
    fn add(&self, what: usize) {
        self.0[what].fetch_add(1, Ordering::SeqCst);
    }

    fn of(&self, what: usize) -> usize {
        self.0[what].load(Ordering::SeqCst)
    }

    fn all(&self) -> [usize; 3] {
        [BEGUN, TOLD, OVER].map(|what| self.of(what))
    }
}

struct Over(Counts);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.add(OVER);
    }
}

struct Held(Counts, Arc<Semaphore>);

impl Held {
    async fn hold(&self) -> u32 {
        self.0.add(BEGUN);
        let _over = Over(self.0.clone());
        self.1.acquire().await.unwrap().forget();
        7
    }
}

#[controller]
impl Held {
    #[route(on_cancel = "abort")]
    async fn abort(&self) -> u32 {
        self.hold().await
    }

    #[route(on_cancel = "abort", spawn)]
    async fn spawned(&self) -> u32 {
        self.hold().await
    }

    async fn notify(&self, ctx: &CallCtx) -> u32 {
        let (cancelled, counts) = (ctx.cancelled(), self.0.clone());
        tokio::spawn(async move {
            cancelled.await;
            counts.add(TOLD);
        });
        self.hold().await
    }

    #[route(on_cancel = "finish")]
    async fn finish(&self, ctx: &CallCtx) -> u32 {
        let (cancelled, counts) = (ctx.cancelled(), self.0.clone());
        tokio::spawn(async move {
            cancelled.await;
            counts.add(TOLD);
        });
        self.hold().await
    }

    async fn now(&self, arg: u64) -> u64 {
        arg
    }
}

struct Held3 {
    pair: Pair,
    counts: Counts,
    permits: Arc<Semaphore>,
}

async fn held_of(server: PeerBuilder, client: PeerBuilder) -> Held3 {
    let pair = Pair::of(server, client).await;
    let (counts, permits) = (Counts::default(), Arc::new(Semaphore::new(0)));
    let held = Held(counts.clone(), permits.clone());
    pair.server.route_call(held).unwrap();
    Held3 {
        pair,
        counts,
        permits,
    }
}

async fn held() -> Held3 {
    held_of(Peer::builder(), Peer::builder().propagate(true)).await
}

/// Polls a call so many times, with turns for others between, and drops it.
async fn drop_after(session: &Session, uri: &str, polls: usize) {
    let mut call = session.call::<u32>(uri, ()).into_future();
    for _ in 0..polls {
        if let Poll::Ready(reply) = poll_once(&mut call) {
            panic!("{uri} was answered: {reply:?}");
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_dropped_at_any_poll_stops_its_handler() {
    for uri in ["/held/abort", "/held/spawned"] {
        for polls in 0..12 {
            let held = held().await;
            drop_after(&held.pair.here, uri, polls).await;
            settle().await;
            let begun = held.counts.of(BEGUN);
            assert!(
                begun == usize::from(polls > 0) || uri == "/held/spawned",
                "{uri} {polls}"
            );
            assert_eq!(
                held.counts.all(),
                [begun, 0, begun],
                "{uri} after {polls} polls"
            );
            assert_eq!(
                held.pair.there.running_handlers(),
                0,
                "{uri} after {polls} polls"
            );
            let echoed: u64 = held.pair.here.call("/held/now", 5).await.unwrap();
            assert_eq!(echoed, 5);
        }
    }
}

#[tokio::test]
async fn every_choice_is_kept() {
    for (uri, due_told, due_over) in [
        ("/held/abort", 0, 1),
        ("/held/notify", 1, 0),
        ("/held/finish", 0, 0),
    ] {
        let held = held().await;
        drop_after(&held.pair.here, uri, 2).await;
        settle().await;
        assert_eq!(held.counts.all(), [1, due_told, due_over], "{uri}");
        // Whoever goes on counts until it ends, and its result goes nowhere.
        assert_eq!(held.pair.there.running_handlers(), 1 - due_over, "{uri}");
        held.permits.add_permits(1);
        settle().await;
        assert_eq!(held.counts.all(), [1, due_told, 1], "{uri}");
        assert_eq!(held.pair.there.running_handlers(), 0, "{uri}");
    }
    let held = held_of(
        Peer::builder().on_cancel(OnCancel::Abort),
        Peer::builder().propagate(true),
    )
    .await;
    drop_after(&held.pair.here, "/held/notify", 2).await;
    settle().await;
    assert_eq!(
        held.counts.of(OVER),
        1,
        "the peer's choice, where the route has none"
    );
}

#[tokio::test(start_paused = true)]
async fn every_way_to_give_up_tells_the_other_peer_once() {
    let held = held().await;
    let here = &held.pair.here;
    let call = || here.call::<u32>("/held/abort", ()).send();

    drop(call().await.unwrap());
    settle().await;
    assert_eq!(held.counts.of(OVER), 1, "a command that is dropped");

    let command = call().await.unwrap();
    let canceller = command.canceller();
    canceller.cancel();
    canceller.cancel();
    settle().await;
    assert_eq!(
        held.counts.of(OVER),
        2,
        "a call that is cancelled from elsewhere"
    );
    assert_eq!(command.await.unwrap_err().kind(), ErrorKind::Cancelled);

    let late = here
        .call::<u32>("/held/abort", ())
        .timeout(Duration::from_secs(1));
    let error = late.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    settle().await;
    assert_eq!(held.counts.of(OVER), 3, "a call that is out of time");

    let reply = call().await.unwrap().reply();
    drop(reply);
    settle().await;
    assert_eq!(held.counts.of(OVER), 4, "a reply that is not waited for");

    held.permits.add_permits(1);
    assert_eq!(call().await.unwrap().await.unwrap(), 7);
    settle().await;
    assert_eq!(held.counts.all(), [5, 0, 5]);
    assert_eq!(here.calls_in_flight(), 0);
}

/// The frames that a peer sends for one call of each kind of ending.
async fn frames_of(client: PeerBuilder) -> Vec<RawFrame> {
    let (session, mut server) = bare(&client.build().unwrap(), 1 << 16).await;
    drop_after(&session, "/a", 2).await;
    let command = session.call::<u32>("/b", ()).send().await.unwrap();
    command.canceller().cancel();
    drop(command);
    let late = session
        .call::<u32>("/c", ())
        .timeout(Duration::from_millis(1500));
    late.await.unwrap_err();
    // One that is answered is not given up, though nobody takes the answer.
    let command = session.call::<u32>("/d", ()).seq("d").send().await.unwrap();
    server
        .write_all(&RawFrame::reply("d", "1").bytes())
        .await
        .unwrap();
    settle().await;
    drop(command);
    session.close().await;
    let mut frames = Vec::new();
    while let Some(frame) = read_frame(&mut server).await.unwrap() {
        frames.push(frame);
    }
    frames
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_propagate_sends_what_the_original_sends() {
    let frames = frames_of(Peer::builder()).await;
    let uris: Vec<_> = frames.iter().map(|frame| frame.uri.as_str()).collect();
    assert_eq!(uris, ["/a", "/b", "/c", "/d"]);
    assert!(
        frames.iter().all(|frame| frame.meta.is_empty()),
        "{frames:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_propagates_says_what_is_left_and_who_is_given_up() {
    let frames = frames_of(Peer::builder().propagate(true)).await;
    let told: Vec<_> = frames
        .iter()
        .map(|frame| {
            if frame.mtype == REPLY {
                assert_eq!((frame.codec, frame.body.len()), (0, 0));
            }
            format!("{} {} {}", frame.seq, frame.uri, frame.meta)
        })
        .collect();
    assert_eq!(
        told,
        [
            "A /a X-Remaining-Ms",
            "~notice  X-Notice=cancel&X-Notice-Seq=A",
            "B /b X-Remaining-Ms",
            "~notice  X-Notice=cancel&X-Notice-Seq=B",
            "C /c X-Remaining-Ms=1500",
            "~notice  X-Notice=cancel&X-Notice-Seq=C",
            "d /d X-Remaining-Ms",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn plugins_and_log_lines_change_nothing_about_it() {
    struct Sees;

    #[plugin]
    impl Plugin for Sees {
        fn name(&self) -> &str {
            "sees"
        }

        async fn pre_write_call(&self, ctx: &mut teleport::WriteCtx) -> Result<(), Rerror> {
            ctx.header_mut().meta.add("k", "v");
            sleep(Duration::from_millis(300)).await;
            Ok(())
        }
    }

    let (_logs, _guard) = capture(true);
    let frames = frames_of(Peer::builder().propagate(true).plugin(Sees)).await;
    let metas: Vec<_> = frames.iter().map(|frame| frame.meta.as_str()).collect();
    // What the plugin took is not left.
    let due = "k=v&X-Remaining-Ms=1200";
    assert!(metas.contains(&due), "{metas:?}");
}

fn notice(of: &str) -> Vec<u8> {
    let meta = format!("X-Notice=cancel&X-Notice-Seq={of}");
    RawFrame::reply("~notice", "").codec(0).meta(&meta).bytes()
}

fn call(seq: &str, uri: &str) -> Vec<u8> {
    RawFrame::call(seq, uri, "1").meta("X-Remaining-Ms").bytes()
}

#[tokio::test]
async fn notices_about_nothing_that_waits_are_ignored() {
    let held = held().await;
    let (session, mut stream) = bare(&held.pair.server, 1 << 16).await;
    for seq in ["", "A", "never", "%00", "~notice"] {
        stream.write_all(&notice(seq)).await.unwrap();
    }
    // A handler that is done, then one that waits, told twice; then its sequence text again.
    stream.write_all(&call("A", "/held/now")).await.unwrap();
    stream.write_all(&notice("A")).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().body, b"1");
    for round in 1..=3 {
        stream.write_all(&call("A", "/held/abort")).await.unwrap();
        settle().await;
        assert_eq!(session.running_handlers(), 1);
        stream.write_all(&notice("B")).await.unwrap();
        stream.write_all(&notice("A")).await.unwrap();
        stream.write_all(&notice("A")).await.unwrap();
        settle().await;
        assert_eq!(held.counts.all(), [round, 0, round]);
        assert_eq!(session.running_handlers(), 0);
    }
    // A caller that did not say that it would has nothing to say.
    let plain = RawFrame::call("A", "/held/abort", "").bytes();
    stream.write_all(&plain).await.unwrap();
    stream.write_all(&notice("A")).await.unwrap();
    settle().await;
    assert_eq!(session.running_handlers(), 1);
    held.permits.add_permits(1);
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().body, b"7");
    assert!(session.health());
}

#[tokio::test]
async fn a_handler_that_is_not_begun_is_not_begun_any_more() {
    struct Gate(Arc<Semaphore>, &'static str);

    impl Gate {
        async fn at(&self, hook: &str) -> Result<(), Rerror> {
            if hook == self.1 {
                self.0.acquire().await.unwrap().forget();
            }
            Ok(())
        }
    }

    #[plugin]
    impl Plugin for Gate {
        fn name(&self) -> &str {
            "gate"
        }

        async fn post_read_call_header(&self, _: &mut ReadCtx) -> Result<(), Rerror> {
            self.at("header").await
        }

        async fn post_read_call_body(&self, _: &mut ReadCtx) -> Result<(), Rerror> {
            self.at("body").await
        }
    }

    for hook in ["header", "body"] {
        for uri in ["/held/abort", "/held/notify", "/held/finish"] {
            let gate = Arc::new(Semaphore::new(0));
            let server = Peer::builder().plugin(Gate(gate.clone(), hook));
            let held = held_of(server, Peer::builder()).await;
            let (session, mut stream) = bare(&held.pair.server, 1 << 16).await;
            stream.write_all(&call("A", uri)).await.unwrap();
            stream.write_all(&notice("A")).await.unwrap();
            settle().await;
            assert_eq!(session.running_handlers(), 0, "{hook} {uri}");
            gate.add_permits(1);
            settle().await;
            assert_eq!(held.counts.all(), [0, 0, 0], "{hook} {uri}");
        }
    }
}

#[tokio::test]
async fn the_log_says_that_the_call_was_cancelled_and_what_ended_later() {
    let (logs, _guard) = capture(true);
    let held = held().await;
    drop_after(&held.pair.here, "/held/notify", 4).await;
    settle().await;
    let lines = logs.access();
    let line = lines.iter().find(|line| line.text.contains("CALL-HANDLE"));
    assert!(line.unwrap().text.contains("Cancelled"), "{lines:?}");
    held.permits.add_permits(1);
    settle().await;
    assert!(
        logs.has(&["its result is dropped", "/held/notify"]),
        "{:?}",
        logs.others()
    );
}

/// Calls the next peer, and waits.
struct Chain(Session, Counts);

#[controller]
impl Chain {
    #[route(on_cancel = "abort")]
    async fn on(&self) -> Result<u32, Rerror> {
        self.1.add(BEGUN);
        let _over = Over(self.1.clone());
        Ok(self.0.call("/chain/on", ()).await?)
    }
}

#[tokio::test]
async fn giving_up_cascades_from_peer_to_peer() {
    const PEERS: usize = 5;
    let counts = Counts::default();
    let builder = || Peer::builder().propagate(true);
    let last = builder().build().unwrap();
    last.route_call(Last(counts.clone())).unwrap();
    let mut next = last;
    let mut sessions = Vec::new();
    for _ in 1..PEERS {
        let peer = builder().build().unwrap();
        let (there, here) = connect(&next, &peer).await;
        sessions.push(there);
        peer.route_call(Chain(here, counts.clone())).unwrap();
        next = peer;
    }
    let client = builder().build().unwrap();
    let (there, here) = connect(&next, &client).await;
    sessions.push(there);
    let command = here.call::<u32>("/chain/on", ()).send().await.unwrap();
    settle().await;
    assert_eq!(counts.all(), [PEERS, 0, 0]);
    drop(command);
    settle().await;
    assert_eq!(counts.all(), [PEERS, 0, PEERS]);
    for session in sessions {
        assert_eq!((session.running_handlers(), session.health()), (0, true));
    }
}

struct Last(Counts);

#[controller(name = "Chain", on_cancel = "abort")]
impl Last {
    async fn on(&self) -> u32 {
        self.0.add(BEGUN);
        let _over = Over(self.0.clone());
        pending().await
    }
}

#[tokio::test]
async fn many_calls_that_are_given_up_at_once_leave_nothing_behind() {
    let held = held().await;
    let (here, there) = (&held.pair.here, &held.pair.there);
    // As many as are believed at once.
    for round in 1..=5 {
        let mut commands = Vec::new();
        for _ in 0..200 {
            commands.push(here.call::<u32>("/held/abort", ()).send().await.unwrap());
        }
        settle().await;
        assert_eq!(there.running_handlers(), 200);
        drop(commands);
        settle().await;
        assert_eq!(there.running_handlers(), 0, "round {round}");
    }
    assert_eq!(held.counts.all(), [1000, 0, 1000]);
    assert_eq!((here.calls_in_flight(), here.queued_bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_gives_up_on_too_many_calls_is_not_believed_for_a_while() {
    let (logs, _guard) = capture(false);
    let held = held().await;
    let (here, there) = (&held.pair.here, &held.pair.there);
    for _ in 0..1500 {
        drop(here.call::<u32>("/held/abort", ()).send().await.unwrap());
    }
    settle().await;
    assert_eq!(held.counts.all(), [1500, 0, 1000], "the others go on");
    assert_eq!(there.running_handlers(), 500);
    let warned = logs
        .all()
        .iter()
        .filter(|line| line.text.contains("too many calls"))
        .count();
    assert_eq!(warned, 1, "once");
    sleep(Duration::from_secs(1)).await;
    drop(here.call::<u32>("/held/abort", ()).send().await.unwrap());
    settle().await;
    assert_eq!(held.counts.all(), [1501, 0, 1001], "it is believed again");
    assert!(there.health());
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_calls_that_are_given_up_stays_within_bounds() {
    const CALLS: usize = 100_000;
    const MAX: usize = 64;
    struct Counted(Arc<AtomicUsize>, Arc<AtomicUsize>);

    #[controller(on_cancel = "abort", age = "5ms")]
    impl Counted {
        async fn hold(&self, _arg: Bytes) {
            struct Leaves(Arc<AtomicUsize>);
            impl Drop for Leaves {
                fn drop(&mut self) {
                    self.0.fetch_sub(1, Ordering::SeqCst);
                }
            }
            let now = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            let _leaves = Leaves(self.0.clone());
            self.1.fetch_max(now, Ordering::SeqCst);
            pending::<()>().await;
        }
    }

    let server = Peer::builder().max_running_handlers(MAX);
    let pair = Pair::of(server, Peer::builder().propagate(true)).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    pair.server
        .route_call(Counted(running.clone(), most.clone()))
        .unwrap();
    let body = vec![b' '; 100];
    let mut held = [0; 2];
    for n in 0..CALLS {
        let mut call = pair
            .here
            .call::<()>("/counted/hold", teleport::Raw(body.clone()))
            .into_future();
        // A call that has to wait for room is waited for until it is on its way.
        while poll_once(&mut call).is_pending() && pair.here.calls_in_flight() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        drop(call);
        if n % 64 == 0 {
            tokio::task::yield_now().await;
            let half = &mut held[n * 2 / CALLS];
            *half = (*half).max(pair.here.held_bytes() + pair.there.held_bytes());
        }
    }
    sleep(Duration::from_secs(60)).await;
    assert!(most.load(Ordering::SeqCst) <= MAX, "{most:?}");
    assert_eq!(running.load(Ordering::SeqCst), 0);
    assert_eq!(pair.there.running_handlers(), 0);
    assert_eq!(
        (pair.here.calls_in_flight(), pair.here.queued_bytes()),
        (0, 0)
    );
    assert!(pair.there.health() && pair.here.health());
    // The queue has a bound of 4 MiB, and grows by doubling; what it holds grows no more.
    assert!(
        held[0] <= 12 * 1024 * 1024 && held[1] <= held[0],
        "{held:?}"
    );
    let settled = pair.here.held_bytes() + pair.there.held_bytes();
    assert!(settled <= 16 * 1024, "{settled}");
}

#[tokio::test]
async fn a_session_that_closes_while_calls_are_given_up_closes() {
    let held = held().await;
    let (here, there) = (held.pair.here.clone(), held.pair.there.clone());
    let commands: Vec<_> = {
        let mut commands = Vec::new();
        for _ in 0..10 {
            commands.push(here.call::<u32>("/held/abort", ()).send().await.unwrap());
        }
        commands
    };
    settle().await;
    let closing = tokio::spawn({
        let here = here.clone();
        async move { here.close().await }
    });
    settle().await;
    assert!(!closing.is_finished(), "it waits for its calls");
    drop(commands);
    closing.await.unwrap();
    there.closed().await;
    assert_eq!(held.counts.all(), [10, 0, 10]);
}

#[tokio::test]
async fn a_handler_on_a_thread_of_its_own_is_told_or_stopped_where_it_waits() {
    struct Blocks(mpsc::UnboundedSender<&'static str>);

    impl Blocks {
        fn until_told(&self, ctx: &CallCtx) {
            self.0.send("begun").unwrap();
            while !ctx.is_cancelled() {
                std::thread::yield_now();
            }
            self.0.send("told").unwrap();
        }
    }

    #[controller]
    impl Blocks {
        #[route(blocking)]
        fn notify(&self, ctx: &CallCtx) {
            self.until_told(ctx);
        }

        #[route(blocking, on_cancel = "abort")]
        fn abort(&self, ctx: &CallCtx) {
            self.until_told(ctx);
        }

        #[route(blocking, on_cancel = "abort")]
        async fn waits(&self) {
            struct Told(mpsc::UnboundedSender<&'static str>);
            impl Drop for Told {
                fn drop(&mut self) {
                    let _ = self.0.send("told");
                }
            }
            let _told = Told(self.0.clone());
            self.0.send("begun").unwrap();
            pending::<()>().await;
        }
    }

    let pair = Pair::of(Peer::builder(), Peer::builder().propagate(true)).await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    pair.server.route_call(Blocks(sender)).unwrap();
    for uri in ["/blocks/notify", "/blocks/abort", "/blocks/waits"] {
        let command = pair.here.call::<()>(uri, ()).send().await.unwrap();
        assert_eq!(seen.recv().await, Some("begun"), "{uri}");
        drop(command);
        assert_eq!(seen.recv().await, Some("told"), "{uri}");
        while pair.there.running_handlers() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn over_real_connections_a_dropped_call_stops_its_handler() {
    let (counts, permits) = (Counts::default(), Arc::new(Semaphore::new(0)));
    let server = Peer::builder().build().unwrap();
    server.route_call(Held(counts.clone(), permits)).unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().propagate(true).build().unwrap();
    let session = client.dial(&address).await.unwrap();
    for round in 1..=20 {
        let command = session.call::<u32>("/held/abort", ()).send().await.unwrap();
        while counts.of(BEGUN) < round {
            tokio::task::yield_now().await;
        }
        drop(command);
        while counts.of(OVER) < round {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(session.call::<u64>("/held/now", 3).await.unwrap(), 3);
    client.close().await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_wakes_no_other_caller() {
    // The server ignores what it is told, and answers every call a second late.
    let client = Peer::builder().propagate(true).build().unwrap();
    let (session, mut server) = bare(&client, 1 << 20).await;
    let started = Instant::now();
    for n in 0..2000_u32 {
        let mut call = session.call::<u32>("/x", n).into_future();
        assert!(poll_once(&mut call).is_pending());
        let frame = read_frame(&mut server).await.unwrap().unwrap();
        if n % 3 == 0 {
            server
                .write_all(&RawFrame::reply(&frame.seq, n.to_string()).bytes())
                .await
                .unwrap();
            assert_eq!(call.await.unwrap(), n);
        } else {
            drop(call);
            settle().await;
            let told = read_frame(&mut server).await.unwrap().unwrap();
            assert_eq!(
                told.meta_value("X-Notice-Seq").as_deref(),
                Some(frame.seq.as_str())
            );
            server
                .write_all(&RawFrame::reply(&frame.seq, "999999").bytes())
                .await
                .unwrap();
        }
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(session.calls_in_flight(), 0);
}
