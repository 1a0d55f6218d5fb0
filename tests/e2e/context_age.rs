//! The age of contexts: who is answered what when the time of a handler is over, and when.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::time::Duration;

use teleport::rerror::code;
use teleport::{
    CallCtx, ErrorKind, OnCancel, Peer, PeerBuilder, Plugin, PreSession, PushCtx, ReadCtx, Rerror,
    Session, UnknownCallCtx, UnknownPushCtx, WriteCtx, controller, plugin, push_handler,
};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, bare, poll_once, settle};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, advance, sleep, timeout};

const AGE: Duration = Duration::from_millis(200);

struct Work;

#[controller]
impl Work {
    async fn now(&self, arg: i64) -> i64 {
        arg
    }

    async fn sleep(&self, arg: u64) -> u64 {
        sleep(Duration::from_millis(arg)).await;
        arg
    }

    #[route(spawn)]
    async fn spawned(&self, arg: u64) -> u64 {
        sleep(Duration::from_millis(arg)).await;
        arg
    }

    #[route(age = "50ms")]
    async fn brief(&self) {
        pending::<()>().await;
    }

    #[route(age = "300ms", on_cancel = "abort")]
    async fn longer(&self) {
        sleep(Duration::from_millis(250)).await;
    }

    #[route(age = "none")]
    async fn endless(&self) -> &'static str {
        sleep(Duration::from_secs(3600)).await;
        "done"
    }

    /// Never waits, and ends when its time is over.
    fn computes(&self, ctx: &CallCtx) -> u64 {
        let mut rounds = 0;
        while ctx.remaining() != Some(Duration::ZERO) {
            rounds += 1;
        }
        rounds
    }

    async fn sets(&self, ctx: &CallCtx, arg: u64) {
        ctx.session().set_context_age(Duration::from_millis(arg));
    }

    fn tells(&self, ctx: &CallCtx) -> (Option<u64>, bool) {
        let remaining = ctx.remaining();
        let whole = remaining.map(|left| u64::try_from(left.as_millis()).unwrap());
        assert_eq!(ctx.deadline(), remaining.map(|left| Instant::now() + left));
        (whole, ctx.is_cancelled())
    }
}

struct Note;

#[push_handler]
impl Note {
    async fn long(&self) {
        sleep(Duration::from_secs(3600)).await;
    }
}

fn peer(builder: PeerBuilder) -> Peer {
    let peer = builder.build().unwrap();
    peer.route_call(Work).unwrap();
    peer.route_push(Note).unwrap();
    peer
}

async fn server_of(builder: PeerBuilder) -> (Session, DuplexStream) {
    bare(&peer(builder), 1 << 16).await
}

/// Calls, and gives the error of the reply and the time it took; nothing else comes meanwhile.
async fn error_of(stream: &mut DuplexStream, uri: &str, body: &str) -> (String, Duration) {
    let started = Instant::now();
    let frame = RawFrame::call("s", uri, body).bytes();
    stream.write_all(&frame).await.unwrap();
    let reply = read_frame(stream).await.unwrap().unwrap();
    assert_eq!(reply.seq, "s");
    (reply.error(), started.elapsed())
}

