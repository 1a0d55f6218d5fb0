//! Pushes that come while a peer shuts down: handled, or counted, and whoever sent them is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use teleport::session::SessionEventKind;
use teleport::{Peer, push_handler};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{Pair, bare, settle};
use tokio::io::AsyncWriteExt as _;

use super::{LONG, Work, notice, spawn_shutdown};

#[derive(Clone, Default)]
struct Notes(Arc<AtomicUsize>);

#[push_handler]
impl Notes {
    fn take(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn push() -> Vec<u8> {
    RawFrame::push("p", "/notes/take", "null").bytes()
}

#[tokio::test(start_paused = true)]
async fn pushes_that_come_too_late_are_counted_and_their_sender_is_told_how_many() {
    let server = Peer::builder().build().unwrap();
    let (work, notes) = (Work::new(), Notes::default());
    server.route_call(work.clone()).unwrap();
    server.route_push(notes.clone()).unwrap();
    let (_session, mut stream) = bare(&server, 1 << 16).await;
    let held = RawFrame::call("held", "/work/held", "1").bytes();
    stream.write_all(&held).await.unwrap();
    let shutdown = spawn_shutdown(&server, LONG);
    assert_eq!(notice(&mut stream).await, "going-away");
    stream.write_all(&[push(), push()].concat()).await.unwrap();
    settle().await;
    assert_eq!(notes.0.load(Ordering::SeqCst), 2, "there is time for these");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let late = [push(), push(), push()].concat();
    stream.write_all(&late).await.unwrap();
    settle().await;
    work.permits.add_permits(1);
    let reply = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(reply.seq, "held");
    let gone = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(gone.meta_value("X-Notice").as_deref(), Some("gone"));
    assert_eq!(gone.meta_value("X-Notice-Pushes").as_deref(), Some("3"));
    let report = shutdown.await.unwrap();
    assert_eq!((report.handlers_finished, report.pushes_dropped), (3, 3));
    assert_eq!(notes.0.load(Ordering::SeqCst), 2);
    assert!(!report.is_complete());
    let text = report.to_string();
    assert!(text.ends_with("; 3 pushes dropped"), "{text}");
}

#[tokio::test]
async fn whoever_pushed_too_late_gets_to_know_how_many_were_lost() {
    for (said, lost) in [("3", 3), ("0", 0), ("-1", 0), ("many", 0), ("", 0)] {
        let client = Peer::builder().build().unwrap();
        let mut events = client.session_events();
        let (session, mut stream) = bare(&client, 1 << 16).await;
        let pairs = format!("X-Notice=gone&X-Notice-Pushes={said}");
        let gone = RawFrame::reply("~notice", "").meta(&pairs).bytes();
        stream.write_all(&gone).await.unwrap();
        session.closed().await;
        loop {
            match events.recv().await.unwrap().kind {
                SessionEventKind::Closed { pushes_lost, .. } => {
                    assert_eq!(pushes_lost, lost, "{said:?}");
                    break;
                }
                kind => assert_eq!(kind, SessionEventKind::Connected),
            }
        }
    }
}

#[tokio::test]
async fn whoever_is_told_in_time_pushes_no_more_and_loses_none() {
    let pair = Pair::new().await;
    let (work, notes) = (Work::new(), Notes::default());
    pair.server.route_call(work.clone()).unwrap();
    pair.server.route_push(notes.clone()).unwrap();
    let here = pair.here.clone();
    let pushing = tokio::spawn(async move {
        let mut sent = 0;
        loop {
            match here.push("/notes/take", ()).await {
                Ok(()) => sent += 1,
                Err(error) => return (sent, error),
            }
            tokio::task::yield_now().await;
        }
    });
    settle().await;
    let report = pair.server.shutdown(LONG).await;
    let (sent, error) = pushing.await.unwrap();
    assert!(error.is_closed() && error.may_retry(), "{error:?}");
    assert_eq!(notes.0.load(Ordering::SeqCst), sent);
    assert!(sent > 0 && report.is_complete(), "{report}");
}
