//! Notices that come too late, twice, too often, or about nothing.

use std::time::Duration;

use teleport::Peer;
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{bare, settle};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::{call, held, held_of, notice};

#[tokio::test]
async fn of_two_calls_with_one_sequence_text_the_later_is_given_up() {
    let held = held().await;
    let (session, mut stream) = bare(&held.pair.server, 1 << 16).await;
    stream.write_all(&call("A", "/held/abort")).await.unwrap();
    stream.write_all(&call("A", "/held/abort")).await.unwrap();
    settle().await;
    assert_eq!(session.running_handlers(), 2);
    // The earlier one ends, and takes nothing of the later one along.
    held.permits.add_permits(1);
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().body, b"7");
    settle().await;
    assert_eq!(session.running_handlers(), 1);
    stream.write_all(&notice("A")).await.unwrap();
    settle().await;
    assert_eq!(held.counts.all(), [2, 0, 2]);
    assert_eq!(session.running_handlers(), 0);
}

#[tokio::test(start_paused = true)]
async fn notices_are_heard_though_as_many_handlers_run_as_may() {
    let (logs, _guard) = capture(false);
    let server = Peer::builder().max_running_handlers(2);
    let held = held_of(server, Peer::builder()).await;
    let (session, mut stream) = bare(&held.pair.server, 1 << 16).await;
    for frame in [
        call("A", "/held/abort"),
        call("B", "/held/abort"),
        call("C", "/held/now"),
        notice("B"),
    ] {
        stream.write_all(&frame).await.unwrap();
    }
    settle().await;
    // Nothing is read for a while: whoever calls on is held back, and not refused at once.
    sleep(Duration::from_millis(900)).await;
    assert_eq!(held.counts.all(), [2, 0, 0]);
    let refused = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!(refused.seq, "C");
    assert!(refused.error().contains("503"), "{refused:?}");
    settle().await;
    assert_eq!(held.counts.all(), [2, 0, 1]);
    stream.write_all(&call("D", "/held/now")).await.unwrap();
    let done = read_frame(&mut stream).await.unwrap().unwrap();
    assert_eq!((done.seq.as_str(), done.error().as_str()), ("D", ""));
    assert!(logs.has(&["none ends"]), "{:?}", logs.all());
    // Then it holds callers back again.
    sleep(Duration::from_secs(2)).await;
    stream.write_all(&call("E", "/held/abort")).await.unwrap();
    stream.write_all(&call("F", "/held/now")).await.unwrap();
    settle().await;
    assert_eq!(held.counts.all(), [3, 0, 1]);
    sleep(Duration::from_millis(900)).await;
    held.permits.add_permits(1);
    let mut seqs = Vec::new();
    for _ in 0..2 {
        let reply = read_frame(&mut stream).await.unwrap().unwrap();
        assert_eq!(reply.error(), "");
        seqs.push(reply.seq);
    }
    seqs.sort();
    assert_eq!(seqs, ["A", "F"]);
    assert_eq!(session.running_handlers(), 1);
}

#[tokio::test]
async fn notices_about_nothing_that_waits_are_ignored() {
    let held = held().await;
    let (session, mut stream) = bare(&held.pair.server, 1 << 16).await;
    for seq in ["", "A", "never", "%00", "~notice"] {
        stream.write_all(&notice(seq)).await.unwrap();
    }
    // A handler that is done, then one that waits, told twice; then its sequence text again.
    stream.write_all(&call("A", "/held/now")).await.unwrap();
    stream.write_all(&notice("A")).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().body, b"1");
    for round in 1..=3 {
        stream.write_all(&call("A", "/held/abort")).await.unwrap();
        settle().await;
        assert_eq!(session.running_handlers(), 1);
        stream.write_all(&notice("B")).await.unwrap();
        stream.write_all(&notice("A")).await.unwrap();
        stream.write_all(&notice("A")).await.unwrap();
        settle().await;
        assert_eq!(held.counts.all(), [round, 0, round]);
        assert_eq!(session.running_handlers(), 0);
    }
    // A caller that did not say that it would has nothing to say.
    let plain = RawFrame::call("A", "/held/abort", "").bytes();
    stream.write_all(&plain).await.unwrap();
    stream.write_all(&notice("A")).await.unwrap();
    settle().await;
    assert_eq!(session.running_handlers(), 1);
    held.permits.add_permits(1);
    assert_eq!(read_frame(&mut stream).await.unwrap().unwrap().body, b"7");
    assert!(session.health());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_gives_up_on_too_many_calls_is_not_believed_for_a_while() {
    let (logs, _guard) = capture(false);
    let held = held().await;
    let (here, there) = (&held.pair.here, &held.pair.there);
    for _ in 0..1500 {
        drop(here.call::<u32>("/held/abort", ()).send().await.unwrap());
    }
    settle().await;
    assert_eq!(held.counts.all(), [1500, 0, 1000], "the others go on");
    assert_eq!(there.running_handlers(), 500);
    let warned = logs
        .all()
        .iter()
        .filter(|line| line.text.contains("too many calls"))
        .count();
    assert_eq!(warned, 1, "once");
    sleep(Duration::from_secs(1)).await;
    drop(here.call::<u32>("/held/abort", ()).send().await.unwrap());
    settle().await;
    assert_eq!(held.counts.all(), [1501, 0, 1001], "it is believed again");
    assert!(there.health());
}
