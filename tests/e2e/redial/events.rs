//! What is told of sessions, to whoever listens.

use std::time::Duration;

use teleport::Peer;
use teleport::session::{EventsError, Redial, SessionEventKind};
use teleport_tests::pair::{Pair, connect, settle};

use super::{Scene, next};

#[tokio::test(start_paused = true)]
async fn an_outage_is_told_from_its_beginning_to_its_end() {
    let scene = Scene::new(Redial::times(5).seed(1)).await;
    let mut events = scene.client.session_events();
    scene.exchange.go_down();
    let SessionEventKind::Lost { reason, .. } = next(&mut events).await else {
        panic!("lost first");
    };
    assert_eq!(reason, "closed by the other end");
    for n in 1..=2 {
        let SessionEventKind::Redialling { attempt, delay, .. } = next(&mut events).await else {
            panic!("then attempt {n}");
        };
        assert_eq!(attempt, n);
        assert!(
            delay <= Duration::from_millis(400 * u64::from(n)),
            "{delay:?}"
        );
    }
    scene.exchange.set_up(true);
    let SessionEventKind::Restored {
        attempts, outage, ..
    } = next(&mut events).await
    else {
        panic!("then restored");
    };
    assert_eq!(attempts, 2);
    assert!(
        !outage.is_zero() && outage < Duration::from_secs(2),
        "{outage:?}"
    );
    scene.session.close().await;
    let event = events.recv().await.unwrap();
    assert!(event.session.is_same(&scene.session));
    let SessionEventKind::Closed {
        reason,
        pushes_lost,
        ..
    } = event.kind
    else {
        panic!("and closed");
    };
    assert_eq!((reason.as_str(), pushes_lost), ("closed by this side", 0));
}

#[tokio::test(start_paused = true)]
async fn both_ends_of_any_session_are_told_of() {
    let pair = Pair::new().await;
    for peer in [&pair.server, &pair.client] {
        let mut events = peer.session_events();
        let (there, here) = connect(&pair.server, &pair.client).await;
        assert_eq!(next(&mut events).await, SessionEventKind::Connected);
        there.close().await;
        here.closed().await;
        let event = events.recv().await.unwrap();
        assert!(event.session.is_same(&there) || event.session.is_same(&here));
        assert!(
            matches!(event.kind, SessionEventKind::Closed { .. }),
            "{event:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_events_of_one_session_are_its_own_and_end_with_it() {
    let scene = Scene::new(Redial::forever()).await;
    let mut events = scene.session.events();
    let (near, far) = tokio::io::duplex(64);
    let other = scene.client.dial_conn(near).await.unwrap();
    drop(far);
    other.closed().await;
    scene.exchange.cut();
    assert!(matches!(
        next(&mut events).await,
        SessionEventKind::Lost { .. }
    ));
    scene.session.close().await;
    assert!(matches!(
        next(&mut events).await,
        SessionEventKind::Redialling { .. }
    ));
    assert!(matches!(
        next(&mut events).await,
        SessionEventKind::Closed { .. }
    ));
    assert_eq!(events.recv().await.err(), Some(EventsError::Over));
    // Of a session that is closed there is nothing to tell.
    assert_eq!(other.events().recv().await.err(), Some(EventsError::Over));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_listen_in_time_is_told_how_much_was_missed() {
    let peer = Peer::builder().build().unwrap();
    let mut events = peer.session_events();
    for _ in 0..1100 {
        let (near, far) = tokio::io::duplex(64);
        let session = peer.dial_conn(near).await.unwrap();
        drop(far);
        session.closed().await;
    }
    settle().await;
    assert_eq!(
        events.recv().await.err(),
        Some(EventsError::Missed(2200 - 1024))
    );
    for _ in 0..1024 {
        events.recv().await.unwrap();
    }
}
