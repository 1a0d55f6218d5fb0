//! Deadlines that travel: what is left of a caller's time, seen by those who work for it.

use std::time::Duration;

use teleport::{
    CallCtx, Error, ErrorKind, Peer, PeerBuilder, Plugin, ReadCtx, Rerror, Session, controller,
    plugin,
};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{bare, connect, settle};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Tells what is left, in milliseconds.
struct Left;

#[controller]
impl Left {
    async fn tell(&self, ctx: &CallCtx) -> Option<u64> {
        ctx.remaining()
            .map(|left| u64::try_from(left.as_millis()).unwrap())
    }

    async fn never(&self) {
        std::future::pending::<()>().await;
    }
}

/// What a server makes of the metadata of a call.
async fn left_of(server: PeerBuilder, meta: &str) -> String {
    let server = server.build().unwrap();
    server.route_call(Left).unwrap();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    let frame = RawFrame::call("s", "/left/tell", "").meta(meta).bytes();
    stream.write_all(&frame).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert!(session.health());
    String::from_utf8_lossy(&reply.body).into_owned() + &reply.error()
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_has_left_bounds_its_handler_and_is_capped_by_its_own_age() {
    let aged = || Peer::builder().default_context_age(millis(800));
    for (meta, alone, beside_an_age) in [
        ("X-Remaining-Ms=500", "500", "500"),
        ("X-Remaining-Ms=5000", "5000", "800"),
        ("a=b&X-Remaining-Ms=1", "1", "1"),
        ("%58-Remaining-Ms=%35%30", "50", "50"),
        ("X-Remaining-Ms=7&X-Remaining-Ms=9", "7", "7"),
        // What is no time sets none.
        ("X-Remaining-Ms", "", "800"),
        ("X-Remaining-Ms=-5", "", "800"),
        ("X-Remaining-Ms=%2B5", "", "800"),
        ("X-Remaining-Ms=soon", "", "800"),
        ("X-Remaining-Ms=1.5", "", "800"),
        ("X-Remaining-Ms=%00%FF", "", "800"),
        ("X-Remaining-Ms=18446744073709551616", "", "800"),
        ("X-Remaining-Ms=9999999999999999999", "", "800"),
        ("X-Remaining-Ms=1&X-Remaining-Ms=x", "1", "1"),
        ("x-remaining-ms=5", "", "800"),
        ("k=v", "", "800"),
    ] {
        assert_eq!(left_of(Peer::builder(), meta).await, alone, "{meta}");
        assert_eq!(left_of(aged(), meta).await, beside_an_age, "{meta}");
    }
    let long = format!("X-Remaining-Ms={}", "9".repeat(60_000));
    assert_eq!(left_of(aged(), &long).await, "800");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_any_time_left_is_answered_at_once() {
    let answer = left_of(Peer::builder(), "X-Remaining-Ms=0").await;
    assert!(answer.contains(r#""code":408"#), "{answer}");
    assert!(answer.contains("its caller had left"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_caller_ends_the_handling_with_408() {
    let server = Peer::builder().build().unwrap();
    server.route_call(Left).unwrap();
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    let started = Instant::now();
    let frame = RawFrame::call("s", "/left/never", "")
        .meta("X-Remaining-Ms=120")
        .bytes();
    stream.write_all(&frame).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(started.elapsed(), millis(120));
    assert!(
        reply
            .error()
            .contains("120ms, all the time that its caller had left"),
        "{reply:?}"
    );
}

/// Calls on after some time.
struct On(Session, mpsc::UnboundedSender<Result<Option<u64>, Error>>);

impl On {
    async fn tell(&self, timeout: Option<Duration>) -> Result<Option<u64>, Error> {
        let mut call = self.0.call("/left/tell", ());
        if let Some(timeout) = timeout {
            call = call.timeout(timeout);
        }
        call.await
    }
}

#[controller]
impl On {
    async fn after(&self, arg: u64) -> Result<Option<u64>, Rerror> {
        sleep(millis(arg)).await;
        Ok(self.tell(None).await?)
    }

    async fn within(&self, arg: u64) -> Result<Option<u64>, Rerror> {
        Ok(self.tell(Some(millis(arg))).await?)
    }

    #[route(spawn)]
    async fn spawned(&self, arg: u64) -> Result<Option<u64>, Rerror> {
        sleep(millis(arg)).await;
        Ok(self.tell(None).await?)
    }

    /// Many at once, polled in other places than where they were made.
    async fn joined(&self) -> Result<Option<u64>, Rerror> {
        let (one, two) = tokio::join!(self.tell(None), async {
            sleep(millis(10)).await;
            self.tell(None).await
        });
        assert_eq!(one?.zip(two?).map(|(one, two)| one - two), Some(10));
        let sent = self.0.call("/left/tell", ()).send().await?;
        Ok(sent.await?)
    }

    async fn elsewhere(&self) -> Result<Option<u64>, Rerror> {
        let session = self.0.clone();
        let task = tokio::spawn(async move { session.call("/left/tell", ()).await });
        Ok(task.await.unwrap()?)
    }

    async fn told(&self, ctx: &CallCtx) -> Result<Option<u64>, Rerror> {
        let (session, left) = (self.0.clone(), ctx.remaining().unwrap());
        let task = tokio::spawn(async move { session.call("/left/tell", ()).timeout(left).await });
        Ok(task.await.unwrap()?)
    }

    async fn too_late(&self, ctx: &CallCtx) {
        ctx.cancelled().await;
        self.1.send(self.tell(None).await).unwrap();
    }

    #[route(on_cancel = "finish")]
    async fn finish(&self, ctx: &CallCtx) {
        assert!(ctx.remaining().is_some());
        sleep(millis(2000)).await;
        self.1.send(self.tell(None).await).unwrap();
    }

    async fn never(&self) -> Result<(), Rerror> {
        let never: Result<(), Error> = self.0.call("/left/never", ()).await;
        let text = format!("{:?}", never.as_ref().unwrap_err());
        self.1.send(never.map(|()| None)).unwrap();
        Err(Rerror::timeout(text))
    }
}

struct Three {
    here: Session,
    seen: mpsc::UnboundedReceiver<Result<Option<u64>, Error>>,
    /// The last one's end, to see what runs there.
    there: Session,
}

/// A client, a peer between, and one behind; all tell what is left.
async fn three(between: PeerBuilder) -> Three {
    let behind = Peer::builder().build().unwrap();
    behind.route_call(Left).unwrap();
    let between = between.propagate(true).build().unwrap();
    let (there, next) = connect(&behind, &between).await;
    let (sender, seen) = mpsc::unbounded_channel();
    between.route_call(On(next, sender)).unwrap();
    let client = Peer::builder().propagate(true).build().unwrap();
    let (_, here) = connect(&between, &client).await;
    Three { here, seen, there }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_shrinks_from_peer_to_peer() {
    let three = three(Peer::builder()).await;
    let left = |uri: &'static str, arg: u64, timeout: u64| {
        let here = three.here.clone();
        async move {
            let call = here.call::<Option<u64>>(uri, arg);
            call.timeout(millis(timeout)).await.unwrap()
        }
    };
    assert_eq!(left("/on/after", 0, 1000).await, Some(1000));
    assert_eq!(left("/on/after", 300, 1000).await, Some(700));
    assert_eq!(left("/on/spawned", 300, 1000).await, Some(700));
    assert_eq!(left("/on/joined", 0, 1000).await, Some(990));
    // The shorter of what a call says and what its handler has.
    assert_eq!(left("/on/within", 400, 1000).await, Some(400));
    assert_eq!(left("/on/within", 4000, 1000).await, Some(1000));
    // Tasks that are spawned do not inherit it; they can be told.
    assert_eq!(left("/on/elsewhere", 0, 1000).await, None);
    assert_eq!(left("/on/told", 0, 1000).await, Some(1000));
    // Without a limit there is none.
    let call = three.here.call::<Option<u64>>("/on/after", 5);
    assert_eq!(call.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_the_peer_between_bounds_those_behind_it_too() {
    let three = three(Peer::builder().default_context_age(millis(400))).await;
    let call = three.here.call::<Option<u64>>("/on/after", 100);
    assert_eq!(call.timeout(millis(5000)).await.unwrap(), Some(300));
    // A handler sets its own limit below that, but none above.
    let call = three.here.call::<Option<u64>>("/on/within", 9000);
    assert_eq!(call.await.unwrap(), Some(400));
}

#[tokio::test(start_paused = true)]
async fn a_call_made_too_late_is_not_sent_and_one_that_waits_ends_with_its_handler() {
    let mut three = three(Peer::builder()).await;
    let call = three
        .here
        .call::<()>("/on/too/late", ())
        .timeout(millis(300));
    let error = call.await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    let error = three.seen.recv().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("nothing was sent"), "{error}");

    let started = Instant::now();
    let call = three.here.call::<()>("/on/never", ()).timeout(millis(300));
    assert!(call.await.unwrap_err().is_timeout());
    let error = three.seen.recv().await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert!(started.elapsed() < millis(330), "{:?}", started.elapsed());
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_finishes_is_not_bound() {
    let mut three = three(Peer::builder()).await;
    let call = three.here.call::<()>("/on/finish", ()).timeout(millis(300));
    assert!(call.await.unwrap_err().is_timeout());
    assert_eq!(three.seen.recv().await.unwrap().unwrap(), None);
    assert_eq!(three.there.running_handlers(), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_of_hooks_are_bound_too() {
    struct Asks(Session);

    #[plugin]
    impl Plugin for Asks {
        fn name(&self) -> &str {
            "asks"
        }

        async fn post_read_call_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
            sleep(millis(50)).await;
            let left: Option<u64> = self.0.call("/left/tell", ()).await?;
            assert_eq!(left, Some(350));
            assert_eq!(ctx.remaining(), Some(millis(350)));
            Ok(())
        }
    }

    let behind = Peer::builder().build().unwrap();
    behind.route_call(Left).unwrap();
    let asking = Peer::builder().propagate(true).build().unwrap();
    let (_there, next) = connect(&behind, &asking).await;
    let server = Peer::builder().default_context_age(millis(400));
    let server = server.plugin(Asks(next)).build().unwrap();
    server.route_call(Left).unwrap();
    let client = Peer::builder().build().unwrap();
    let (_, here) = connect(&server, &client).await;
    let left: Option<u64> = here.call("/left/tell", ()).await.unwrap();
    assert_eq!(left, Some(350));
}

#[tokio::test]
async fn over_real_connections_the_time_that_is_left_shrinks() {
    let behind = Peer::builder().build().unwrap();
    behind.route_call(Left).unwrap();
    let behind_at = behind.listen_on("127.0.0.1:0").await.unwrap();
    let between = Peer::builder().propagate(true).build().unwrap();
    let next = between.dial(&behind_at).await.unwrap();
    between
        .route_call(On(next, mpsc::unbounded_channel().0))
        .unwrap();
    let between_at = between.listen_on("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().propagate(true).build().unwrap();
    let here = client.dial(&between_at).await.unwrap();
    let call = here.call::<Option<u64>>("/on/after", 20);
    let left = call
        .timeout(Duration::from_secs(600))
        .await
        .unwrap()
        .unwrap();
    assert!(left <= 599_981, "{left}");
}

#[tokio::test(start_paused = true)]
async fn a_call_with_a_timeout_of_zero_has_no_time_and_not_all_of_it() {
    let server = Peer::builder().build().unwrap();
    server.route_call(Left).unwrap();
    let client = Peer::builder().build().unwrap();
    let (_there, session) = connect(&server, &client).await;
    let call = session
        .call::<()>("/left/never", ())
        .timeout(Duration::ZERO);
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(session.health());
}
