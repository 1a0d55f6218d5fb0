//! What becomes of calls: in flight when a connection is lost, and made while there is none.

use std::time::Duration;

use teleport::session::Redial;
use teleport::{ErrorKind, Peer, Rerror};
use teleport_tests::exchange::bare_line;
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::settle;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use super::Scene;

#[tokio::test(start_paused = true)]
async fn a_call_that_was_written_fails_and_may_not_be_tried_again() {
    let scene = Scene::new(Redial::forever()).await;
    let awaited = scene.session.call::<i64>("/echo/held", 1);
    let sent = scene
        .session
        .call::<i64>("/echo/held", 2)
        .send()
        .await
        .unwrap();
    let (awaited, sent, ()) = tokio::join!(awaited, sent, async {
        settle().await;
        scene.exchange.cut();
    });
    for error in [awaited.unwrap_err(), sent.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(!error.may_retry(), "{error}");
        assert_eq!(Rerror::from(error).code(), 102);
    }
    assert_eq!(scene.echo(3).await.unwrap(), 3);
    assert_eq!(
        *scene.echo.began.lock().unwrap(),
        [1, 2, 3].map(|n| if n < 3 { 3 - n } else { n })
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_be_done_twice_is_made_again() {
    let scene = Scene::new(Redial::forever()).await;
    let awaited = scene.session.call::<i64>("/echo/held", 1).idempotent(true);
    let by_hand = scene.session.call::<i64>("/echo/held", 2).idempotent(true);
    let sent = by_hand.seq("mine").send().await.unwrap();
    let counted = scene.session.call::<i64>("/echo/held", 3).idempotent(true);
    let counted = counted.send().await.unwrap();
    assert_eq!(counted.seq().as_bytes(), b"A");
    let (awaited, sent, counted, ()) =
        tokio::join!(awaited, sent.reply(), counted.reply(), async {
            for _ in 0..2 {
                settle().await;
                scene.exchange.cut();
                while scene.echo.began.lock().unwrap().len() < 6 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            while scene.echo.began.lock().unwrap().len() < 9 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            scene.echo.gate.notify_waiters();
        });
    let (sent, counted) = (sent.unwrap(), counted.unwrap());
    assert_eq!((awaited.unwrap(), sent.body, counted.body), (1, 2, 3));
    // One set by hand stays; any other is the next of the session.
    assert_eq!(sent.seq.as_bytes(), b"mine");
    assert_ne!(counted.seq.as_bytes(), b"A");
    assert_eq!(scene.session.calls_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_written_whole_is_made_again() {
    let (connector, mut offered) = bare_line(64);
    let client = Peer::builder().build().unwrap();
    let session = client
        .dial_by(connector)
        .redial(Redial::forever())
        .await
        .unwrap();
    // The other end reads nothing, so that the second frame stays in the queue.
    let first = session.call::<i64>("/echo/now", vec![7; 10]);
    let second = session.call::<i64>("/echo/now", vec![7; 100]);
    let third = session.call::<i64>("/echo/now", 3).send().await.unwrap();
    let (first, second, third, ()) = tokio::join!(first, second, third, async {
        settle().await;
        drop(offered.recv().await.unwrap());
        let mut far = offered.recv().await.unwrap();
        for _ in 0..2 {
            let frame = read_frame(&mut far).await.unwrap().unwrap();
            let reply = RawFrame::reply(&frame.seq, frame.body.len().to_string());
            far.write_all(&reply.bytes()).await.unwrap();
        }
        std::mem::forget(far);
    });
    // What fitted was written, whether or not it was read.
    assert_eq!(third.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(first.unwrap(), 21);
    assert_eq!(second.unwrap(), 201);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_the_next_connection_within_its_time() {
    let scene = Scene::new(Redial::forever()).await;
    scene.exchange.go_down();
    settle().await;
    let started = Instant::now();
    let limit = Duration::from_secs(2);
    let call = scene.session.call::<i64>("/echo/now", 1).timeout(limit);
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.may_retry(), "{error}: nothing was sent");
    assert_eq!(started.elapsed().as_millis() / 10, 200);

    let waiting = async {
        let call = scene.session.call::<i64>("/echo/now", 2);
        call.timeout(Duration::from_secs(60)).await
    };
    let back = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(scene.session.waiting(), 1);
        scene.exchange.set_up(true);
    };
    assert_eq!(tokio::join!(waiting, back).0.unwrap(), 2);
    assert_eq!(scene.session.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_goes_on_over_the_connections() {
    let scene = Scene::new(Redial::forever()).await;
    let started = Instant::now();
    let call = scene.session.call::<i64>("/echo/held", 1).idempotent(true);
    let call = call.timeout(Duration::from_secs(3));
    let (result, ()) = tokio::join!(call, async {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            scene.exchange.cut();
        }
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(started.elapsed().as_millis() / 100, 30);
    assert_eq!(scene.session.calls_in_flight() + scene.session.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_and_pushes_wait_than_may() {
    let client = Peer::builder().queue_limit(1000);
    let scene = Scene::of(client, Redial::forever().max_waiting(3)).await;
    scene.exchange.go_down();
    settle().await;
    let session = &scene.session;
    let call = |n: i64| async move { session.call::<i64>("/echo/now", n).await };
    let push = async { session.push("/note/it", 3).await };
    let (one, two, pushed, ()) = tokio::join!(call(1), call(2), push, async {
        settle().await;
        assert_eq!(session.waiting(), 3);
        let error = call(4).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.may_retry(), "{error}");
        scene.exchange.set_up(true);
    });
    assert_eq!((one.unwrap(), two.unwrap()), (1, 2));
    pushed.unwrap();

    scene.exchange.go_down();
    settle().await;
    let large = "x".repeat(900);
    let (one, ()) = tokio::join!(async { session.push("/note/it", &large).await }, async {
        settle().await;
        let error = session.push("/note/it", &large).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        scene.exchange.set_up(true);
    });
    one.unwrap();
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_fail_when_the_session_gives_up_and_know_why() {
    let scene = Scene::new(Redial::times(2)).await;
    scene.exchange.go_down();
    settle().await;
    let call = scene.session.call::<i64>("/echo/now", 1);
    let push = scene.session.push("/note/it", 1);
    let (called, pushed) = tokio::join!(call, push);
    for error in [called.unwrap_err(), pushed.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(error.may_retry(), "{error}");
        let text = error.to_string();
        assert!(text.contains("closed by the other end"), "{text}");
        assert!(text.contains("attempt 2 failed"), "{text}");
        assert!(text.contains("refused"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_cancelled_or_dropped_while_it_waits_for_a_connection() {
    let scene = Scene::new(Redial::forever()).await;
    let call = scene.session.call::<i64>("/echo/held", 1).idempotent(true);
    let call = call.send().await.unwrap();
    let canceller = call.canceller();
    let (result, ()) = tokio::join!(call, async {
        settle().await;
        scene.exchange.go_down();
        settle().await;
        assert_eq!(scene.session.waiting(), 1);
        canceller.cancel();
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    let call = scene.session.call::<i64>("/echo/now", 1);
    timeout(Duration::from_millis(1), call).await.unwrap_err();
    assert_eq!(scene.session.waiting(), 0);

    // And on the next connection, by the same handle.
    scene.exchange.set_up(true);
    let call = scene.session.call::<i64>("/echo/held", 2).idempotent(true);
    let call = call.send().await.unwrap();
    let canceller = call.canceller();
    let (result, ()) = tokio::join!(call, async {
        settle().await;
        scene.exchange.cut();
        while scene.echo.began.lock().unwrap().len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        canceller.cancel();
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(scene.session.calls_in_flight(), 0);
}

/// Both ends know notices here; the other end of a call in flight is a server that shuts down.
#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_answers_what_it_has_while_new_calls_go_elsewhere() {
    let scene = Scene::new(Redial::forever()).await;
    let old = scene.session.clone();
    let held = old.call::<i64>("/echo/held", 1).send().await.unwrap();
    settle().await;
    // Another server takes the place of the one that shuts down.
    let other = Peer::builder().build().unwrap();
    other.route_call(scene.echo.clone()).unwrap();
    let down = scene.server.shutdown(Duration::from_secs(60));
    settle().await;
    scene.exchange.serve_by(&other);
    assert_eq!(scene.echo(2).await.unwrap(), 2);
    assert_eq!(other.sessions().len(), 1);
    assert_eq!(scene.client.sessions().len(), 1);
    assert_eq!(scene.session.calls_in_flight(), 1);
    scene.echo.gate.notify_waiters();
    assert_eq!(held.await.unwrap(), 1);
    let report = down.await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(scene.echo(3).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn at_its_age_a_connection_is_replaced_and_what_is_under_way_on_it_ends_well() {
    let age = Duration::from_secs(5);
    let client = Peer::builder().default_session_age(age);
    let scene = Scene::of(client, Redial::forever()).await;
    let held = scene.session.call::<i64>("/echo/held", 1);
    let held = held.send().await.unwrap();
    for n in 0..30 {
        assert_eq!(scene.echo(n).await.unwrap(), n);
        tokio::time::sleep(age / 10).await;
    }
    let dials = scene.exchange.dials().len();
    assert!((3..=4).contains(&dials), "{dials} connections in 15 s");
    assert_eq!(scene.server.sessions().len(), 2);
    scene.echo.gate.notify_waiters();
    assert_eq!(held.await.unwrap(), 1);
    settle().await;
    assert_eq!(scene.server.sessions().len(), 1);
    assert_eq!(scene.session.session_age(), age);
}
