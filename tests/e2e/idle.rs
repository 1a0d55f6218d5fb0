//! What a session holds while nothing happens.

use bytes::Bytes;
use teleport::{Peer, Session, controller};
use teleport_tests::frames::RawFrame;
use teleport_tests::pair::{Pair, bare, call_bytes, settle};
use tokio::io::AsyncWriteExt;

struct Echo;

#[controller]
impl Echo {
    async fn back(&self, arg: Bytes) -> Bytes {
        arg
    }
}

/// No buffer is as small as this; the slots of a few calls are.
const NEXT_TO_NOTHING: usize = 2 * 1024;

#[track_caller]
fn assert_holds_next_to_nothing(sessions: &[&Session], after: &str) {
    for session in sessions {
        let held = session.held_bytes();
        println!("held after {after}: {held} bytes");
        assert!(held < NEXT_TO_NOTHING, "{held} bytes after {after}");
    }
}

#[tokio::test]
async fn an_idle_session_holds_no_buffer() {
    let pair = Pair::new().await;
    pair.server.route_call(Echo).unwrap();
    let both = [&pair.here, &pair.there];
    settle().await;
    assert_holds_next_to_nothing(&both, "the connecting");

    call_bytes(&pair.here, "/echo/back", "x").await.unwrap();
    assert_holds_next_to_nothing(&both, "a small call");

    let big = vec![b'x'; 3 << 20];
    drop(call_bytes(&pair.here, "/echo/back", big).await.unwrap());
    settle().await;
    assert_holds_next_to_nothing(&both, "a large call");

    let calls: Vec<_> = (0..500)
        .map(|_| {
            let here = pair.here.clone();
            tokio::spawn(async move { call_bytes(&here, "/echo/back", vec![b'x'; 2000]).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    settle().await;
    assert_holds_next_to_nothing(&both, "500 calls at once");
}

#[tokio::test]
async fn a_message_cut_off_holds_what_came_of_it() {
    let server = Peer::builder().build().unwrap();
    let (session, mut stream) = bare(&server, 1 << 20).await;
    let frame = RawFrame::call("A", "/echo/back", vec![b'x'; 300_000]).bytes();
    let (front, back) = frame.split_at(1000);
    stream.write_all(front).await.unwrap();
    settle().await;
    let held = session.held_bytes();
    assert!((1000..3000).contains(&held), "{held} bytes for 1000");

    stream.write_all(&back[..200_000]).await.unwrap();
    settle().await;
    let held = session.held_bytes();
    assert!(
        (200_000..500_000).contains(&held),
        "{held} bytes for 201000"
    );
}
