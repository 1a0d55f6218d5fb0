//! Many calls that are given up, and what is left of them.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use teleport::{Peer, Raw, controller};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::pair::{Pair, bare, poll_once, settle};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::held;

#[tokio::test]
async fn many_calls_that_are_given_up_at_once_leave_nothing_behind() {
    let held = held().await;
    let (here, there) = (&held.pair.here, &held.pair.there);
    // As many as are believed at once.
    for round in 1..=5 {
        let mut commands = Vec::new();
        for _ in 0..200 {
            commands.push(here.call::<u32>("/held/abort", ()).send().await.unwrap());
        }
        settle().await;
        assert_eq!(there.running_handlers(), 200);
        drop(commands);
        settle().await;
        assert_eq!(there.running_handlers(), 0, "round {round}");
    }
    assert_eq!(held.counts.all(), [1000, 0, 1000]);
    assert_eq!((here.calls_in_flight(), here.queued_bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_calls_that_are_given_up_stays_within_bounds() {
    const CALLS: usize = 100_000;
    const MAX: usize = 64;
    struct Counted(Arc<AtomicUsize>, Arc<AtomicUsize>);

    #[controller(on_cancel = "abort", age = "5ms")]
    impl Counted {
        async fn hold(&self, _arg: Bytes) {
            struct Leaves(Arc<AtomicUsize>);
            impl Drop for Leaves {
                fn drop(&mut self) {
                    self.0.fetch_sub(1, Ordering::SeqCst);
                }
            }
            let now = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            let _leaves = Leaves(self.0.clone());
            self.1.fetch_max(now, Ordering::SeqCst);
            pending::<()>().await;
        }
    }

    let server = Peer::builder().max_running_handlers(MAX);
    let pair = Pair::of(server, Peer::builder().propagate(true)).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    pair.server
        .route_call(Counted(running.clone(), most.clone()))
        .unwrap();
    let body = vec![b' '; 100];
    let mut held = [0; 2];
    for n in 0..CALLS {
        let mut call = pair
            .here
            .call::<()>("/counted/hold", Raw(body.clone()))
            .into_future();
        // A call that has to wait for room is waited for until it is on its way.
        while poll_once(&mut call).is_pending() && pair.here.calls_in_flight() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        drop(call);
        if n % 64 == 0 {
            tokio::task::yield_now().await;
            let half = &mut held[n * 2 / CALLS];
            *half = (*half).max(pair.here.held_bytes() + pair.there.held_bytes());
        }
    }
    sleep(Duration::from_secs(60)).await;
    assert!(most.load(Ordering::SeqCst) <= MAX, "{most:?}");
    assert_eq!(running.load(Ordering::SeqCst), 0);
    assert_eq!(pair.there.running_handlers(), 0);
    assert_eq!(
        (pair.here.calls_in_flight(), pair.here.queued_bytes()),
        (0, 0)
    );
    assert!(pair.there.health() && pair.here.health());
    // The queue has a bound of 4 MiB, and grows by doubling; what it holds grows no more.
    assert!(
        held[0] <= 12 * 1024 * 1024 && held[1] <= held[0],
        "{held:?}"
    );
    let settled = pair.here.held_bytes() + pair.there.held_bytes();
    assert!(settled <= 16 * 1024, "{settled}");
}

#[tokio::test]
async fn a_session_that_closes_while_calls_are_given_up_closes() {
    let held = held().await;
    let (here, there) = (held.pair.here.clone(), held.pair.there.clone());
    let commands: Vec<_> = {
        let mut commands = Vec::new();
        for _ in 0..10 {
            commands.push(here.call::<u32>("/held/abort", ()).send().await.unwrap());
        }
        commands
    };
    settle().await;
    let closing = tokio::spawn({
        let here = here.clone();
        async move { here.close().await }
    });
    settle().await;
    assert!(!closing.is_finished(), "it waits for its calls");
    drop(commands);
    closing.await.unwrap();
    there.closed().await;
    assert_eq!(held.counts.all(), [10, 0, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_wakes_no_other_caller() {
    // The server ignores what it is told, and answers every call a second late.
    let client = Peer::builder().propagate(true).build().unwrap();
    let (session, mut server) = bare(&client, 1 << 20).await;
    let started = Instant::now();
    for n in 0..2000_u32 {
        let mut call = session.call::<u32>("/x", n).into_future();
        assert!(poll_once(&mut call).is_pending());
        let frame = read_frame(&mut server).await.unwrap().unwrap();
        if n % 3 == 0 {
            server
                .write_all(&RawFrame::reply(&frame.seq, n.to_string()).bytes())
                .await
                .unwrap();
            assert_eq!(call.await.unwrap(), n);
        } else {
            drop(call);
            settle().await;
            let told = read_frame(&mut server).await.unwrap().unwrap();
            assert_eq!(
                told.meta_value("X-Notice-Seq").as_deref(),
                Some(frame.seq.as_str())
            );
            server
                .write_all(&RawFrame::reply(&frame.seq, "999999").bytes())
                .await
                .unwrap();
        }
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(session.calls_in_flight(), 0);
}

#[tokio::test]
async fn whoever_does_not_read_is_not_told_of_calls_without_end() {
    let client = Peer::builder()
        .propagate(true)
        .queue_limit(1000)
        .reply_queue_limit(2000);
    let (session, mut stream) = bare(&client.build().unwrap(), 256).await;
    let mut commands = Vec::new();
    for _ in 0..200 {
        commands.push(session.call::<()>("/x", ()).send().await.unwrap());
        read_frame(&mut stream).await.unwrap().unwrap();
    }
    // One that is larger than all bounds, and is not read.
    session.push("/x", Raw(vec![b' '; 10_000])).await.unwrap();
    settle().await;
    let queued = session.queued_bytes();
    assert!(queued > 2000, "{queued}");
    drop(commands);
    settle().await;
    assert_eq!(session.queued_bytes(), queued, "a notice is a favour");
    assert_eq!(session.calls_in_flight(), 0);
}
