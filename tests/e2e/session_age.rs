//! The age of sessions: when they end, and what they still do.

use std::time::Duration;

use teleport::{CallCtx, ErrorKind, Peer, Plugin, PreSession, Rerror, Session, controller, plugin};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{Pair, bare, settle, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

const AGE: Duration = Duration::from_millis(700);

struct Work;

#[controller]
impl Work {
    async fn sleep(&self, arg: u64) -> u64 {
        sleep(Duration::from_millis(arg)).await;
        arg
    }
}

fn aged() -> Peer {
    let peer = Peer::builder().default_session_age(AGE).build().unwrap();
    peer.route_call(Work).unwrap();
    peer
}

/// How long after `started` the session ends.
async fn ended(session: &Session, started: Instant) -> u64 {
    session.closed().await;
    u64::try_from(started.elapsed().as_millis()).unwrap()
}

#[track_caller]
fn assert_about(millis: u64, due: u64) {
    assert!((due..=due + 20).contains(&millis), "{millis} ms, due {due}");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_at_its_age_whatever_comes() {
    let started = Instant::now();
    let (logs, _guard) = capture(false);
    let (session, mut stream) = bare(&aged(), 1 << 16).await;
    assert_eq!(session.session_age(), AGE);
    // Messages all the way do not make it younger.
    for _ in 0..6 {
        let frame = RawFrame::call("s", "/work/sleep", "100").bytes();
        stream.write_all(&frame).await.unwrap();
        let reply = read_frame(&mut stream).await.unwrap().unwrap();
        assert_eq!(reply.body, b"100");
    }
    assert!(session.health());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
    assert_about(ended(&session, started).await, 700);
    let reason = session.close_reason().unwrap();
    assert!(reason.contains("age of 700ms"), "{reason}");
    assert!(logs.has(&["it reached its age"]), "{:?}", logs.all());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_due_at_the_end_is_written_and_then_the_session_closes() {
    let started = Instant::now();
    let (session, mut stream) = bare(&aged(), 1 << 16).await;
    let frame = RawFrame::call("s", "/work/sleep", "1000").bytes();
    stream.write_all(&frame).await.unwrap();
    sleep(AGE + Duration::from_millis(20)).await;
    assert!(!session.health(), "nothing new begins");
    assert_eq!(session.running_handlers(), 1);
    // What comes now is not read any more.
    let frame = RawFrame::call("late", "/work/sleep", "1").bytes();
    stream.write_all(&frame).await.unwrap();
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!((reply.seq.as_str(), &reply.body[..]), ("s", &b"1000"[..]));
    assert_eq!(read_frame(&mut stream).await.unwrap(), None);
    assert_about(ended(&session, started).await, 1000);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_fail_when_the_age_is_over() {
    let started = Instant::now();
    let (session, _stream) = bare(&aged(), 1 << 16).await;
    let error = session.call::<()>("/never", ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.to_string().contains("age of 700ms"), "{error}");
    assert_about(ended(&session, started).await, 700);
    assert_eq!(Rerror::from(error).code(), 102);
    let error = session.call::<()>("/never", ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_age_is_set_before_the_session_starts_and_later_counted_from_then() {
    struct Ages(u64);

    #[plugin]
    impl Plugin for Ages {
        fn name(&self) -> &str {
            "ages"
        }

        fn post_accept(&self, session: &mut PreSession) -> Result<(), Rerror> {
            assert_eq!(session.session_age(), AGE);
            session.set_session_age(Duration::from_millis(self.0));
            Ok(())
        }
    }

    let peer = |age| {
        let builder = Peer::builder().default_session_age(AGE);
        builder.plugin(Ages(age)).build().unwrap()
    };
    let started = Instant::now();
    let (young, _one) = bare(&peer(300), 64).await;
    let (later, _two) = bare(&peer(300), 64).await;
    let (ageless, _three) = bare(&peer(0), 64).await;
    let (sooner, _four) = bare(&peer(5000), 64).await;
    assert_about(ended(&young, started).await, 300);
    assert!(!later.health());

    let (later, _five) = bare(&peer(300), 64).await;
    sleep(Duration::from_millis(200)).await;
    later.set_session_age(AGE);
    sooner.set_session_age(Duration::from_millis(100));
    assert_about(ended(&sooner, started).await, 600);
    assert_about(ended(&later, started).await, 1200);

    ageless.set_session_age(AGE);
    ageless.set_session_age(Duration::ZERO);
    sleep(Duration::from_secs(3600)).await;
    assert!(ageless.health());
    ageless.set_session_age(AGE);
    ageless.closed().await;
}

#[tokio::test(start_paused = true)]
async fn each_session_of_a_peer_ends_at_its_own_time() {
    let peer = aged();
    let mut sessions = Vec::new();
    for _ in 0..50 {
        sessions.push((bare(&peer, 64).await, Instant::now()));
        sleep(Duration::from_millis(7)).await;
    }
    for ((session, _stream), started) in &sessions {
        assert!(session.health() == (started.elapsed() < AGE));
        session.closed().await;
        let late = started.elapsed().checked_sub(AGE).unwrap();
        assert!(late <= Duration::from_millis(20), "{late:?}");
    }
    assert!(peer.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_closed_before_is_closed_once() {
    let peer = aged();
    let (session, _stream) = bare(&peer, 64).await;
    session.close().await;
    session.set_session_age(Duration::from_millis(1));
    sleep(AGE * 2).await;
    assert_eq!(
        session.close_reason().as_deref(),
        Some("closed by this side")
    );
}

#[tokio::test]
async fn over_a_real_connection_the_other_end_gets_its_reply_before_the_end() {
    /// Grows old while it works.
    struct Old;

    #[controller]
    impl Old {
        async fn work(&self, ctx: &CallCtx, arg: u64) -> u64 {
            let session = ctx.session();
            session.set_session_age(Duration::from_millis(1));
            until("the age is over", || !session.health()).await;
            arg
        }
    }

    let server = Peer::builder().build().unwrap();
    server.route_call(Old).unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().build().unwrap();
    let session = client.dial(&address).await.unwrap();
    assert_eq!(session.call::<u64>("/old/work", 80).await.unwrap(), 80);
    session.closed().await;
    assert_eq!(
        session.close_reason().as_deref(),
        Some("closed by the other end")
    );
    assert_eq!(session.session_age(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_handler_past_the_age_of_its_session_cannot_call_back() {
    struct Back;

    #[controller]
    impl Back {
        async fn late(&self, ctx: &CallCtx) -> Result<String, Rerror> {
            sleep(AGE * 2).await;
            let error = ctx.session().call::<()>("/x", ()).await.unwrap_err();
            Ok(format!("{:?}", error.kind()))
        }
    }

    let server = Peer::builder().default_session_age(AGE);
    let pair = Pair::of(server, Peer::builder()).await;
    pair.server.route_call(Back).unwrap();
    let told: String = pair.here.call("/back/late", ()).await.unwrap();
    assert_eq!(told, "Closed");
    settle().await;
    pair.here.closed().await;
}

#[tokio::test]
async fn a_session_that_dials_again_is_young_again() {
    struct Accepts(mpsc::UnboundedSender<()>);

    #[plugin]
    impl Plugin for Accepts {
        fn name(&self) -> &str {
            "accepts"
        }

        fn post_accept(&self, _: &mut PreSession) -> Result<(), Rerror> {
            let _ = self.0.send(());
            Ok(())
        }
    }

    let (sender, mut accepted) = mpsc::unbounded_channel();
    let server = Peer::builder().plugin(Accepts(sender)).build().unwrap();
    server.route_call(Work).unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = Peer::builder()
        .default_session_age(Duration::from_millis(20))
        .redial_times(-1)
        .redial_interval(Duration::from_millis(1))
        .build()
        .unwrap();
    let session = client.dial(&address).await.unwrap();
    for _ in 0..4 {
        accepted.recv().await.unwrap();
    }
    assert!(session.health());
    session.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_age_that_is_set_after_the_end_is_none() {
    let pair = Pair::of(Peer::builder(), Peer::builder()).await;
    pair.here.set_session_age(AGE);
    pair.here.close().await;
    pair.here.closed().await;
    pair.here.set_session_age(AGE * 2);
    assert_eq!(pair.here.session_age(), AGE, "nothing is watched any more");
}