/// Whether the reply is the 408 of that age, and came with its end.
#[track_caller]
fn assert_over((error, took): &(String, Duration), age: Duration) {
    assert!(
        error.contains(r#""code":408,"message":"Handle Timeout""#),
        "{error}"
    );
    assert!(error.contains(&format!("{age:?}")), "{error}");
    let late = took
        .checked_sub(age)
        .unwrap_or_else(|| panic!("already after {took:?}"));
    assert!(late <= Duration::from_millis(2), "after {took:?}");
}

#[track_caller]
fn assert_nothing_came(stream: &mut DuplexStream) {
    let mut read = Box::pin(read_frame(stream));
    if let std::task::Poll::Ready(frame) = poll_once(&mut read) {
        panic!("a frame too many: {frame:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_answered_408_when_the_time_is_over_and_never_again() {
    for uri in ["/work/sleep", "/work/spawned"] {
        let (session, mut stream) = server_of(Peer::builder().default_context_age(AGE)).await;
        assert_over(&error_of(&mut stream, uri, "500").await, AGE);
        assert_eq!(session.running_handlers(), 1, "{uri}: it goes on");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(session.running_handlers(), 0, "{uri}");
        assert_nothing_came(&mut stream);
        // The connection lives, and what is in time is answered.
        let (error, took) = error_of(&mut stream, uri, "199").await;
        assert_eq!((error.as_str(), took.as_millis()), ("", 199), "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_says_its_own_age_or_none() {
    let (_session, mut stream) = server_of(Peer::builder().default_context_age(AGE)).await;
    assert_over(
        &error_of(&mut stream, "/work/brief", "").await,
        Duration::from_millis(50),
    );
    for (uri, took) in [("/work/longer", 250), ("/work/endless", 3_600_000)] {
        let (error, after) = error_of(&mut stream, uri, "").await;
        assert_eq!((error.as_str(), after.as_millis()), ("", took), "{uri}");
    }
    // Without any other age too.
    let (_session, mut stream) = server_of(Peer::builder()).await;
    assert_over(
        &error_of(&mut stream, "/work/brief", "").await,
        Duration::from_millis(50),
    );
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_session_is_set_at_any_time() {
    struct Younger;

    #[plugin]
    impl Plugin for Younger {
        fn name(&self) -> &str {
            "younger"
        }

        fn post_accept(&self, session: &mut PreSession) -> Result<(), Rerror> {
            assert_eq!(session.context_age(), AGE);
            session.set_context_age(AGE / 2);
            Ok(())
        }
    }

    let builder = Peer::builder().default_context_age(AGE).plugin(Younger);
    let (session, mut stream) = server_of(builder).await;
    assert_eq!(session.context_age(), AGE / 2);
    assert_over(&error_of(&mut stream, "/work/sleep", "150").await, AGE / 2);
    // A handler sets it for the messages that come after its own.
    let (error, _) = error_of(&mut stream, "/work/sets", "80").await;
    assert_eq!(error, "");
    assert_over(
        &error_of(&mut stream, "/work/sleep", "90").await,
        Duration::from_millis(80),
    );
    session.set_context_age(Duration::ZERO);
    let (error, took) = error_of(&mut stream, "/work/sleep", "9000").await;
    assert_eq!((error.as_str(), took.as_secs()), ("", 9));
}

#[tokio::test]
async fn a_handler_that_computes_for_longer_is_answered_for_before_its_result_is_written() {
    let (logs, _guard) = capture(false);
    let age = Duration::from_millis(1);
    let (session, mut stream) = server_of(Peer::builder().default_context_age(age)).await;
    let (error, _) = error_of(&mut stream, "/work/computes", "").await;
    assert!(error.contains("408") && error.contains("1ms"), "{error}");
    assert_eq!(session.running_handlers(), 0);
    assert!(
        logs.has(&["its result is dropped", "uri=/work/computes"]),
        "{:?}",
        logs.all()
    );
}

/// Says that it has begun, waits on its thread until it may go on, and says whether it was told.
struct Blocks {
    begun: mpsc::UnboundedSender<()>,
    go: Mutex<std_mpsc::Receiver<()>>,
    told: mpsc::UnboundedSender<bool>,
}

impl Blocks {
    fn block(&self, ctx: &CallCtx) {
        self.begun.send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        self.told.send(ctx.is_cancelled()).unwrap();
    }
}

#[controller(age = "200ms")]
impl Blocks {
    #[route(blocking)]
    fn plain(&self, ctx: &CallCtx) {
        self.block(ctx);
    }

    #[route(blocking, on_cancel = "abort")]
    fn computes(&self, ctx: &CallCtx) {
        self.block(ctx);
    }

    #[route(blocking, on_cancel = "abort")]
    async fn waits(&self) {
        self.begun.send(()).unwrap();
        pending::<()>().await;
    }

    #[route(blocking, on_cancel = "finish")]
    fn finishes(&self, ctx: &CallCtx) {
        self.block(ctx);
    }
}

/// A peer with handlers on threads of their own, and what they are led and followed by.
struct Threads {
    session: Session,
    stream: DuplexStream,
    begun: mpsc::UnboundedReceiver<()>,
    go: std_mpsc::Sender<()>,
    told: mpsc::UnboundedReceiver<bool>,
}

impl Threads {
    async fn new() -> Self {
        let (begins, begun) = mpsc::unbounded_channel();
        let (tells, told) = mpsc::unbounded_channel();
        let (go, goes) = std_mpsc::channel();
        let server = Peer::builder().build().unwrap();
        let blocks = Blocks {
            begun: begins,
            go: goes.into(),
            told: tells,
        };
        server.route_call(blocks).unwrap();
        let (session, stream) = bare(&server, 1 << 16).await;
        Self {
            session,
            stream,
            begun,
            go,
            told,
        }
    }

    async fn call(&mut self, uri: &str) {
        let frame = RawFrame::call("s", uri, "").bytes();
        self.stream.write_all(&frame).await.unwrap();
    }

    async fn assert_over(&mut self, uri: &str) {
        let reply = read_frame(&mut self.stream).await.unwrap().unwrap();
        assert!(reply.error().contains("408"), "{uri}: {reply:?}");
    }

    async fn all_ended(&self) {
        while self.session.running_handlers() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_on_a_thread_of_its_own_is_answered_for_in_time_and_counts_until_it_ends() {
    let mut threads = Threads::new().await;
    for (uri, due) in [
        ("/blocks/plain", true),
        ("/blocks/computes", true),
        ("/blocks/finishes", false),
    ] {
        threads.call(uri).await;
        threads.begun.recv().await.unwrap();
        // The clock stands still while a thread is busy.
        advance(AGE).await;
        threads.assert_over(uri).await;
        assert!(threads.session.running_handlers() > 0, "{uri}");
        threads.go.send(()).unwrap();
        assert_eq!(threads.told.recv().await, Some(due), "{uri}");
        threads.all_ended().await;
    }
    threads.call("/blocks/waits").await;
    threads.begun.recv().await.unwrap();
    advance(AGE).await;
    threads.assert_over("/blocks/waits").await;
    threads.all_ended().await;
    assert_nothing_came(&mut threads.stream);
}

#[test]
fn a_handler_that_gets_its_thread_too_late_is_run_only_if_it_would_not_be_stopped() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut threads = Threads::new().await;
        for (uri, runs) in [
            ("/blocks/computes", false),
            ("/blocks/waits", false),
            ("/blocks/plain", true),
            ("/blocks/finishes", true),
        ] {
            threads.call("/blocks/finishes").await;
            threads.begun.recv().await.unwrap();
            threads.call(uri).await;
            settle().await;
            advance(AGE).await;
            threads.assert_over("the one that has the thread").await;
            threads.assert_over(uri).await;
            threads.go.send(()).unwrap();
            threads.told.recv().await.unwrap();
            if runs {
                threads.begun.recv().await.unwrap();
                threads.go.send(()).unwrap();
                let told = threads.told.recv().await;
                assert_eq!(told, Some(uri == "/blocks/plain"), "{uri}");
            }
            threads.all_ended().await;
            assert!(threads.begun.try_recv().is_err(), "{uri}");
        }
    });
}

/// Waits in one of its hooks.
struct Slow(&'static str);

impl Slow {
    async fn at(&self, hook: &str) -> Result<(), Rerror> {
        if hook == self.0 {
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}

#[plugin]
impl Plugin for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn post_read_call_header(&self, _: &mut ReadCtx) -> Result<(), Rerror> {
        self.at("header").await
    }

    async fn pre_read_call_body(&self, _: &mut ReadCtx) -> Result<(), Rerror> {
        self.at("body").await
    }

    async fn post_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        assert_eq!(ctx.remaining(), Some(AGE));
        self.at("argument").await
    }

    async fn pre_write_reply(&self, _: &mut WriteCtx) -> Result<(), Rerror> {
        self.at("reply").await
    }
}

#[tokio::test(start_paused = true)]
async fn the_age_covers_hooks_from_the_first_to_those_of_the_reply() {
    for hook in ["header", "body", "argument", "reply"] {
        let builder = Peer::builder().default_context_age(AGE).plugin(Slow(hook));
        let (session, mut stream) = server_of(builder).await;
        assert_over(&error_of(&mut stream, "/work/now", "1").await, AGE);
        settle().await;
        assert_eq!(session.running_handlers(), 0, "{hook}: hooks do not go on");
        sleep(Duration::from_secs(1)).await;
        assert_nothing_came(&mut stream);
    }
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_route_counts_from_the_first_hook_too() {
    // 500 ms of the hook leave nothing of the 300 ms of the route.
    let (_session, mut stream) = server_of(Peer::builder().plugin(Slow("header"))).await;
    let (error, took) = error_of(&mut stream, "/work/longer", "").await;
    assert!(error.contains("408") && error.contains("300ms"), "{error}");
    assert_eq!(
        took.as_millis(),
        500,
        "no age was known before the route was"
    );
}

#[tokio::test(start_paused = true)]
async fn reply_hooks_see_the_408_as_any_reply() {
    #[derive(Clone, Default)]
    struct Counts(Arc<AtomicUsize>);

    #[plugin]
    impl Plugin for Counts {
        fn name(&self) -> &str {
            "counts"
        }

        fn pre_write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
            assert_eq!(ctx.call_uri().unwrap().to_string(), "/work/sleep?q=1");
            ctx.header_mut().meta.set("hooked", "yes");
            Ok(())
        }

        async fn post_write_reply(&self, ctx: &mut WriteCtx) -> Result<(), Rerror> {
            let error = Rerror::from_meta(&ctx.header().meta).unwrap();
            self.0
                .fetch_add(usize::try_from(error.code()).unwrap(), Ordering::SeqCst);
            Ok(())
        }
    }

    let counts = Counts::default();
    let builder = Peer::builder()
        .default_context_age(AGE)
        .plugin(counts.clone());
    let (_session, mut stream) = server_of(builder).await;
    let call = RawFrame::call("s", "/work/sleep?q=1", "900").bytes();
    stream.write_all(&call).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert!(reply.error().contains("408"), "{reply:?}");
    assert_eq!(reply.meta_value("hooked").as_deref(), Some("yes"));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(counts.0.load(Ordering::SeqCst), 408, "once");
}

#[tokio::test(start_paused = true)]
async fn handlers_of_unknown_calls_and_pushes_have_the_age_of_the_session() {
    async fn call(ctx: &mut UnknownCallCtx) -> Result<u64, Rerror> {
        assert_eq!(ctx.remaining(), Some(AGE));
        sleep(AGE * 2).await;
        Ok(1)
    }

    async fn push(_: &mut UnknownPushCtx) -> Result<(), Rerror> {
        sleep(AGE * 2).await;
        Ok(())
    }

    let (logs, _guard) = capture(false);
    let builder = Peer::builder().default_context_age(AGE);
    let server = builder.on_cancel(OnCancel::Abort).build().unwrap();
    server.set_unknown_call(call).unwrap();
    server.set_unknown_push(push).unwrap();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    assert_over(&error_of(&mut stream, "/any", "").await, AGE);
    let frame = RawFrame::push("p", "/thing", "").bytes();
    stream.write_all(&frame).await.unwrap();
    settle().await;
    assert_eq!(session.running_handlers(), 1);
    sleep(AGE + Duration::from_millis(1)).await;
    assert_eq!(session.running_handlers(), 0);
    assert!(
        logs.has(&["a push was not handled", "/thing", "408"]),
        "{:?}",
        logs.all()
    );
    assert_nothing_came(&mut stream);
}

#[tokio::test(start_paused = true)]
async fn a_push_out_of_time_is_logged_and_so_is_its_late_end() {
    let (logs, _guard) = capture(true);
    let (session, mut stream) = server_of(Peer::builder().default_context_age(AGE)).await;
    let frame = RawFrame::push("p", "/note/long", "").bytes();
    stream.write_all(&frame).await.unwrap();
    sleep(AGE + Duration::from_millis(1)).await;
    let lines = logs.access();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for text in ["PUSH-HANDLE", "/note/long", "408", "200ms"] {
        assert!(lines[0].text.contains(text), "{text}: {lines:?}");
    }
    assert_eq!(session.running_handlers(), 1);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(session.running_handlers(), 0);
    assert!(
        logs.has(&["its result is dropped", "/note/long", "took=3600"]),
        "{:?}",
        logs.all()
    );
    assert_nothing_came(&mut stream);
}

#[tokio::test(start_paused = true)]
async fn a_context_tells_its_deadline() {
    let (_session, mut stream) = server_of(Peer::builder().default_context_age(AGE)).await;
    let frame = RawFrame::call("s", "/work/tells", "").bytes();
    stream.write_all(&frame).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(reply.body, b"[200,false]");
    let pair = Pair::new().await;
    pair.server.route_call(Work).unwrap();
    let told: (Option<u64>, bool) = pair.here.call("/work/tells", ()).await.unwrap();
    assert_eq!(told, (None, false), "without an age there is none");
}

/// What a handler was told, if it asked.
struct Choice(mpsc::UnboundedSender<&'static str>, Arc<Semaphore>);

struct Dropped(mpsc::UnboundedSender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

impl Choice {
    async fn work(&self, ctx: &CallCtx) {
        let _dropped = Dropped(self.0.clone());
        let cancelled = ctx.cancelled();
        tokio::select! {
            () = cancelled => {
                assert!(ctx.is_cancelled());
                self.0.send("told").unwrap();
            }
            permit = self.1.acquire() => permit.unwrap().forget(),
        }
        self.0.send("ended").unwrap();
    }
}

#[controller(age = "200ms")]
impl Choice {
    async fn default(&self, ctx: &CallCtx) {
        self.work(ctx).await;
    }

    #[route(on_cancel = "abort")]
    async fn abort(&self, ctx: &CallCtx) {
        self.work(ctx).await;
    }

    #[route(on_cancel = "finish")]
    async fn finish(&self, ctx: &CallCtx) {
        self.work(ctx).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_a_handler_is_its_own_choice_then_its_peers() {
    for (peers, uri, due) in [
        (
            OnCancel::default(),
            "/choice/default",
            ["told", "ended", "dropped"].as_slice(),
        ),
        (
            OnCancel::Notify,
            "/choice/default",
            &["told", "ended", "dropped"],
        ),
        (OnCancel::Abort, "/choice/default", &["dropped"]),
        (OnCancel::Finish, "/choice/default", &[]),
        (OnCancel::Finish, "/choice/abort", &["dropped"]),
        (OnCancel::Abort, "/choice/finish", &[]),
    ] {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(0));
        let server = Peer::builder().on_cancel(peers).build().unwrap();
        server.route_call(Choice(sender, permits.clone())).unwrap();
        let (session, mut stream) = bare(&server, 1 << 16).await;
        assert_over(&error_of(&mut stream, uri, "").await, AGE);
        settle().await;
        for due in due {
            assert_eq!(seen.try_recv().as_ref(), Ok(due), "{peers:?} {uri}");
        }
        assert_eq!(
            session.running_handlers(),
            usize::from(due.is_empty()),
            "{peers:?} {uri}"
        );
        if due.is_empty() {
            permits.add_permits(1);
            assert_eq!(seen.recv().await, Some("ended"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_or_fails_late_changes_nothing() {
    struct Bad;

    #[controller(age = "200ms")]
    impl Bad {
        async fn panics(&self) {
            sleep(AGE * 2).await;
            panic!("late");
        }

        #[route(on_cancel = "abort")]
        async fn drops(&self) {
            struct Panics;
            impl Drop for Panics {
                fn drop(&mut self) {
                    panic!("when dropped");
                }
            }
            let _panics = Panics;
            pending::<()>().await;
        }
    }

    let (logs, _guard) = capture(false);
    let server = Peer::builder().build().unwrap();
    server.route_call(Bad).unwrap();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    for uri in ["/bad/panics", "/bad/drops"] {
        assert_over(&error_of(&mut stream, uri, "").await, AGE);
        sleep(AGE * 2).await;
        assert_eq!(session.running_handlers(), 0, "{uri}");
        assert!(session.health(), "{uri}");
    }
    assert!(logs.has(&["when dropped"]), "{:?}", logs.all());
    assert_nothing_came(&mut stream);
}

#[tokio::test(start_paused = true)]
async fn handlers_out_of_time_still_count_among_those_that_may_run() {
    let builder = Peer::builder()
        .default_context_age(AGE)
        .max_running_handlers(2);
    let (session, mut stream) = server_of(builder).await;
    for _ in 0..2 {
        assert_over(&error_of(&mut stream, "/work/sleep", "5000").await, AGE);
    }
    // Nothing is read until one of them ends, 4600 ms from now.
    let started = Instant::now();
    let (error, _) = error_of(&mut stream, "/work/now", "1").await;
    assert_eq!((error.as_str(), started.elapsed().as_millis()), ("", 4600));
    assert!(session.running_handlers() <= 2);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_caller_ends_its_calls_with_408_and_the_late_reply_is_ignored() {
    let client = Peer::builder().default_context_age(AGE).build().unwrap();
    let (session, mut server) = bare(&client, 1 << 16).await;
    let started = Instant::now();
    let call = session.call::<i64>("/test/sleep", 500);
    let error = call.await.unwrap_err();
    let late = started.elapsed().checked_sub(AGE).unwrap();
    assert!(late <= Duration::from_millis(20), "{late:?}");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("200ms"), "{error}");
    let rerror = Rerror::from(error);
    assert_eq!(
        (rerror.code(), rerror.message()),
        (code::HANDLE_TIMEOUT, "Handle Timeout")
    );
    let seq = read_frame(&mut server).await.unwrap().unwrap().seq;
    server
        .write_all(&RawFrame::reply(&seq, "500").bytes())
        .await
        .unwrap();
    // The next call is not answered by it.
    let next = session.call::<i64>("/test/sleep", 1).send().await.unwrap();
    settle().await;
    let seq = read_frame(&mut server).await.unwrap().unwrap().seq;
    server
        .write_all(&RawFrame::reply(&seq, "1").bytes())
        .await
        .unwrap();
    assert_eq!(next.await.unwrap(), 1);
    assert!(session.health());
}

#[tokio::test(start_paused = true)]
async fn of_the_limits_of_a_call_its_own_counts_then_the_shorter_default() {
    let seconds = Duration::from_secs;
    for (age, default, own, due) in [
        (2, 5, None, Some(2)),
        (5, 2, None, Some(2)),
        (0, 2, None, Some(2)),
        (2, 0, None, Some(2)),
        (2, 5, Some(9), Some(9)),
        (5, 5, Some(1), Some(1)),
        (0, 0, None, None),
    ] {
        let mut builder = Peer::builder().default_context_age(seconds(age));
        if default > 0 {
            builder = builder.default_call_timeout(seconds(default));
        }
        let (session, _server) = bare(&builder.build().unwrap(), 1 << 16).await;
        let mut call = session.call::<()>("/never", ());
        if let Some(own) = own {
            call = call.timeout(seconds(own));
        }
        let started = Instant::now();
        let ended = timeout(seconds(3600), call.into_future()).await;
        let took = ended.is_ok().then(|| started.elapsed().as_secs());
        assert_eq!(took, due, "{age} {default} {own:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_moved_by_hand_is_no_harm() {
    let (_session, mut stream) = server_of(Peer::builder().default_context_age(AGE)).await;
    let frame = RawFrame::call("s", "/work/sleep", "500").bytes();
    stream.write_all(&frame).await.unwrap();
    settle().await;
    // As after a machine slept: all timers are due at once, and the caller gets one answer.
    advance(Duration::from_secs(24 * 3600)).await;
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert!(reply.error().contains("408"), "{reply:?}");
    settle().await;
    assert_nothing_came(&mut stream);
}

#[tokio::test]
async fn an_age_beyond_all_clocks_is_none() {
    let builder = Peer::builder().default_context_age(Duration::MAX);
    let (session, mut stream) = server_of(builder.default_session_age(Duration::MAX)).await;
    let (error, _) = error_of(&mut stream, "/work/now", "1").await;
    assert_eq!(error, "");
    session.set_session_age(Duration::MAX);
    session.set_context_age(Duration::from_secs(u64::MAX));
    let (error, _) = error_of(&mut stream, "/work/now", "1").await;
    assert_eq!(error, "");
    assert!(session.health());
}

#[tokio::test(start_paused = true)]
async fn a_push_context_can_be_asked_too() {
    struct Asks(mpsc::UnboundedSender<bool>);

    #[push_handler(age = "200ms")]
    impl Asks {
        async fn on(&self, ctx: &PushCtx) {
            assert_eq!(ctx.remaining(), Some(AGE));
            ctx.cancelled().await;
            self.0.send(ctx.is_cancelled()).unwrap();
        }
    }

    let (sender, mut told) = mpsc::unbounded_channel();
    let pair = Pair::new().await;
    pair.server.route_push(Asks(sender)).unwrap();
    let started = Instant::now();
    pair.here.push("/asks/on", ()).await.unwrap();
    assert_eq!(told.recv().await, Some(true));
    assert_eq!(started.elapsed().as_millis(), 200);
}
