//! What plugins see of another connection, and what their refusals mean.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use teleport::message::{Message, Mtype};
use teleport::plugins::auth::{Launch, Verify};
use teleport::session::Redial;
use teleport::{DialCtx, Peer, Plugin, PreSession, Rerror, Session, plugin};
use teleport_tests::exchange::{Exchange, bare_line};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::settle;
use tokio::io::AsyncWriteExt;

use super::{Echo, Scene};

/// Whether it is another connection, the name, and what was counted.
type Seen = (bool, Option<String>, Option<i32>);

#[derive(Clone, Default)]
struct Greets {
    seen: Arc<Mutex<Vec<Seen>>>,
    refuses_by: Arc<AtomicI32>,
    attempts: Arc<AtomicUsize>,
}

#[plugin]
impl Plugin for Greets {
    fn name(&self) -> &str {
        "greets"
    }

    async fn post_dial(&self, session: &mut PreSession) -> Result<(), Rerror> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let count = session.swap().get::<i32>("count").copied();
        let id = session.id().map(str::to_owned);
        let mut message = Message::new(Mtype::PUSH, "/hello", "");
        message.header.body_codec = b's';
        session.send(message).await?;
        self.seen
            .lock()
            .unwrap()
            .push((session.is_redial(), id, count));
        session.swap_mut().insert("count", count.unwrap_or(0) + 1);
        if !session.is_redial() {
            session.set_id("ann");
        }
        match self.refuses_by.load(Ordering::SeqCst) {
            0 => Ok(()),
            code => Err(Rerror::new(code, "no", "")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_plugins_run_again_with_the_name_the_data_and_the_next_sequence() {
    let (connector, mut offered) = bare_line(1024);
    let greets = Greets::default();
    let client = Peer::builder().plugin(greets.clone()).build().unwrap();
    let dial = client.dial_by(connector).redial(Redial::forever());
    let session = dial.await.unwrap();
    let mut far = offered.recv().await.unwrap();
    assert_eq!(read_frame(&mut far).await.unwrap().unwrap().seq, "A");
    session.push("/x", 1).await.unwrap();
    assert_eq!(read_frame(&mut far).await.unwrap().unwrap().seq, "B");
    session.swap_mut().insert("other", 5);
    drop(far);
    let mut far = offered.recv().await.unwrap();
    assert_eq!(read_frame(&mut far).await.unwrap().unwrap().seq, "C");
    let (call, ()) = tokio::join!(session.call::<i64>("/x", 1), async {
        let frame = read_frame(&mut far).await.unwrap().unwrap();
        assert_eq!(frame.seq, "D");
        far.write_all(&RawFrame::reply("D", "7").bytes())
            .await
            .unwrap();
    });
    assert_eq!(call.unwrap(), 7);
    let seen = greets.seen.lock().unwrap().clone();
    assert_eq!(
        seen,
        [(false, None, None), (true, Some("ann".into()), Some(1))]
    );
    assert_eq!(session.swap().get::<i32>("count"), Some(&2));
    assert_eq!(session.swap().get::<i32>("other"), Some(&5));
    assert_eq!(&*session.id(), "ann");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_says_no_ends_the_session_and_any_other_is_an_attempt() {
    for (code, is_final) in [
        (401, true),
        (403, true),
        (400, true),
        (408, false),
        (429, false),
        (503, false),
        (7, false),
    ] {
        let greets = Greets::default();
        let scene = Scene::of(Peer::builder().plugin(greets.clone()), Redial::times(3)).await;
        greets.refuses_by.store(code, Ordering::SeqCst);
        scene.exchange.cut();
        scene.session.closed().await;
        let attempts = greets.attempts.load(Ordering::SeqCst) - 1;
        assert_eq!(attempts, if is_final { 1 } else { 3 }, "{code}");
        let reason = scene.session.close_reason().unwrap();
        assert!(reason.contains(&format!("{code}")), "{reason}");
    }
}

/// Refuses to have dialled, after the first time, with these codes.
#[derive(Clone, Default)]
struct Asks {
    codes: Arc<Mutex<Vec<i32>>>,
    redials: Arc<Mutex<Vec<bool>>>,
}

#[plugin]
impl Plugin for Asks {
    fn name(&self) -> &str {
        "asks"
    }

    async fn pre_dial(&self, ctx: &mut DialCtx) -> Result<(), Rerror> {
        assert_eq!(ctx.target(), "the other end");
        self.redials.lock().unwrap().push(ctx.is_redial());
        match self.codes.lock().unwrap().pop() {
            None => Ok(()),
            Some(code) => Err(Rerror::new(code, "not now", "")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_is_asked_before_each_attempt_and_nothing_is_dialled_against_its_word() {
    let asks = Asks::default();
    let scene = Scene::of(Peer::builder().plugin(asks.clone()), Redial::times(5)).await;
    *asks.codes.lock().unwrap() = vec![503, 503];
    scene.exchange.cut();
    settle().await;
    assert_eq!(scene.session.call::<i64>("/echo/now", 1).await.unwrap(), 1);
    assert_eq!(*asks.redials.lock().unwrap(), [false, true, true, true]);
    assert_eq!(scene.exchange.dials().len(), 2, "two attempts were refused");
    // What says no for good ends the session, as after the dial.
    *asks.codes.lock().unwrap() = vec![403];
    scene.exchange.cut();
    scene.session.closed().await;
    assert_eq!(scene.exchange.dials().len(), 2);
    let reason = scene.session.close_reason().unwrap();
    assert!(reason.contains("403"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn auth_runs_again_and_a_token_that_is_not_good_any_more_ends_the_session() {
    let is_good = Arc::new(AtomicUsize::new(1));
    let good = Arc::clone(&is_good);
    let server = Peer::builder()
        .plugin(Verify::new(move |_, token| {
            if good.load(Ordering::SeqCst) == 1 && token == "secret" {
                Ok(())
            } else {
                Err(Rerror::new(403, "Forbidden", "too old"))
            }
        }))
        .build()
        .unwrap();
    server.route_call(Echo::default()).unwrap();
    let exchange = Exchange::new(&server);
    let client = Peer::builder()
        .plugin(Launch::new("secret"))
        .build()
        .unwrap();
    let dial = client.dial_by(exchange.connector());
    let session = dial.redial(Redial::forever()).await.unwrap();
    exchange.cut();
    settle().await;
    assert_eq!(session.call::<i64>("/echo/now", 1).await.unwrap(), 1);
    is_good.store(0, Ordering::SeqCst);
    exchange.cut();
    tokio::time::timeout(Duration::from_secs(60), session.closed())
        .await
        .unwrap();
    let reason = session.close_reason().unwrap();
    assert!(reason.contains("too old"), "{reason}");
    assert_eq!(exchange.dials().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_last_hooks_wait_for_what_runs_on_an_older_connection() {
    #[derive(Clone, Default)]
    struct Ends(Arc<AtomicUsize>);

    #[plugin]
    impl Plugin for Ends {
        fn name(&self) -> &str {
            "ends"
        }

        fn post_disconnect(&self, _: &Session) -> Result<(), Rerror> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    let (connector, mut offered) = bare_line(4096);
    let (ends, echo) = (Ends::default(), Echo::default());
    let client = Peer::builder().plugin(ends.clone()).build().unwrap();
    client.route_call(echo.clone()).unwrap();
    let dial = client.dial_by(connector).redial(Redial::forever());
    let session = dial.await.unwrap();
    let mut old = offered.recv().await.unwrap();
    let call = RawFrame::call("A", "/echo/held", "5").bytes();
    old.write_all(&call).await.unwrap();
    settle().await;
    let going = RawFrame::reply("~notice", "").codec(0);
    let going = going.meta("X-Notice=going-away").bytes();
    old.write_all(&going).await.unwrap();
    let new = offered.recv().await.unwrap();
    settle().await;
    drop(session.close());
    drop(new);
    settle().await;
    assert_eq!(ends.0.load(Ordering::SeqCst), 0, "a handler runs yet");
    echo.gate.notify_one();
    assert_eq!(read_frame(&mut old).await.unwrap().unwrap().body, b"5");
    session.closed().await;
    assert_eq!(ends.0.load(Ordering::SeqCst), 1, "once for all connections");
}
