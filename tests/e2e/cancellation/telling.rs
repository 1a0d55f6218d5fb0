//! What the other peer is told when a call is given up, and how often.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use teleport::{ErrorKind, Peer, PeerBuilder, Plugin, Rerror, Session, controller, plugin};
use teleport_tests::frames::{REPLY, RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{bare, connect, settle, until};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::{BEGUN, Counts, Held, OVER, Over, drop_after, held};

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
async fn over_real_connections_a_dropped_call_stops_its_handler() {
    let (counts, permits) = (Counts::default(), Arc::new(Semaphore::new(0)));
    let server = Peer::builder().build().unwrap();
    server.route_call(Held(counts.clone(), permits)).unwrap();
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().propagate(true).build().unwrap();
    let session = client.dial(&address).await.unwrap();
    for round in 1..=20 {
        let command = session.call::<u32>("/held/abort", ()).send().await.unwrap();
        until("it begins", || counts.of(BEGUN) == round).await;
        drop(command);
        until("it is over", || counts.of(OVER) == round).await;
    }
    assert_eq!(session.call::<u64>("/held/now", 3).await.unwrap(), 3);
    client.close().await;
    server.close().await;
}
