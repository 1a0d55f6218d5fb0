//! What becomes of handlers at the deadline: dropped where they wait, unless they are to finish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use teleport::{
    CallCtx, OnCancel, Peer, Plugin, PushCtx, ReadCtx, Rerror, Session, controller, plugin,
    push_handler,
};
use teleport_tests::logs::{Line, capture};
use teleport_tests::pair::{Pair, settle};
use tokio::sync::Semaphore;

const SHORT: Duration = Duration::from_millis(200);

/// Handlers that wait, in every way in which a handler can be run.
#[derive(Clone)]
struct Waits {
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

/// Notes that a handler is gone, whether it came to its end or not.
struct Gone(Arc<AtomicUsize>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Waits {
    fn new() -> Self {
        Self {
            begun: Arc::default(),
            dropped: Arc::default(),
            done: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    async fn wait(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _gone = Gone(self.dropped.clone());
        self.gate.acquire().await.unwrap().forget();
        self.done.fetch_add(1, Ordering::SeqCst);
    }

    /// How many were begun, are gone, and came to their end.
    fn counts(&self) -> [usize; 3] {
        [&self.begun, &self.dropped, &self.done].map(|n| n.load(Ordering::SeqCst))
    }

    async fn until_begun(&self, count: usize) {
        while self.begun.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    async fn until_gone(&self, count: usize) {
        while self.dropped.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

#[controller]
impl Waits {
    async fn told(&self) {
        self.wait().await;
    }

    #[route(on_cancel = "abort")]
    async fn aborted(&self) {
        self.wait().await;
    }

    #[route(on_cancel = "finish")]
    async fn finished(&self) {
        self.wait().await;
    }

    #[route(spawn)]
    async fn spawned(&self) {
        self.wait().await;
    }

    #[route(blocking)]
    async fn apart(&self) {
        self.wait().await;
    }

    #[route(age = "1h")]
    async fn aged(&self) {
        self.wait().await;
    }

    #[route(age = "1h", on_cancel = "finish")]
    async fn aged_finished(&self) {
        self.wait().await;
    }

    #[route(age = "1h", blocking)]
    async fn aged_apart(&self) {
        self.wait().await;
    }

    #[route(blocking, on_cancel = "finish")]
    async fn apart_finished(&self) {
        self.wait().await;
    }
}

#[push_handler]
impl Waits {
    async fn pushed(&self) {
        self.wait().await;
    }

    #[route(on_cancel = "finish")]
    async fn pushed_finished(&self) {
        self.wait().await;
    }
}

/// Makes all messages go the way of those that plugins look at.
struct Looks;

#[plugin]
impl Plugin for Looks {
    fn name(&self) -> &str {
        "looks"
    }

    async fn post_read_call_header(&self, _ctx: &mut ReadCtx) -> Result<(), Rerror> {
        Ok(())
    }

    async fn post_read_push_header(&self, _ctx: &mut ReadCtx) -> Result<(), Rerror> {
        Ok(())
    }
}

async fn begin(session: &Session, uri: &str) {
    if uri.contains("pushed") {
        session.push(uri, ()).await.unwrap();
    } else {
        let call = session.call::<()>(uri, ()).send();
        tokio::spawn(call.await.unwrap().reply());
    }
}

async fn call_all(session: &Session, routes: &[&str]) {
    for route in routes {
        begin(session, &format!("/waits/{route}")).await;
    }
}

const DROPPED: [&str; 5] = ["told", "aborted", "spawned", "aged", "pushed"];
const FINISHED: [&str; 3] = ["finished", "aged/finished", "pushed/finished"];

#[tokio::test]
async fn handlers_that_wait_are_dropped_and_those_that_finish_go_on() {
    for with_plugin in [false, true] {
        let server = Peer::builder();
        let server = match with_plugin {
            true => server.plugin(Looks),
            false => server,
        };
        let pair = Pair::of(server, Peer::builder()).await;
        let (dropped, finished) = (Waits::new(), Waits::new());
        pair.server.route_call(dropped.clone()).unwrap();
        pair.server.route_push(dropped.clone()).unwrap();
        call_all(&pair.here, &DROPPED).await;
        dropped.until_begun(DROPPED.len()).await;
        let group = pair.server.sub_route("other");
        group.route_call(finished.clone()).unwrap();
        group.route_push(finished.clone()).unwrap();
        for route in FINISHED {
            begin(&pair.here, &format!("/other/waits/{route}")).await;
        }
        finished.until_begun(FINISHED.len()).await;

        let report = pair.server.shutdown(SHORT).await;
        println!("{report}");
        let (all, left) = (DROPPED.len() + FINISHED.len(), FINISHED.len());
        assert_eq!(dropped.counts(), [DROPPED.len(), DROPPED.len(), 0]);
        assert_eq!(finished.counts(), [FINISHED.len(), 0, 0]);
        let counts = (
            report.handlers_finished,
            report.handlers_cut,
            report.handlers_left,
        );
        assert_eq!(counts, (0, all, left), "{report}");
        assert_eq!(report.replies_lost, 0, "{report}");
        assert!(
            report
                .to_string()
                .contains(&format!("; {left} handlers go on")),
            "{report}"
        );
        // They really do.
        finished.gate.add_permits(FINISHED.len());
        finished.until_gone(FINISHED.len()).await;
        assert_eq!(finished.counts(), [FINISHED.len(); 3]);
    }
}

/// Lets all handlers go when a test fails: those on threads of their own would hold its end up.
struct LetGo<'a>(&'a Waits);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        self.0.gate.add_permits(10);
    }
}

#[tokio::test]
async fn handlers_on_threads_of_their_own_are_dropped_where_they_wait_too() {
    let pair = Pair::new().await;
    let waits = Waits::new();
    let _let_go = LetGo(&waits);
    pair.server.route_call(waits.clone()).unwrap();
    call_all(&pair.here, &["apart", "aged/apart", "apart/finished"]).await;
    waits.until_begun(3).await;
    let report = pair.server.shutdown(SHORT).await;
    assert_eq!((report.handlers_finished, report.handlers_cut), (0, 3));
    // A thread that the machine does not let run is not gone by then.
    assert!((1..=3).contains(&report.handlers_left), "{report}");
    waits.until_gone(2).await;
    assert_eq!(waits.counts(), [3, 2, 0]);
    waits.gate.add_permits(1);
    waits.until_gone(3).await;
    assert_eq!(waits.counts(), [3, 3, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_may_have_all_its_handlers_finish() {
    let server = Peer::builder().on_cancel(OnCancel::Finish);
    let pair = Pair::of(server, Peer::builder()).await;
    let waits = Waits::new();
    pair.server.route_call(waits.clone()).unwrap();
    call_all(&pair.here, &["told", "aborted"]).await;
    waits.until_begun(2).await;
    let report = pair.server.shutdown(SHORT).await;
    assert_eq!((report.handlers_cut, report.handlers_left), (2, 1));
    assert_eq!(waits.counts(), [2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn handlers_are_dropped_at_the_deadline_and_not_before() {
    let pair = Pair::new().await;
    let waits = Waits::new();
    pair.server.route_call(waits.clone()).unwrap();
    call_all(&pair.here, &["told", "told", "told"]).await;
    waits.until_begun(3).await;
    let shutdown = tokio::spawn(pair.server.shutdown(SHORT));
    tokio::time::sleep(SHORT - Duration::from_millis(1)).await;
    assert_eq!(waits.counts(), [3, 0, 0]);
    waits.gate.add_permits(1);
    waits.until_gone(1).await;
    let report = shutdown.await.unwrap();
    assert_eq!((report.handlers_finished, report.handlers_cut), (1, 2));
    assert_eq!(waits.counts(), [3, 3, 1]);
    assert!(report.elapsed < SHORT + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_drops_them_at_once() {
    let pair = Pair::new().await;
    let waits = Waits::new();
    pair.server.route_call(waits.clone()).unwrap();
    call_all(&pair.here, &["told"]).await;
    waits.until_begun(1).await;
    let first = tokio::spawn(pair.server.shutdown(Duration::from_secs(60)));
    settle().await;
    let report = pair.server.shutdown(Duration::ZERO).await;
    assert_eq!(waits.counts(), [1, 1, 0]);
    assert_eq!((report.handlers_cut, report.was_hurried), (1, true));
    assert_eq!(first.await.unwrap(), report);
}

/// Blocks its thread until it is let go, or finds out that nobody waits for it.
struct Blocks {
    begun: Arc<AtomicBool>,
    gave_up: Arc<AtomicBool>,
}

#[controller]
impl Blocks {
    #[route(blocking)]
    fn looks(&self, ctx: &mut CallCtx) {
        self.begun.store(true, Ordering::SeqCst);
        while !ctx.is_cancelled() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        self.gave_up.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_handler_that_blocks_can_find_out_and_is_counted_once() {
    let pair = Pair::new().await;
    let (begun, gave_up) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let blocks = Blocks {
        begun: Arc::clone(&begun),
        gave_up: Arc::clone(&gave_up),
    };
    pair.server.route_call(blocks).unwrap();
    let call = pair.here.call::<()>("/blocks/looks", ()).send();
    let call = call.await.unwrap();
    while !begun.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    let report = pair.server.shutdown(SHORT).await;
    assert_eq!((report.handlers_finished, report.handlers_cut), (0, 1));
    assert!(report.handlers_left <= 1, "{report}");
    assert!(call.await.unwrap_err().is_closed());
    while !gave_up.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
}

/// Handlers that make trouble when they are dropped, or when they are polled for the last time.
struct Awkward;

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("dropped in the middle");
    }
}

#[controller]
impl Awkward {
    async fn panics(&self) {
        let _panics = PanicsWhenDropped;
        std::future::pending::<()>().await;
    }

    async fn waits(&self) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_when_it_is_dropped_costs_no_other() {
    let (logs, _guard) = capture(false);
    let pair = Pair::new().await;
    pair.server.route_call(Awkward).unwrap();
    for uri in ["/awkward/panics", "/awkward/waits", "/awkward/panics"] {
        tokio::spawn(pair.here.call::<()>(uri, ()).send().await.unwrap().reply());
    }
    settle().await;
    let report = pair.server.shutdown(SHORT).await;
    assert_eq!((report.handlers_cut, report.handlers_left), (3, 0));
    let has_panicked = |line: &&Line| line.text.contains("dropped in the middle");
    assert_eq!(logs.all().iter().filter(has_panicked).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn handlers_of_a_session_that_is_gone_are_waited_for_and_cut_too() {
    let pair = Pair::new().await;
    let waits = Waits::new();
    pair.server.route_call(waits.clone()).unwrap();
    call_all(&pair.here, &["told", "told", "finished"]).await;
    waits.until_begun(3).await;
    pair.there.abort();
    pair.there.closed().await;
    assert!(pair.server.sessions().is_empty());
    let shutdown = tokio::spawn(pair.server.shutdown(SHORT));
    settle().await;
    assert!(!shutdown.is_finished());
    waits.gate.add_permits(1);
    let report = shutdown.await.unwrap();
    assert_eq!(report.sessions, 0, "{report}");
    let counts = (
        report.handlers_finished,
        report.handlers_cut,
        report.handlers_left,
    );
    assert_eq!(counts, (1, 2, 1), "{report}");
    assert_eq!(report.replies_lost, 1, "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_session_aborted_during_the_shutdown_is_accounted_for_at_its_end() {
    let pair = Pair::new().await;
    let waits = Waits::new();
    pair.server.route_call(waits.clone()).unwrap();
    call_all(&pair.here, &["told", "told"]).await;
    waits.until_begun(2).await;
    let shutdown = tokio::spawn(pair.server.shutdown(SHORT));
    settle().await;
    pair.there.abort();
    settle().await;
    assert!(!shutdown.is_finished());
    waits.gate.add_permits(2);
    let report = shutdown.await.unwrap();
    assert_eq!((report.handlers_finished, report.handlers_cut), (2, 0));
    assert_eq!((report.sessions, report.replies_lost), (1, 2), "{report}");
    assert!(report.elapsed < SHORT, "{report}");
}

/// Calls back for ever.
struct Rings;

#[push_handler]
impl Rings {
    async fn ring(&self, ctx: &mut PushCtx) {
        loop {
            let _ = ctx.session().call::<()>("/nowhere", ()).await;
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_rests_is_dropped_as_well() {
    let pair = Pair::new().await;
    pair.server.route_push(Rings).unwrap();
    pair.here.push("/rings/ring", ()).await.unwrap();
    settle().await;
    let report = tokio::time::timeout(
        Duration::from_secs(60),
        tokio::spawn(pair.server.shutdown(Duration::ZERO)),
    );
    let report = report.await.unwrap().unwrap();
    assert_eq!((report.handlers_cut, report.handlers_left), (1, 0));
}
